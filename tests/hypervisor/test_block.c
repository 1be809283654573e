/* SPDX-License-Identifier: MIT */
/* Disk images: what is opened and what is refused, locks, both engines, the snapshot overlay. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/util.h"
#include "hypervisor/block.h"

enum { CLUSTER = 65536, DISK = 5 * CLUSTER + 3 * 512 };

static unsigned fdatasync_calls;

/* Takes the place of libc's, to see when data is made durable. */
int fdatasync(int fd)
{
	fdatasync_calls++;
	return (int)syscall(SYS_fdatasync, fd);
}

struct fixture {
	struct loop *loop;
	char folder[64];
	char path[128];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->folder, "/var/tmp/spicebox-test-XXXXXX");
	if (!mkdtemp(f->folder) || loop_create(&f->loop))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/disk.img", f->folder);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	loop_destroy(f->loop);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->folder);
	if (system(command))
		return -1;
	free(f);
	return 0;
}

static void make_file(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static uint8_t *make_random(size_t size, unsigned seed)
{
	uint8_t *bytes = malloc(size);

	for (size_t i = 0; i < size; i++) {
		seed = seed * 1103515245u + 12345u;
		bytes[i] = (uint8_t)(seed >> 16);
	}
	return bytes;
}

static void assert_file_is(const char *path, const uint8_t *bytes, size_t size)
{
	uint8_t *data;
	size_t got;

	assert_int_equal(file_read_all(path, 64 << 20, &data, &got), 0);
	assert_int_equal(got, size);
	assert_memory_equal(data, bytes, size);
	free(data);
}

static struct block *open_ok(struct fixture *f, enum block_engine_type engine, bool snapshot)
{
	struct block_config config = {
		.loop = f->loop, .path = f->path, .engine = engine, .snapshot = snapshot
	};
	struct block *block = NULL;
	char *error;
	int err = block_open(&block, &config, &error);

	if (err)
		print_message("%s\n", error);
	assert_int_equal(err, 0);
	assert_null(error);
	return block;
}

/* Opening fails with this code, and a sentence that holds `words`. */
static void open_fails(const struct block_config *config, int code, const char *words)
{
	struct block *block = NULL;
	char *error = NULL;

	assert_int_equal(block_open(&block, config, &error), code);
	assert_null(block);
	assert_non_null(error);
	if (!strstr(error, words))
		fail_msg("\"%s\" does not say \"%s\"", error, words);
	free(error);
}

struct waited {
	struct block_request io;
	bool done;
	int result;
};

static void waited_done(struct block_request *io, int result)
{
	struct waited *waited = container_of(io, struct waited, io);

	assert_false(waited->done);
	waited->done = true;
	waited->result = result;
}

static int run(struct fixture *f, struct block *block, struct block_request io)
{
	struct waited waited = { .io = io };

	waited.io.done = waited_done;
	if (block_submit(block, &waited.io))
		return -EINVAL;
	assert_false(waited.done);
	while (!waited.done)
		assert_int_equal(loop_run_once(f->loop, 5000), 0);
	return waited.result;
}

static int transfer(struct fixture *f, struct block *block, enum block_op op, uint64_t offset,
	void *bytes, size_t size)
{
	struct iovec iov[2] = { { bytes, size / 3 },
		{ (char *)bytes + size / 3, size - size / 3 } };

	return run(f, block,
		(struct block_request){
			.op = op, .offset = offset, .size = size, .iov = iov, .iov_count = 2 });
}

/* ---- opening ---- */

static void test_refused_files(void **state)
{
	struct fixture *f = *state;
	struct block_config config = { .loop = f->loop, .path = f->path };
	char other[128];

	open_fails(&config, -ENOENT, "does not exist");
	make_file(f->path, "", 0);
	open_fails(&config, -EINVAL, "is empty");
	config.path = f->folder;
	open_fails(&config, -EINVAL, "is a folder");
	config.path = "/dev/null";
	open_fails(&config, -EINVAL, "no disk image");
	snprintf(other, sizeof(other), "%s/pipe", f->folder);
	assert_int_equal(mkfifo(other, 0600), 0);
	config.path = other;
	open_fails(&config, -EINVAL, "no disk image");
}

static void test_refused_formats(void **state)
{
	static const char *const names[] = { "a.qcow2", "a.qcow", "a.vmdk", "a.vdi", "A.VHDX" };
	struct fixture *f = *state;
	struct block_config config = { .loop = f->loop, .path = f->path };
	uint8_t bytes[4096] = "QFI\xfb";
	char other[128];

	make_file(f->path, bytes, sizeof(bytes));
	open_fails(&config, -ENOTSUP, "begins like a qcow2 image");
	memset(bytes, 0, 4);
	memcpy(bytes + 64, "\x7f\x10\xda\xbe", 4);
	make_file(f->path, bytes, sizeof(bytes));
	open_fails(&config, -ENOTSUP, "begins like a VDI image");
	memset(bytes, 0, sizeof(bytes));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(other, sizeof(other), "%s/%s", f->folder, names[i]);
		make_file(other, bytes, sizeof(bytes));
		config.path = other;
		open_fails(&config, -ENOTSUP, "by its name");
	}
}

