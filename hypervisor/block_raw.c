/* SPDX-License-Identifier: MIT */
/* Raw images: the disk's bytes are the file's bytes. Also the transfers that other formats use. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/util.h"
#include "hypervisor/block_driver.h"

enum { ZERO_CHUNK = 64 * 1024 };

uint32_t block_iov_slice(
	const struct iovec *iov, uint32_t count, uint64_t skip, uint64_t size, struct iovec *out)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < count && size && used < BLOCK_MAX_IOV; i++) {
		uint64_t length;

		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		length = MIN(size, iov[i].iov_len - skip);
		out[used++] = (struct iovec){ (char *)iov[i].iov_base + skip, (size_t)length };
		size -= length;
		skip = 0;
	}
	return used;
}

static void zero_iov(const struct iovec *iov, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
}

int block_fd_read(int fd, const struct iovec *iov, uint32_t count, uint64_t offset, uint64_t size,
	uint64_t end_of_file)
{
	struct iovec rest[BLOCK_MAX_IOV];
	uint64_t done = 0;

	while (done < size) {
		uint32_t pieces = block_iov_slice(iov, count, done, size - done, rest);
		ssize_t got = preadv(fd, rest, (int)pieces, (off_t)(offset + done));

		if (!pieces)
			return -EINVAL;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) {
			if (offset + done < end_of_file)
				return -EIO;
			zero_iov(rest, pieces);
			return 0;
		}
		done += (uint64_t)got;
	}
	return 0;
}

int block_fd_write(int fd, const struct iovec *iov, uint32_t count, uint64_t offset, uint64_t size)
{
	struct iovec rest[BLOCK_MAX_IOV];
	uint64_t done = 0;

	while (done < size) {
		uint32_t pieces = block_iov_slice(iov, count, done, size - done, rest);
		ssize_t put = pwritev(fd, rest, (int)pieces, (off_t)(offset + done));

		if (!pieces)
			return -EINVAL;
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		if (put == 0)
			return -EIO;
		done += (uint64_t)put;
	}
	return 0;
}

int block_fd_write_zeros(int fd, uint64_t offset, uint64_t size)
{
	static const char zeros[ZERO_CHUNK];

	while (size) {
		struct iovec iov = { (void *)zeros, (size_t)MIN(size, (uint64_t)ZERO_CHUNK) };
		int err = block_fd_write(fd, &iov, 1, offset, iov.iov_len);

		if (err)
			return err;
		offset += iov.iov_len;
		size -= iov.iov_len;
	}
	return 0;
}

static int punch_hole(struct block *block, uint64_t offset, uint64_t size)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return fallocate(block->fd, mode, (off_t)offset, (off_t)size) < 0 ? -errno : 0;
}

static int discard(struct block *block, uint64_t offset, uint64_t size)
{
	uint64_t range[2] = { offset, size };
	int err;

	if (!size)
		return 0;
	if (block->is_device)
		err = ioctl(block->fd, BLKDISCARD, range) < 0 ? -errno : 0;
	else
		err = punch_hole(block, offset, size);
	/* Only a hint: storage that cannot do it has nothing to do. */
	return err == -EOPNOTSUPP || err == -ENOTTY ? 0 : err;
}

static int write_zeroes(struct block *block, uint64_t offset, uint64_t size, bool may_unmap)
{
	uint64_t range[2] = { offset, size };
	int err;

	if (!size)
		return 0;
	if (block->is_device)
		err = ioctl(block->fd, BLKZEROOUT, range) < 0 ? -errno : 0;
	else if (may_unmap)
		err = punch_hole(block, offset, size);
	else
		err = fallocate(block->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
			      (off_t)offset, (off_t)size) < 0
			? -errno
			: 0;
	if (err == -EOPNOTSUPP || err == -ENOTTY || err == -EINVAL)
		err = block_fd_write_zeros(block->fd, offset, size);
	return err;
}

static int raw_run(struct block *block, struct block_request *request)
{
	switch (request->stage) {
	case BLOCK_READ:
		return block_fd_read(block->fd, request->iov, request->iov_count, request->offset,
			request->size, block->file_size);
	case BLOCK_WRITE:
		return block_fd_write(block->fd, request->iov, request->iov_count, request->offset,
			request->size);
	case BLOCK_FLUSH: return block->read_only || !fdatasync(block->fd) ? 0 : -errno;
	case BLOCK_DISCARD: return discard(block, request->offset, request->size);
	case BLOCK_WRITE_ZEROES:
		return write_zeroes(block, request->offset, request->size, request->may_unmap);
	}
	return -EINVAL;
}

const struct block_image_ops block_raw_ops = { .run = raw_run, .is_flat = true };
