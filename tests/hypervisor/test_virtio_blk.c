/* SPDX-License-Identifier: MIT */
/* The virtio disk, from the driver's side: every request, its errors, and hostile chains. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/virtio_blk.h>

#include "hypervisor/virtio_blk.h"
#include "tests/hypervisor/virtio_driver.h"

enum {
	SECTORS = 1000,
	HEADER = FAKE_BUFFERS,
	STATUS = FAKE_BUFFERS + 0x100,
	DATA = FAKE_BUFFERS + 0x1000,
	OTHER_DATA = FAKE_BUFFERS + 0x100000,
	ISLAND = 0x10000000, /* a page of memory of its own */
	NOT_ANSWERED = 0xee,
};

static _Atomic bool slow_reads;

/* Takes the place of libc's, so that requests stay in flight for a while. */
ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (slow_reads)
		usleep(3000);
	return syscall(SYS_preadv, fd, iov, count, offset, 0);
}

struct fixture {
	struct fake_machine m;
	struct fake_driver d;
	struct memory_region island[2];
	char path[64];
	uint8_t *model; /* what the disk holds */
	struct block *block;
	struct virtio_blk *disk;
};

static int setup_with(void **state, bool read_only, enum block_engine_type engine)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct block_config config = { .engine = engine, .read_only = read_only };
	char *error;
	int fd;

	fake_machine_init(&f->m);
	for (int i = 0; i < 2; i++) { /* two pages side by side, but not in one piece */
		f->island[i] = (struct memory_region){
			.name = "island", .host = memory_region_alloc_host(4096), .size = 4096
		};
		assert_int_equal(
			guest_memory_map(f->m.memory, &f->island[i], ISLAND + 4096 * i), 0);
	}
	f->model = malloc(SECTORS * 512);
	for (unsigned i = 0; i < SECTORS * 512; i++)
		f->model[i] = (uint8_t)(i / 512 * 7 + i);
	strcpy(f->path, "/var/tmp/spicebox-disk-XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, f->model, SECTORS * 512), SECTORS * 512);
	close(fd);
	config.loop = f->m.loop;
	config.path = f->path;
	assert_int_equal(block_open(&f->block, &config, &error), 0);
	assert_int_equal(
		virtio_blk_create(&f->disk, &f->m.host, f->m.bus, f->block, "serial 7"), 0);
	fake_driver_find(&f->d, &f->m, true);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, false, BLOCK_ENGINE_AUTO);
}

static int setup_threads(void **state)
{
	return setup_with(state, false, BLOCK_ENGINE_THREADS);
}

static int setup_read_only(void **state)
{
	return setup_with(state, true, BLOCK_ENGINE_AUTO);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_blk_destroy(f->disk);
	block_close(f->block);
	unlink(f->path);
	for (int i = 0; i < 2; i++) {
		guest_memory_unmap(f->m.memory, &f->island[i]);
		memory_region_free_host(f->island[i].host, 4096);
	}
	fake_machine_finish(&f->m);
	free(f->model);
	free(f);
	return 0;
}

static uint8_t *ram(struct fixture *f, uint64_t gpa)
{
	return f->m.ram.host + gpa;
}

static void set_header(struct fixture *f, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };

	memcpy(ram(f, HEADER), &header, sizeof(header));
	*ram(f, STATUS) = NOT_ANSWERED;
}

/* Makes the chain available and waits until it is back; returns its status. */
static int run_chain(
	struct fixture *f, const struct fake_segment *segments, unsigned count, uint32_t *written)
{
	uint32_t head, used_head, ignored;

	head = fake_add(&f->d, 0, segments, count);
	fake_kick(&f->d, 0);
	while (!fake_take_used(&f->d, 0, &used_head, written ? written : &ignored)) {
		if (fake_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET)
			return -1;
		assert_int_equal(loop_run_once(f->m.loop, 5000), 0);
	}
	assert_int_equal(used_head, head);
	return *ram(f, STATUS);
}

/* One request with the data in one segment (none when size is 0). */
static int run_request(
	struct fixture *f, uint32_t type, uint64_t sector, uint64_t data_gpa, uint32_t size)
{
	bool writable = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct fake_segment segments[3] = { { HEADER, 16, false } };
	unsigned count = 1;

	set_header(f, type, sector);
	if (size)
		segments[count++] = (struct fake_segment){ data_gpa, size, writable };
	segments[count++] = (struct fake_segment){ STATUS, 1, true };
	return run_chain(f, segments, count, NULL);
}