/* A guest may write any header into its raw disk; stated to be raw, it is raw. */
static void test_stated_raw(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[4096] = "QFI\xfb", got[4096];
	struct block_config config = {
		.loop = f->loop, .path = f->path, .format = BLOCK_FORMAT_RAW
	};
	struct block *block;
	char *error;

	make_file(f->path, bytes, sizeof(bytes));
	assert_int_equal(block_open(&block, &config, &error), 0);
	assert_int_equal(transfer(f, block, BLOCK_READ, 0, got, sizeof(got)), 0);
	assert_memory_equal(got, bytes, sizeof(got));
	block_close(block);
	snprintf(f->path, sizeof(f->path), "%s/disk.raw", f->folder);
	make_file(f->path, bytes, sizeof(bytes));
	block_close(open_ok(f, BLOCK_ENGINE_AUTO, false));
}

static void test_locks(void **state)
{
	struct fixture *f = *state;
	struct block_config writer = { .loop = f->loop, .path = f->path };
	struct block_config reader = { .loop = f->loop, .path = f->path, .read_only = true };
	struct block_config snapshot = { .loop = f->loop, .path = f->path, .snapshot = true };
	uint8_t *bytes = make_random(DISK, 1);
	struct block *first, *second;
	char *error;

	make_file(f->path, bytes, DISK);
	free(bytes);
	first = open_ok(f, BLOCK_ENGINE_THREADS, false);
	open_fails(
		&writer, -EAGAIN, "is in use by another program (spicebox or QEMU); stop it first");
	open_fails(&reader, -EAGAIN, "is in use by another program (spicebox or QEMU); stop it");
	open_fails(&snapshot, -EAGAIN, "is in use by another program (spicebox or QEMU); stop it");
	block_close(first);
	assert_int_equal(block_open(&first, &reader, &error), 0);
	second = open_ok(f, BLOCK_ENGINE_THREADS, true);
	open_fails(&writer, -EAGAIN,
		"is in use by another program (spicebox or QEMU); stop it or use --snapshot");
	block_close(first);
	open_fails(&writer, -EAGAIN, "in use");
	block_close(second);
	block_close(open_ok(f, BLOCK_ENGINE_THREADS, false));
}

/* As a QEMU does that reads (100), writes (101) and does not share writing (201). */
static void test_lock_of_qemu(void **state)
{
	struct fixture *f = *state;
	struct block_config writer = { .loop = f->loop, .path = f->path };
	struct block_config snapshot = { .loop = f->loop, .path = f->path, .snapshot = true };
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 2 };
	struct block *block;
	char bytes[512] = "";
	int fd;

	make_file(f->path, bytes, sizeof(bytes));
	fd = open(f->path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	open_fails(&writer, -EAGAIN, "stop it first");
	open_fails(&snapshot, -EAGAIN, "stop it first");
	lock.l_type = F_UNLCK;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	block = open_ok(f, BLOCK_ENGINE_THREADS, false);
	lock.l_type = F_RDLCK;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), -1);
	block_close(block);
	close(fd);
}

/* ---- I/O, with either engine ---- */

