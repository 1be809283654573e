/* SPDX-License-Identifier: MIT */
/* A split ring whose every byte is the fuzzer's: what is popped must be inside the promises of
 * virtqueue.h. The input is five bytes of set-up, then guest memory from address 0. */
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/virtqueue.h"

enum { RAM = 32 * 1024, DESC = 0, AVAIL = 0x100, USED = 0x140, ROUNDS = 64 };

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_chain(const struct virtqueue *queue, const struct virtqueue_chain *chain)
{
	uint64_t out_bytes = 0, in_bytes = 0;

	check(chain->head < queue->size);
	check(chain->out_count + chain->in_count >= 1);
	check(chain->out_count + chain->in_count <= queue->size);
	for (unsigned i = 0; i < chain->out_count + chain->in_count; i++) {
		const struct virtqueue_segment *segment = &chain->segments[i];

		check(segment->gpa + segment->size >= segment->gpa);
		*(i < chain->out_count ? &out_bytes : &in_bytes) += segment->size;
	}
	check(out_bytes == chain->out_bytes && in_bytes == chain->in_bytes);
}

static void use_queue(struct virtqueue *queue, struct guest_memory *memory)
{
	static struct virtqueue_chain chain;
	uint8_t bytes[64];

	for (int i = 0; i < ROUNDS && virtqueue_pop(queue, &chain) == 1; i++) {
		check_chain(queue, &chain);
		check(virtqueue_chain_read(memory, &chain, 0, bytes, sizeof(bytes)) < 0 ||
			chain.out_bytes >= sizeof(bytes));
		check(virtqueue_chain_write(memory, &chain, 1, bytes, sizeof(bytes)) < 0 ||
			chain.in_bytes > sizeof(bytes));
		virtqueue_push(queue, chain.head, (uint32_t)chain.in_bytes);
		virtqueue_wants_interrupt(queue);
		check(virtqueue_pending(queue) <= queue->size);
	}
	/* Not broken means that all was taken, or that the bound of the test was met. */
	check(queue->broken || virtqueue_pending(queue) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory_region ram = { .name = "ram", .size = RAM };
	struct virtqueue queue = { .size_max = 16 };

	if (size < 5)
		return 0;
	ram.host = memory_region_alloc_host(RAM);
	if (!ram.host || guest_memory_create(&queue.memory, NULL, NULL))
		abort();
	guest_memory_map(queue.memory, &ram, 0);
	memcpy(ram.host, data + 5, MIN(size - 5, (size_t)RAM));
	virtqueue_reset(&queue);
	queue.size = (uint16_t)(data[0] & 0x40 ? data[0] : 1u << (data[0] & 7));
	queue.indirect = data[1] & 1;
	queue.event_idx = data[1] & 2;
	queue.desc_gpa = DESC + data[2] * 16u;
	queue.avail_gpa = AVAIL + data[3] * 128u;
	queue.used_gpa = USED + data[4] * 128u;
	if (virtqueue_enable(&queue) == 0)
		use_queue(&queue, queue.memory);
	guest_memory_destroy(queue.memory);
	memory_region_free_host(ram.host, RAM);
	return 0;
}