static void assert_disk_is_model(struct fixture *f)
{
	uint8_t *data = malloc(SECTORS * 512);
	int fd = open(f->path, O_RDONLY);

	assert_int_equal(pread(fd, data, SECTORS * 512, 0), SECTORS * 512);
	assert_memory_equal(data, f->model, SECTORS * 512);
	close(fd);
	free(data);
}

static const uint64_t all_features = 1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_CONFIG_WCE |
	1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES |
	1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX;

static void start(struct fixture *f)
{
	fake_driver_start(&f->d, all_features, 1, 64);
}

/* ---- what it does ---- */

static void test_config(void **state)
{
	struct fixture *f = *state;
	uint64_t features = fake_device_features(&f->d);
	struct virtio_blk_config config;

	for (unsigned i = 0; i < sizeof(config); i++)
		((uint8_t *)&config)[i] = (uint8_t)fake_read(&f->d, f->d.device + i, 1);
	assert_int_equal(config.capacity, SECTORS);
	assert_int_equal(config.seg_max, 254);
	assert_int_equal(config.blk_size, 512);
	assert_int_equal(config.wce, 1);
	assert_int_equal(config.max_discard_seg, 1);
	assert_int_equal(config.max_write_zeroes_seg, 1);
	assert_true(features & 1ull << VIRTIO_BLK_F_SEG_MAX);
	assert_true(features & 1ull << VIRTIO_BLK_F_FLUSH);
	assert_false(features & 1ull << VIRTIO_BLK_F_RO);
	assert_false(features & 1ull << VIRTIO_BLK_F_MQ);
}

static void test_read_and_write(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_IN, 3, DATA, 4096), VIRTIO_BLK_S_OK);
	assert_memory_equal(ram(f, DATA), f->model + 3 * 512, 4096);
	assert_int_equal(f->m.msi_count[1], 1);
	memset(ram(f, DATA), 0x42, 1024);
	memset(f->model + 999 * 512, 0x42, 512);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_OUT, 999, DATA, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	assert_disk_is_model(f);
}

/* The driver may cut a request in any way (2.7.4.3): header, data and status in odd pieces. */
static void test_odd_framing(void **state)
{
	struct fixture *f = *state;
	struct fake_segment in[] = { { HEADER, 5, false }, { HEADER + 5, 11, false },
		{ DATA, 100, true }, { OTHER_DATA, 412, true }, { DATA + 0x1000, 513, true } };
	struct fake_segment out[] = { { HEADER, 16 + 512, false }, { STATUS, 1, true } };
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_OUT, .sector = 8 };
	uint32_t written;

	start(f);
	set_header(f, VIRTIO_BLK_T_IN, 7);
	ram(f, DATA)[0x1000 + 512] = NOT_ANSWERED;
	run_chain(f, in, 5, &written);
	assert_int_equal(ram(f, DATA)[0x1000 + 512], VIRTIO_BLK_S_OK);
	assert_int_equal(written, 1025);
	assert_memory_equal(ram(f, DATA), f->model + 7 * 512, 100);
	assert_memory_equal(ram(f, OTHER_DATA), f->model + 7 * 512 + 100, 412);
	assert_memory_equal(ram(f, DATA + 0x1000), f->model + 8 * 512, 512);
	memcpy(ram(f, HEADER), &header, sizeof(header));
	memset(ram(f, HEADER) + 16, 0x77, 512);
	memset(f->model + 8 * 512, 0x77, 512);
	*ram(f, HEADER + 0x210) = 0;
	out[1].gpa = HEADER + 0x300;
	run_chain(f, out, 2, NULL);
	assert_int_equal(*ram(f, HEADER + 0x300), VIRTIO_BLK_S_OK);
	assert_disk_is_model(f);
}

/* Buffers over the seam of two pieces of guest memory go by a copy. */
static void test_bounce(void **state)
{
	struct fixture *f = *state;
	const uint64_t gpa = ISLAND + 4096 - 100;

	start(f);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_IN, 20, gpa, 1024), VIRTIO_BLK_S_OK);
	assert_memory_equal(f->island[0].host + 3996, f->model + 20 * 512, 100);
	assert_memory_equal(f->island[1].host, f->model + 20 * 512 + 100, 924);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_OUT, 30, gpa, 1024), VIRTIO_BLK_S_OK);
	memcpy(f->model + 30 * 512, f->model + 20 * 512, 1024);
	assert_disk_is_model(f);
}

static void test_get_id(void **state)
{
	struct fixture *f = *state;

	start(f);
	memset(ram(f, DATA), 0xff, 32);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_GET_ID, 0, DATA, 20), VIRTIO_BLK_S_OK);
	assert_memory_equal(ram(f, DATA), "serial 7\0\0\0\0\0\0\0\0\0\0\0\0\xff", 21);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_GET_ID, 0, DATA, 3), VIRTIO_BLK_S_OK);
}