static void check_bounds(struct fixture *f, enum block_engine_type engine)
{
	uint8_t *bytes = make_random(DISK, 2), sector[1024];
	struct block_config config = {
		.loop = f->loop, .path = f->path, .engine = engine, .read_only = true
	};
	struct block *block;
	char *error;

	make_file(f->path, bytes, DISK);
	block = open_ok(f, engine, false);
	assert_int_equal(block_size(block), DISK);
	assert_int_equal(transfer(f, block, BLOCK_READ, DISK - 512, sector, 512), 0);
	assert_memory_equal(sector, bytes + DISK - 512, 512);
	assert_int_equal(transfer(f, block, BLOCK_READ, DISK - 512, sector, 1024), -EINVAL);
	assert_int_equal(transfer(f, block, BLOCK_READ, DISK, sector, 512), -EINVAL);
	assert_int_equal(transfer(f, block, BLOCK_WRITE, UINT64_MAX - 511, sector, 512), -EINVAL);
	assert_int_equal(transfer(f, block, BLOCK_READ, 100, sector, 512), -EINVAL);
	assert_int_equal(transfer(f, block, BLOCK_READ, 0, sector, 100), -EINVAL);
	assert_int_equal(transfer(f, block, BLOCK_READ, DISK, sector, 0), 0);
	block_close(block);
	assert_int_equal(block_open(&block, &config, &error), 0);
	assert_true(block_is_read_only(block));
	assert_int_equal(transfer(f, block, BLOCK_WRITE, 0, sector, 512), -EINVAL);
	assert_int_equal(
		run(f, block, (struct block_request){ .op = BLOCK_DISCARD, .size = 512 }), -EINVAL);
	assert_int_equal(run(f, block, (struct block_request){ .op = BLOCK_FLUSH }), 0);
	block_close(block);
	assert_file_is(f->path, bytes, DISK);
	free(bytes);
}

static void apply(struct fixture *f, struct block *block, uint8_t *model, enum block_op op,
	uint64_t offset, uint64_t size, unsigned seed)
{
	uint8_t *bytes = make_random(size, seed);

	if (op == BLOCK_READ || op == BLOCK_WRITE)
		assert_int_equal(transfer(f, block, op, offset, bytes, size), 0);
	else
		assert_int_equal(run(f, block,
					 (struct block_request){ .op = op,
						 .offset = offset,
						 .size = size,
						 .durable = seed & 1,
						 .may_unmap = seed & 2 }),
			0);
	if (op == BLOCK_READ)
		assert_memory_equal(bytes, model + offset, size);
	else if (op == BLOCK_WRITE)
		memcpy(model + offset, bytes, size);
	else if (op == BLOCK_WRITE_ZEROES)
		memset(model + offset, 0, size);
	else if (op == BLOCK_DISCARD) /* undefined: what is there now is right */
		assert_int_equal(transfer(f, block, BLOCK_READ, offset, model + offset, size), 0);
	free(bytes);
}

/* Many requests against an array that should be the same. */
static void check_against_model(struct fixture *f, enum block_engine_type engine, bool snapshot,
	size_t file_size, unsigned count, unsigned seed)
{
	static const enum block_op ops[] = { BLOCK_READ, BLOCK_WRITE, BLOCK_READ, BLOCK_WRITE,
		BLOCK_WRITE_ZEROES, BLOCK_DISCARD, BLOCK_FLUSH };
	uint8_t *before = make_random(file_size, 3), *model = calloc(1, DISK);
	uint8_t *all = malloc(DISK);
	struct block *block;

	make_file(f->path, before, file_size);
	memcpy(model, before, file_size);
	block = open_ok(f, engine, snapshot);
	assert_int_equal(block_size(block), DISK);
	for (unsigned i = 0; i < count; i++) {
		uint64_t offset, size;

		seed = seed * 1103515245u + 12345u;
		offset = (seed >> 8) % (DISK / 512) * 512;
		seed = seed * 1103515245u + 12345u;
		size = (seed >> 8) % (i % 2 ? DISK / 512 : 9) * 512;
		apply(f, block, model, ops[i % 7], offset, MIN(size, DISK - offset), seed >> 4);
	}
	assert_int_equal(transfer(f, block, BLOCK_READ, 0, all, DISK), 0);
	assert_memory_equal(all, model, DISK);
	block_close(block);
	if (snapshot) {
		assert_file_is(f->path, before, file_size);
	} else { /* the last bytes of the last sector may still be missing */
		memset(all, 0, DISK);
		int fd = open(f->path, O_RDONLY);
		assert_true(pread(fd, all, DISK, 0) >= (ssize_t)file_size);
		close(fd);
		assert_memory_equal(all, model, DISK);
	}
	free(before);
	free(model);
	free(all);
}

