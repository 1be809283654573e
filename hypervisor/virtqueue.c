/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues: what the driver put into the available ring is copied out as checked chains and
 * given back through the used ring. Section numbers are those of Virtual I/O Device 1.2.
 */
#include "hypervisor/virtqueue.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

#include "core/util.h"

/* 2.7.6: flags, idx, ring[size], used_event; 2.7.8: flags, idx, ring[size] of pairs, avail_event. */
enum { RING_IDX = 2, RING_ENTRIES = 4 };

static int break_queue(struct virtqueue *queue, const char *reason)
{
	if (!queue->broken)
		queue->broken = reason;
	return -EPROTO;
}

/* The indices are shared with running vCPUs, so they are accessed whole. Alignment was checked when
 * the queue was enabled. */
static int load_u16(struct virtqueue *queue, uint64_t gpa, uint16_t *value)
{
	_Atomic uint16_t *shared = guest_pointer(queue->memory, gpa, 2, false);

	if (!shared)
		return break_queue(queue, "a ring lies outside of memory");
	*value = le16toh(atomic_load_explicit(shared, memory_order_acquire));
	return 0;
}

static int store_u16(struct virtqueue *queue, uint64_t gpa, uint16_t value)
{
	_Atomic uint16_t *shared = guest_pointer(queue->memory, gpa, 2, true);

	if (!shared)
		return break_queue(queue, "the used ring lies outside of writable memory");
	atomic_store_explicit(shared, htole16(value), memory_order_release);
	return 0;
}

void virtqueue_reset(struct virtqueue *queue)
{
	*queue = (struct virtqueue){
		.memory = queue->memory, .size_max = queue->size_max, .size = queue->size_max
	};
}

int virtqueue_enable(struct virtqueue *queue)
{
	uint64_t desc_bytes = 16ull * queue->size;
	uint64_t avail_bytes = RING_ENTRIES + 2ull * queue->size + 2;
	uint64_t used_bytes = RING_ENTRIES + 8ull * queue->size + 2;

	if (!queue->size || queue->size > queue->size_max || (queue->size & (queue->size - 1)))
		return break_queue(
			queue, "the queue's size is not a power of two up to the maximum");
	/* 2.7: 16, 2 and 4 bytes. */
	if ((queue->desc_gpa & 15) || (queue->avail_gpa & 1) || (queue->used_gpa & 3))
		return break_queue(queue, "a ring is not aligned");
	if (!guest_pointer(queue->memory, queue->desc_gpa, desc_bytes, false) ||
		!guest_pointer(queue->memory, queue->avail_gpa, avail_bytes, false) ||
		!guest_pointer(queue->memory, queue->used_gpa, used_bytes, true))
		return break_queue(queue, "a ring lies outside of memory");
	queue->enabled = true;
	return 0;
}

/* The number of chains that wait. 2.7.13.3.1: the index never runs ahead by more than the size. */
static int count_waiting(struct virtqueue *queue, uint16_t *avail_idx)
{
	uint16_t waiting;

	if (queue->broken || !queue->enabled)
		return -EPROTO;
	if (load_u16(queue, queue->avail_gpa + RING_IDX, avail_idx) < 0)
		return -EPROTO;
	waiting = (uint16_t)(*avail_idx - queue->next_avail);
	if (waiting > queue->size)
		return break_queue(queue, "the available index ran ahead of the ring");
	return waiting;
}

/* Asks for a notification when the driver makes entry `idx` available (2.7.7.1). Without EVENT_IDX
 * it always notifies, as we never set VIRTQ_USED_F_NO_NOTIFY. */
static int ask_notification(struct virtqueue *queue, uint16_t idx)
{
	if (!queue->event_idx)
		return 0;
	if (store_u16(queue, queue->used_gpa + RING_ENTRIES + 8ull * queue->size, idx) < 0)
		return -EPROTO;
	/* The driver writes its index, then reads our event; we do it the other way round. */
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}

int virtqueue_pending(struct virtqueue *queue)
{
	uint16_t avail_idx, again;
	int waiting = count_waiting(queue, &avail_idx);

	while (waiting >= 0) {
		if (ask_notification(queue, avail_idx) < 0)
			return -EPROTO;
		waiting = count_waiting(queue, &again);
		if (again == avail_idx)
			break;
		avail_idx = again;
	}
	return waiting;
}

/* Adds one descriptor to the chain: all readable ones come before the writable (2.7.4.2). */
static int add_segment(
	struct virtqueue *queue, struct virtqueue_chain *chain, const struct vring_desc *desc)
{
	uint64_t gpa = le64toh(desc->addr);
	uint32_t size = le32toh(desc->len);
	unsigned count = chain->out_count + chain->in_count;

	if (count >= queue->size)
		return break_queue(queue, "a descriptor chain is longer than the queue, or a loop");
	if (gpa + size < gpa)
		return break_queue(queue, "a descriptor's range wraps around");
	if (le16toh(desc->flags) & VRING_DESC_F_WRITE) {
		chain->in_count++;
		chain->in_bytes += size;
	} else {
		if (chain->in_count)
			return break_queue(queue, "a readable descriptor follows a writable one");
		chain->out_count++;
		chain->out_bytes += size;
	}
	chain->segments[count] = (struct virtqueue_segment){ gpa, size };
	return 0;
}

/* The table that a chain goes through: the queue's, or an indirect one. */
struct table {
	uint64_t gpa;
	uint32_t count;
};