static int run_range(
	struct fixture *f, uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { sector, sectors, flags };

	memcpy(ram(f, DATA), &range, sizeof(range));
	return run_request(f, type, 0, DATA, sizeof(range));
}

static void test_discard_and_zeroes(void **state)
{
	struct fixture *f = *state;
	const uint32_t zeroes = VIRTIO_BLK_T_WRITE_ZEROES, discard = VIRTIO_BLK_T_DISCARD;

	start(f);
	assert_int_equal(run_range(f, zeroes, 10, 5, 0), VIRTIO_BLK_S_OK);
	memset(f->model + 10 * 512, 0, 5 * 512);
	assert_int_equal(run_range(f, zeroes, 100, 50, 1), VIRTIO_BLK_S_OK);
	memset(f->model + 100 * 512, 0, 50 * 512);
	assert_disk_is_model(f);
	assert_int_equal(run_range(f, zeroes, SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_range(f, zeroes, 0, 0xffffffff, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_range(f, zeroes, UINT64_MAX, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_range(f, zeroes, 0, 1, 2), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(run_range(f, discard, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(run_request(f, zeroes, 0, DATA, 15), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_request(f, discard, 0, DATA, 32), VIRTIO_BLK_S_IOERR);
	assert_disk_is_model(f);
	assert_int_equal(run_range(f, discard, 500, 500, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(run_range(f, discard, 500, 501, 0), VIRTIO_BLK_S_IOERR);
}

static void test_cache_mode(void **state)
{
	struct fixture *f = *state;
	const uint64_t wce = offsetof(struct virtio_blk_config, wce);

	start(f);
	fake_write(&f->d, f->d.device + wce, 0, 1);
	assert_int_equal(fake_read(&f->d, f->d.device + wce, 1), 0);
	fake_write(&f->d, f->d.device + wce, 7, 1);
	fake_write(&f->d, f->d.device + wce - 1, 0xffff, 2);
	fake_write(&f->d, f->d.device, 0xffff, 4); /* the capacity is not the driver's */
	assert_int_equal(fake_read(&f->d, f->d.device + wce, 1), 0);
	assert_int_equal(fake_read(&f->d, f->d.device, 4), SECTORS);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_OUT, 0, DATA, 512), VIRTIO_BLK_S_OK);
	start(f);
	assert_int_equal(fake_read(&f->d, f->d.device + wce, 1), 1);
}

static void test_read_only(void **state)
{
	struct fixture *f = *state;

	assert_true(fake_device_features(&f->d) & 1ull << VIRTIO_BLK_F_RO);
	fake_driver_start(&f->d, 1ull << VIRTIO_BLK_F_RO, 1, 64);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_OUT, 0, DATA, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_range(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_IN, 0, DATA, 512), VIRTIO_BLK_S_OK);
	assert_disk_is_model(f);
}

/* Far more than may be in flight, all at once; each comes back once, with its own data. */
static void check_many(struct fixture *f)
{
	enum { COUNT = 256, PER = COUNT / 4 };
	uint32_t head = 0, written = 0;
	unsigned back = 0;

	fake_driver_start(&f->d, 1ull << VIRTIO_RING_F_INDIRECT_DESC, 1, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		uint64_t table = OTHER_DATA + i * 0x100;
		struct vring_desc *desc = (struct vring_desc *)ram(f, table);
		struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = i * 3 };
		struct fake_segment indirect = { table, 48, false };

		memcpy(ram(f, table + 64), &header, sizeof(header));
		desc[0] = (struct vring_desc){ table + 64, 16, VRING_DESC_F_NEXT, 1 };
		desc[1] = (struct vring_desc){ DATA + i * 512, 512,
			VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2 };
		desc[2] = (struct vring_desc){ table + 80, 1, VRING_DESC_F_WRITE, 0 };
		*ram(f, table + 80) = NOT_ANSWERED;
		fake_add(&f->d, 0, &indirect, 1);
		fake_desc(&f->d, 0, i)->flags = VRING_DESC_F_INDIRECT;
	}
	fake_kick(&f->d, 0);
	while (back < COUNT) {
		if (!fake_take_used(&f->d, 0, &head, &written)) {
			assert_int_equal(loop_run_once(f->m.loop, 5000), 0);
			continue;
		}
		back++;
		assert_int_equal(written, 513);
		assert_int_equal(*ram(f, OTHER_DATA + head * 0x100 + 80), VIRTIO_BLK_S_OK);
		assert_memory_equal(ram(f, DATA + head * 512), f->model + head * 3 * 512, 512);
		*ram(f, OTHER_DATA + head * 0x100 + 80) = NOT_ANSWERED;
	}
	fake_run(&f->m);
	assert_false(fake_take_used(&f->d, 0, &head, &written));
}

static void test_many(void **state)
{
	check_many(*state);
}

static void test_many_threads(void **state)
{
	check_many(*state);
}

/* ---- what it refuses ---- */

static void test_out_of_range(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_IN, SECTORS, DATA, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		run_request(f, VIRTIO_BLK_T_OUT, SECTORS - 1, DATA, 1024), VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		run_request(f, VIRTIO_BLK_T_OUT, UINT64_MAX, DATA, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_OUT, 1ull << 55, DATA, 512),
		VIRTIO_BLK_S_IOERR); /* times 512 is 0 */
	assert_int_equal(run_request(f, VIRTIO_BLK_T_OUT, 0, DATA, 511), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_request(f, 99, 0, DATA, 512), VIRTIO_BLK_S_UNSUPP);
	assert_disk_is_model(f);
}

static void test_data_outside_of_memory(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_IN, 0, 0x7000000000, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		run_request(f, VIRTIO_BLK_T_OUT, 0, 0x7000000000, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		run_request(f, VIRTIO_BLK_T_OUT, 0, FAKE_RAM - 256, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_IN, 0, DATA, 0xffffffff), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_IN, 0, DATA, 512), VIRTIO_BLK_S_OK);
	assert_disk_is_model(f);
}

static void breaks(struct fixture *f, const struct fake_segment *segments, unsigned count)
{
	start(f);
	set_header(f, VIRTIO_BLK_T_IN, 0);
	assert_int_equal(run_chain(f, segments, count, NULL), -1);
	/* And works after a reset. */
	start(f);
	assert_int_equal(run_request(f, VIRTIO_BLK_T_IN, 5, DATA, 512), VIRTIO_BLK_S_OK);
	assert_memory_equal(ram(f, DATA), f->model + 5 * 512, 512);
}

static void test_broken_chains(void **state)
{
	struct fixture *f = *state;
	const struct fake_segment no_status[] = { { HEADER, 16, false } };
	const struct fake_segment short_header[] = { { HEADER, 15, false }, { STATUS, 1, true } };
	const struct fake_segment no_header[] = { { STATUS, 1, true } };
	const struct fake_segment empty_status[] = { { HEADER, 16, false }, { STATUS, 0, true } };
	const struct fake_segment lost_header[] = { { 0x7000000000, 16, false },
		{ STATUS, 1, true } };
	const struct fake_segment wrong_order[] = { { STATUS, 1, true }, { HEADER, 16, false } };

	breaks(f, no_status, 1);
	breaks(f, short_header, 2);
	breaks(f, no_header, 1);
	breaks(f, empty_status, 2);
	breaks(f, lost_header, 2);
	breaks(f, wrong_order, 2);
}

static void test_lost_status(void **state)
{
	struct fixture *f = *state;
	const struct fake_segment chain[] = { { HEADER, 16, false }, { DATA, 512, true },
		{ 0x7000000000, 1, true } };

	start(f);
	set_header(f, VIRTIO_BLK_T_IN, 0);
	run_chain(f, chain, 3, NULL);
	assert_true(fake_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* A reset with requests in flight: when it is done, nothing of before touches memory or rings. */
static void test_reset_in_flight(void **state)
{
	struct fixture *f = *state;

	slow_reads = true;
	for (unsigned round = 0; round < 5; round++) {
		const struct fake_segment chain[] = { { HEADER, 16, false },
			{ DATA, 400 * 512, true }, { STATUS, 1, true } };

		start(f);
		set_header(f, VIRTIO_BLK_T_IN, 0);
		for (unsigned i = 0; i < 20; i++)
			fake_add(&f->d, 0, chain, 3);
		fake_write(&f->d, f->d.queues[0].notify_gpa, 0, 2);
		loop_run_once(f->m.loop, 0);
		fake_write(&f->d, f->d.common + VIRTIO_PCI_COMMON_STATUS, 0, 1);
		assert_int_equal(fake_status(&f->d), 0);
		memset(ram(f, DATA), 0x11, 400 * 512);
		memset(ram(f, fake_queue_gpa(0)), 0x22, FAKE_QUEUE_STRIDE);
		*ram(f, STATUS) = NOT_ANSWERED;
		usleep(5000);
		fake_run(&f->m);
		for (unsigned i = 0; i < 400 * 512; i++)
			assert_int_equal(ram(f, DATA)[i], 0x11);
		assert_int_equal(*ram(f, fake_queue_gpa(0) + FAKE_USED + 2), 0x22);
		assert_int_equal(*ram(f, STATUS), NOT_ANSWERED);
	}
	slow_reads = false;
}

/* The same when the whole machine is reset, and when the disk is stopped for good. */
static void test_stop_in_flight(void **state)
{
	const struct fake_segment chain[] = { { HEADER, 16, false }, { DATA, 512, true },
		{ STATUS, 1, true } };
	struct fixture *f = *state;

	slow_reads = true;
	for (unsigned round = 0; round < 2; round++) {
		start(f);
		set_header(f, VIRTIO_BLK_T_IN, 0);
		for (unsigned i = 0; i < 20; i++)
			fake_add(&f->d, 0, chain, 3);
		fake_write(&f->d, f->d.queues[0].notify_gpa, 0, 2);
		loop_run_once(f->m.loop, 0);
		if (round == 0)
			pci_bus_reset(f->m.bus);
		else
			virtio_blk_stop(f->disk);
		memset(ram(f, DATA), 0x11, 512);
		usleep(5000);
		fake_run(&f->m);
		for (unsigned i = 0; i < 512; i++)
			assert_int_equal(ram(f, DATA)[i], 0x11);
		fake_driver_find(&f->d, &f->m, true);
	}
	slow_reads = false;
	start(f);
	fake_add(&f->d, 0, chain, 3);
	fake_kick(&f->d, 0);
	block_drain(f->block);
	assert_int_equal(fake_used(&f->d, 0)[1], 0);
}

/* A vCPU's thread that drives and resets the disk while the loop runs here. */
struct vcpu {
	struct fixture *f;
	unsigned stray; /* bytes that were changed after a reset */
};

static void *vcpu_thread(void *opaque)
{
	const struct fake_segment chain[] = { { HEADER, 16, false }, { DATA, 512, true },
		{ STATUS, 1, true } };
	struct vcpu *vcpu = opaque;
	struct fixture *f = vcpu->f;

	for (unsigned round = 0; round < 100; round++) {
		start(f);
		set_header(f, VIRTIO_BLK_T_IN, round);
		for (unsigned i = 0; i < 20; i++)
			fake_add(&f->d, 0, chain, 3);
		slow_reads = round % 2;
		fake_write(&f->d, f->d.queues[0].notify_gpa, 0, 2);
		usleep(round % 8 * 500);
		if (round % 5 == 0)
			pci_bus_reset(f->m.bus);
		else
			fake_write(&f->d, f->d.common + VIRTIO_PCI_COMMON_STATUS, 0, 1);
		memset(ram(f, DATA), 0x11, 512);
		usleep(500);
		for (unsigned i = 0; i < 512; i++)
			vcpu->stray += ram(f, DATA)[i] != 0x11;
		fake_driver_find(&f->d, &f->m, true);
	}
	slow_reads = false;
	loop_stop(f->m.loop);
	return NULL;
}

static void test_vcpu_thread(void **state)
{
	struct vcpu vcpu = { .f = *state };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, vcpu_thread, &vcpu), 0);
	assert_int_equal(loop_run(vcpu.f->m.loop), 0);
	pthread_join(thread, NULL);
	assert_int_equal(vcpu.stray, 0);
	start(vcpu.f);
	assert_int_equal(run_request(vcpu.f, VIRTIO_BLK_T_IN, 5, DATA, 512), VIRTIO_BLK_S_OK);
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DISK_TEST(test_config),
		DISK_TEST(test_read_and_write),
		DISK_TEST(test_odd_framing),
		DISK_TEST(test_bounce),
		DISK_TEST(test_get_id),
		DISK_TEST(test_discard_and_zeroes),
		DISK_TEST(test_cache_mode),
		cmocka_unit_test_setup_teardown(test_read_only, setup_read_only, teardown),
		DISK_TEST(test_many),
		cmocka_unit_test_setup_teardown(test_many_threads, setup_threads, teardown),
		DISK_TEST(test_out_of_range),
		DISK_TEST(test_data_outside_of_memory),
		DISK_TEST(test_broken_chains),
		DISK_TEST(test_lost_status),
		cmocka_unit_test_setup_teardown(test_reset_in_flight, setup_threads, teardown),
		cmocka_unit_test_setup_teardown(test_stop_in_flight, setup_threads, teardown),
		cmocka_unit_test_setup_teardown(test_vcpu_thread, setup_threads, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