static void check_many_in_flight(struct fixture *f, enum block_engine_type engine)
{
	enum { COUNT = 400 };
	static struct waited waited[COUNT];
	static uint8_t sectors[COUNT][512];
	struct iovec iov[COUNT];
	uint8_t *bytes = make_random(COUNT * 512, 5);
	struct block *block;

	memset(waited, 0, sizeof(waited));
	memset(sectors, 0, sizeof(sectors));
	make_file(f->path, bytes, COUNT * 512);
	block = open_ok(f, engine, false);
	for (unsigned i = 0; i < COUNT; i++) {
		iov[i] = (struct iovec){ sectors[i], 512 };
		waited[i].io = (struct block_request){ .op = BLOCK_READ,
			.offset = i * 512,
			.size = 512,
			.iov = &iov[i],
			.iov_count = 1,
			.done = waited_done };
		assert_int_equal(block_submit(block, &waited[i].io), 0);
	}
	block_drain(block);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_true(waited[i].done);
		assert_int_equal(waited[i].result, 0);
	}
	assert_memory_equal(sectors, bytes, COUNT * 512);
	block_close(block);
	free(bytes);
}

/* The file became shorter behind our back: an error, not zeros and not a hang. */
static void check_truncated(struct fixture *f, enum block_engine_type engine)
{
	uint8_t *bytes = make_random(DISK, 6), sector[512];
	struct block *block;

	make_file(f->path, bytes, DISK);
	block = open_ok(f, engine, false);
	assert_int_equal(truncate(f->path, 1000), 0);
	assert_int_equal(transfer(f, block, BLOCK_READ, 4096, sector, 512), -EIO);
	assert_int_equal(transfer(f, block, BLOCK_READ, 512, sector, 512), -EIO);
	assert_int_equal(transfer(f, block, BLOCK_READ, 0, sector, 512), 0);
	block_close(block);
	free(bytes);
}

/* block_close() waits for what is in flight and its data stays. */
static void check_close(struct fixture *f, enum block_engine_type engine)
{
	uint8_t *bytes = make_random(DISK, 7);
	struct iovec iov = { bytes, DISK };
	struct waited waited = { .io = { .op = BLOCK_WRITE,
					 .size = DISK,
					 .iov = &iov,
					 .iov_count = 1,
					 .done = waited_done } };
	struct block *block;

	make_file(f->path, "", 0);
	assert_int_equal(truncate(f->path, DISK), 0);
	block = open_ok(f, engine, false);
	assert_int_equal(block_submit(block, &waited.io), 0);
	block_close(block);
	assert_true(waited.done);
	assert_int_equal(waited.result, 0);
	assert_file_is(f->path, bytes, DISK);
	free(bytes);
}

static void check_engine(struct fixture *f, enum block_engine_type engine)
{
	check_bounds(f, engine);
	check_against_model(f, engine, false, DISK, 600, 4);
	check_against_model(f, engine, false, DISK - 200, 600, 5);
	check_many_in_flight(f, engine);
	check_truncated(f, engine);
	check_close(f, engine);
}

static void test_threads(void **state)
{
	check_engine(*state, BLOCK_ENGINE_THREADS);
}

static void test_uring(void **state)
{
	struct fixture *f = *state;
	struct block_config config = {
		.loop = f->loop, .path = f->path, .engine = BLOCK_ENGINE_URING
	};
	char sector[512] = "", *error;
	struct block *block;

	make_file(f->path, sector, sizeof(sector));
	if (block_open(&block, &config, &error)) {
		print_message("%s\n", error);
		free(error);
		skip();
	}
	assert_string_equal(block_engine_name(block), "io_uring");
	block_close(block);
	check_engine(f, BLOCK_ENGINE_URING);
}

