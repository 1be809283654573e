/* SPDX-License-Identifier: MIT */
/*
 * The overlay of --snapshot: a temporary file without a name, as large as the image and sparse, takes
 * all writes; a bitmap in memory tells which clusters are there. The image is only read.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "hypervisor/block_driver.h"

enum { CLUSTER = 64 * 1024 };

struct block_snapshot {
	int fd;
	pthread_rwlock_t lock; /* readers read, writers change the overlay: both need the bitmap */
	uint64_t *in_overlay; /* one bit a cluster */
};

static bool has_cluster(const struct block_snapshot *snapshot, uint64_t cluster)
{
	return (snapshot->in_overlay[cluster / 64] >> (cluster % 64)) & 1;
}

static void set_cluster(struct block_snapshot *snapshot, uint64_t cluster)
{
	snapshot->in_overlay[cluster / 64] |= 1ull << (cluster % 64);
}

/* The bytes from offset on, at most size, whose clusters are all in the overlay or all not. */
static uint64_t run_length(const struct block_snapshot *snapshot, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size, at = ALIGN_DOWN(offset, (uint64_t)CLUSTER);
	bool first = has_cluster(snapshot, at / CLUSTER);

	do
		at += CLUSTER;
	while (at < end && has_cluster(snapshot, at / CLUSTER) == first);
	return MIN(at, end) - offset;
}

static int read_clusters(struct block *block, const struct block_request *request)
{
	struct block_snapshot *snapshot = block->image_state;
	struct iovec part[BLOCK_MAX_IOV];
	uint64_t done = 0;
	int err = 0;

	while (done < request->size && !err) {
		uint64_t offset = request->offset + done;
		uint64_t size = run_length(snapshot, offset, request->size - done);
		uint32_t count =
			block_iov_slice(request->iov, request->iov_count, done, size, part);

		if (has_cluster(snapshot, offset / CLUSTER))
			err = block_fd_read(snapshot->fd, part, count, offset, size, block->size);
		else
			err = block_fd_read(block->fd, part, count, offset, size, block->file_size);
		done += size;
	}
	return err;
}

/* Brings a cluster that will be changed in part into the overlay. */
static int copy_cluster(struct block *block, uint64_t cluster)
{
	struct block_snapshot *snapshot = block->image_state;
	uint64_t offset = cluster * CLUSTER;
	uint64_t size = MIN((uint64_t)CLUSTER, block->size - offset);
	struct iovec iov = { malloc(size), (size_t)size };
	int err;

	if (!iov.iov_base)
		return -ENOMEM;
	err = block_fd_read(block->fd, &iov, 1, offset, size, block->file_size);
	if (!err)
		err = block_fd_write(snapshot->fd, &iov, 1, offset, size);
	if (!err)
		set_cluster(snapshot, cluster);
	free(iov.iov_base);
	return err;
}

/* Copies the clusters at both ends of a change that cover more than it. */
static int copy_edges(struct block *block, uint64_t offset, uint64_t size)
{
	struct block_snapshot *snapshot = block->image_state;
	uint64_t end = offset + size;
	int err = 0;

	if (offset % CLUSTER && !has_cluster(snapshot, offset / CLUSTER))
		err = copy_cluster(block, offset / CLUSTER);
	if (!err && end % CLUSTER && end != block->size && !has_cluster(snapshot, end / CLUSTER))
		err = copy_cluster(block, end / CLUSTER);
	return err;
}

static void set_clusters(struct block_snapshot *snapshot, uint64_t offset, uint64_t size)
{
	for (uint64_t at = ALIGN_DOWN(offset, (uint64_t)CLUSTER); at < offset + size; at += CLUSTER)
		set_cluster(snapshot, at / CLUSTER);
}

static int write_clusters(struct block *block, const struct block_request *request)
{
	struct block_snapshot *snapshot = block->image_state;
	int err;

	if (!request->size)
		return 0;
	err = copy_edges(block, request->offset, request->size);
	if (!err)
		err = block_fd_write(snapshot->fd, request->iov, request->iov_count,
			request->offset, request->size);
	if (!err)
		set_clusters(snapshot, request->offset, request->size);
	return err;
}

/* A hole in the overlay is zeros: no need to write any. */
static int zero_clusters(struct block *block, const struct block_request *request)
{
	struct block_snapshot *snapshot = block->image_state;
	int err;

	if (!request->size)
		return 0;
	err = copy_edges(block, request->offset, request->size);
	if (!err &&
		fallocate(snapshot->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)request->offset, (off_t)request->size) < 0)
		err = -errno;
	if (err == -EOPNOTSUPP)
		err = block_fd_write_zeros(snapshot->fd, request->offset, request->size);
	if (!err)
		set_clusters(snapshot, request->offset, request->size);
	return err;
}

static int snapshot_run(struct block *block, struct block_request *request)
{
	struct block_snapshot *snapshot = block->image_state;
	int err = 0;

	if (request->stage == BLOCK_FLUSH)
		return 0; /* what is thrown away need not be durable */
	if (request->stage == BLOCK_READ) {
		pthread_rwlock_rdlock(&snapshot->lock);
		err = read_clusters(block, request);
	} else {
		pthread_rwlock_wrlock(&snapshot->lock);
		if (request->stage == BLOCK_WRITE)
			err = write_clusters(block, request);
		else
			err = zero_clusters(block, request);
	}
	pthread_rwlock_unlock(&snapshot->lock);
	return err;
}

static void snapshot_close(struct block *block)
{
	struct block_snapshot *snapshot = block->image_state;

	if (snapshot->fd >= 0)
		close(snapshot->fd);
	pthread_rwlock_destroy(&snapshot->lock);
	free(snapshot->in_overlay);
	free(snapshot);
}

static const struct block_image_ops snapshot_ops = { .run = snapshot_run, .close = snapshot_close };

/* A file without a name, or with one for a moment where the file system has no such. */
static int open_unnamed(const char *folder)
{
	char path[4096];
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if ((size_t)snprintf(path, sizeof(path), "%s/spicebox-XXXXXX", folder) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

int block_snapshot_attach(struct block *block, char **error)
{
	const char *folder = getenv("TMPDIR");
	struct block_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	uint64_t clusters = DIV_ROUND_UP(block->size, (uint64_t)CLUSTER);

	if (!snapshot)
		return block_fail(error, -ENOMEM, "out of memory");
	if (!folder || !*folder)
		folder = "/var/tmp"; /* not /tmp, which is often memory */
	pthread_rwlock_init(&snapshot->lock, NULL);
	block->image = &snapshot_ops;
	block->image_state = snapshot;
	snapshot->in_overlay = calloc(DIV_ROUND_UP(clusters, 64), sizeof(uint64_t));
	snapshot->fd = open_unnamed(folder);
	if (!snapshot->in_overlay)
		return block_fail(error, -ENOMEM, "out of memory");
	if (snapshot->fd < 0)
		return block_fail(error, snapshot->fd,
			"cannot make a temporary file in %s: %s; set TMPDIR to a folder with room",
			folder, strerror(-snapshot->fd));
	if (ftruncate(snapshot->fd, (off_t)block->size) < 0)
		return block_fail(error, -errno,
			"no temporary file of %llu bytes in %s: %s; set "
			"TMPDIR to a folder with room",
			(unsigned long long)block->size, folder, strerror(errno));
	return 0;
}