/* Checks an indirect descriptor (2.7.5.3) and makes its table the current one. */
static int enter_indirect(
	struct virtqueue *queue, struct table *table, const struct vring_desc *desc, bool nested)
{
	uint32_t bytes = le32toh(desc->len);

	if (!queue->indirect)
		return break_queue(queue, "an indirect descriptor was not negotiated");
	if (nested)
		return break_queue(queue, "an indirect descriptor is inside an indirect table");
	if (le16toh(desc->flags) & VRING_DESC_F_NEXT)
		return break_queue(queue, "an indirect descriptor has a next one");
	if (!bytes || bytes % sizeof(*desc))
		return break_queue(queue, "an indirect table's size is no multiple of 16");
	*table = (struct table){ le64toh(desc->addr), bytes / sizeof(*desc) };
	return 0;
}

/* Follows the chain from its head. add_segment() ends loops: no chain is longer than the queue. */
static int copy_chain(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	struct table table = { queue->desc_gpa, queue->size };
	uint32_t index = chain->head;
	bool nested = false;

	for (;;) {
		struct vring_desc desc;
		uint64_t offset = (uint64_t)index * sizeof(desc);

		if (table.gpa + offset < table.gpa ||
			guest_read(queue->memory, table.gpa + offset, &desc, sizeof(desc)) < 0)
			return break_queue(queue, "a descriptor lies outside of memory");
		if (le16toh(desc.flags) & VRING_DESC_F_INDIRECT) {
			if (enter_indirect(queue, &table, &desc, nested) < 0)
				return -EPROTO;
			nested = true;
			index = 0;
			continue;
		}
		if (add_segment(queue, chain, &desc) < 0)
			return -EPROTO;
		if (!(le16toh(desc.flags) & VRING_DESC_F_NEXT))
			return 0;
		index = le16toh(desc.next);
		if (index >= table.count)
			return break_queue(queue, "a next descriptor is outside of its table");
	}
}

int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	uint16_t avail_idx, head;
	int waiting = count_waiting(queue, &avail_idx);

	if (waiting == 0)
		waiting = virtqueue_pending(queue);
	if (waiting <= 0)
		return waiting;
	if (load_u16(queue,
		    queue->avail_gpa + RING_ENTRIES +
			    2ull * (queue->next_avail & (queue->size - 1u)),
		    &head) < 0)
		return -EPROTO;
	if (head >= queue->size)
		return break_queue(queue, "an available entry names no descriptor");
	chain->head = head;
	chain->out_count = chain->in_count = 0;
	chain->out_bytes = chain->in_bytes = 0;
	if (copy_chain(queue, chain) < 0)
		return -EPROTO;
	queue->next_avail++;
	return 1;
}

int virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
	struct vring_used_elem elem = { htole32(head), htole32(written) };
	uint64_t entry =
		queue->used_gpa + RING_ENTRIES + 8ull * (queue->next_used & (queue->size - 1u));

	if (queue->broken || !queue->enabled)
		return -EPROTO;
	if (guest_write(queue->memory, entry, &elem, sizeof(elem)) < 0)
		return break_queue(queue, "the used ring lies outside of writable memory");
	queue->next_used++;
	return store_u16(queue, queue->used_gpa + RING_IDX, queue->next_used);
}

bool virtqueue_wants_interrupt(struct virtqueue *queue)
{
	uint16_t old = queue->signalled_used, flags, event;

	if (queue->broken || !queue->enabled || queue->next_used == old)
		return false;
	queue->signalled_used = queue->next_used;
	/* Our used index must be seen before we look at what the driver wants (2.7.10). */
	atomic_thread_fence(memory_order_seq_cst);
	if (!queue->event_idx) {
		if (load_u16(queue, queue->avail_gpa, &flags) < 0)
			return false;
		return !(flags & VRING_AVAIL_F_NO_INTERRUPT);
	}
	if (load_u16(queue, queue->avail_gpa + RING_ENTRIES + 2ull * queue->size, &event) < 0)
		return false;
	return vring_need_event(event, queue->next_used, old);
}

/* Walks `count` segments, calling guest_read() or guest_write() for those that [offset, offset +
 * size) covers. */
static int copy_segments(struct guest_memory *memory, const struct virtqueue_segment *segments,
	unsigned count, uint64_t offset, uint8_t *out, const uint8_t *in, size_t size)
{
	for (unsigned i = 0; i < count && size; i++) {
		uint64_t length;
		int err;

		if (offset >= segments[i].size) {
			offset -= segments[i].size;
			continue;
		}
		length = MIN((uint64_t)size, segments[i].size - offset);
		if (out)
			err = guest_read(memory, segments[i].gpa + offset, out, length);
		else
			err = guest_write(memory, segments[i].gpa + offset, in, length);
		if (err)
			return err;
		if (out)
			out += length;
		else
			in += length;
		size -= length;
		offset = 0;
	}
	return size ? -EFAULT : 0;
}

int virtqueue_chain_read(struct guest_memory *memory, const struct virtqueue_chain *chain,
	uint64_t offset, void *out, size_t size)
{
	return copy_segments(memory, chain->segments, chain->out_count, offset, out, NULL, size);
}

int virtqueue_chain_write(struct guest_memory *memory, const struct virtqueue_chain *chain,
	uint64_t offset, const void *bytes, size_t size)
{
	return copy_segments(memory, chain->segments + chain->out_count, chain->in_count, offset,
		NULL, bytes, size);
}