static void test_snapshot(void **state)
{
	/* Short ones too: once all clusters are in the overlay there is little to go wrong. */
	for (unsigned seed = 0; seed < 40; seed++)
		check_against_model(*state, BLOCK_ENGINE_AUTO, true, DISK, 12, seed);
	check_against_model(*state, BLOCK_ENGINE_AUTO, true, DISK, 600, 4);
	check_against_model(*state, BLOCK_ENGINE_AUTO, true, DISK - 200, 600, 5);
}

static void test_snapshot_of_unwritable(void **state)
{
	struct fixture *f = *state;
	char sector[512] = "old", other[512] = "new";
	struct block *block;

	make_file(f->path, sector, sizeof(sector));
	assert_int_equal(chmod(f->path, 0444), 0);
	block = open_ok(f, BLOCK_ENGINE_AUTO, true);
	assert_false(block_is_read_only(block));
	assert_int_equal(transfer(f, block, BLOCK_WRITE, 0, other, 512), 0);
	assert_int_equal(transfer(f, block, BLOCK_READ, 0, sector, 512), 0);
	assert_string_equal(sector, "new");
	block_close(block);
}

static void test_snapshot_without_room(void **state)
{
	struct fixture *f = *state;
	struct block_config config = { .loop = f->loop, .path = f->path, .snapshot = true };
	char sector[512] = "";

	make_file(f->path, sector, sizeof(sector));
	setenv("TMPDIR", "/nowhere/at/all", 1);
	open_fails(&config, -ENOENT, "cannot make a temporary file in /nowhere/at/all");
	unsetenv("TMPDIR");
}

static void test_durable(void **state)
{
	struct fixture *f = *state;
	char sector[512] = "";
	struct iovec iov = { sector, 512 };
	struct block_request io = { .op = BLOCK_WRITE, .size = 512, .iov = &iov, .iov_count = 1 };
	struct block *block;

	make_file(f->path, sector, sizeof(sector));
	block = open_ok(f, BLOCK_ENGINE_THREADS, false);
	fdatasync_calls = 0;
	assert_int_equal(run(f, block, io), 0);
	assert_int_equal(fdatasync_calls, 0);
	io.durable = true;
	assert_int_equal(run(f, block, io), 0);
	assert_int_equal(fdatasync_calls, 1);
	assert_int_equal(run(f, block, (struct block_request){ .op = BLOCK_FLUSH }), 0);
	assert_int_equal(fdatasync_calls, 2);
	io.op = BLOCK_WRITE_ZEROES;
	assert_int_equal(run(f, block, io), 0);
	assert_int_equal(fdatasync_calls, 3);
	block_close(block);
	assert_int_equal(fdatasync_calls, 4);
}

/* A discard gives the file's space back. */
static void test_discard_frees(void **state)
{
	struct fixture *f = *state;
	uint8_t *bytes = make_random(16 * CLUSTER, 8);
	struct stat before, after;
	struct block *block;

	make_file(f->path, bytes, 16 * CLUSTER);
	assert_int_equal(stat(f->path, &before), 0);
	block = open_ok(f, BLOCK_ENGINE_AUTO, false);
	assert_int_equal(
		run(f, block,
			(struct block_request){
				.op = BLOCK_DISCARD, .offset = CLUSTER, .size = 8 * CLUSTER }),
		0);
	block_close(block);
	assert_int_equal(stat(f->path, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	if (after.st_blocks == before.st_blocks)
		print_message("the file system of %s punches no holes\n", f->folder);
	else
		assert_int_equal(before.st_blocks - after.st_blocks, 8 * CLUSTER / 512);
	free(bytes);
}

#define BLOCK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BLOCK_TEST(test_refused_files),
		BLOCK_TEST(test_refused_formats),
		BLOCK_TEST(test_stated_raw),
		BLOCK_TEST(test_locks),
		BLOCK_TEST(test_lock_of_qemu),
		BLOCK_TEST(test_threads),
		BLOCK_TEST(test_uring),
		BLOCK_TEST(test_snapshot),
		BLOCK_TEST(test_snapshot_of_unwritable),
		BLOCK_TEST(test_snapshot_without_room),
		BLOCK_TEST(test_durable),
		BLOCK_TEST(test_discard_frees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
