/* SPDX-License-Identifier: MIT */
/*
 * A virtio disk behind a driver whose ring, headers and buffers are the fuzzer's. The input is five
 * bytes of set-up (the third and fourth are the available index), then guest memory from
 * FAKE_QUEUE_GPA on, into which the ring's three areas are packed.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/log.h"
#include "hypervisor/virtio_blk.h"
#include "tests/hypervisor/virtio_driver.h"

enum { DISK = 64 * 1024, SIZE = 16, AVAIL = 0x100, USED = 0x140, INPUT_MAX = 0x8000 };

struct target {
	struct fake_machine m;
	struct fake_driver d;
	int image_fd;
	struct block *block;
	struct virtio_blk *disk;
};

static void target_init(struct target *t)
{
	struct block_config config = { .engine = BLOCK_ENGINE_THREADS, .format = BLOCK_FORMAT_RAW };
	char path[32], *error;

	fake_machine_init(&t->m);
	t->image_fd = memfd_create("disk", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", t->image_fd);
	config.loop = t->m.loop;
	config.path = path;
	if (ftruncate(t->image_fd, DISK) || block_open(&t->block, &config, &error) ||
		virtio_blk_create(&t->disk, &t->m.host, t->m.bus, t->block, "fuzz"))
		abort();
	fake_driver_find(&t->d, &t->m, true);
}

static void set_up_queue(struct target *t, const uint8_t *data, size_t size)
{
	uint64_t common = t->d.common;
	uint8_t *ring = t->m.ram.host + FAKE_QUEUE_GPA;

	memset(t->m.ram.host, 0, 0x40000);
	memcpy(ring, data + 5, MIN(size - 5, (size_t)INPUT_MAX));
	memcpy(ring + AVAIL + 2, data + 2, 2);
	fake_write(&t->d, common + VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	fake_write(&t->d, common + VIRTIO_PCI_COMMON_Q_SIZE, SIZE, 2);
	fake_write(&t->d, common + VIRTIO_PCI_COMMON_Q_MSIX, 1, 2);
	fake_write(&t->d, common + VIRTIO_PCI_COMMON_Q_DESCLO, FAKE_QUEUE_GPA, 8);
	fake_write(&t->d, common + VIRTIO_PCI_COMMON_Q_AVAILLO, FAKE_QUEUE_GPA + AVAIL, 8);
	fake_write(&t->d, common + VIRTIO_PCI_COMMON_Q_USEDLO, FAKE_QUEUE_GPA + USED, 8);
	fake_write(&t->d, common + VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct target *target; /* made once: a machine takes longer than an input */
	uint64_t features;

	if (size < 5)
		return 0;
	if (!target) {
		log_set_level(LOG_ERROR);
		target = calloc(1, sizeof(*target));
		if (!target)
			abort();
		target_init(target);
	}
	features = (data[0] & 1 ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0) |
		(data[0] & 2 ? 1ull << VIRTIO_RING_F_EVENT_IDX : 0) |
		(uint64_t)(data[1] & 0x7e) << 8; /* FLUSH to WRITE_ZEROES */
	features &= fake_device_features(&target->d);
	if (!fake_negotiate(&target->d, features | 1ull << VIRTIO_F_VERSION_1))
		abort();
	set_up_queue(target, data, size);
	fake_add_status(&target->d, VIRTIO_CONFIG_S_DRIVER_OK);
	fake_write(&target->d, target->d.notify, 0, 2);
	fake_run(&target->m);
	if (data[4] & 1)
		block_drain(target->block);
	fake_run(&target->m);
	/* The reset waits for the rest; a disk that lives on takes the next driver. */
	fake_write(&target->d, target->d.common + VIRTIO_PCI_COMMON_STATUS, 0, 1);
	if (fake_status(&target->d))
		abort();
	return 0;
}
