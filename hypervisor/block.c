/* SPDX-License-Identifier: MIT */
/* Disk images: what may be opened and how, and the way of a request to an engine and back. */
#include "hypervisor/block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/util.h"
#include "hypervisor/block_driver.h"

int block_fail(char **error, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(error, fmt, args) < 0)
		*error = NULL;
	va_end(args);
	return err;
}

/* ---- which format ---- */

struct foreign_format {
	const char *name;
	const char *convert; /* what qemu-img calls it */
	const char *endings[3];
	const char *magic; /* at the start of the file */
	size_t magic_size;
	size_t magic_offset;
};

static const struct foreign_format foreign_formats[] = {
	{ "qcow2", "qcow2", { ".qcow2", ".qcow" }, "QFI\xfb", 4, 0 },
	{ "VMDK", "vmdk", { ".vmdk" }, "KDMV", 4, 0 },
	{ "VMDK", "vmdk", { NULL }, "COWD", 4, 0 },
	{ "VMDK", "vmdk", { NULL }, "# Disk DescriptorFile", 21, 0 },
	{ "VDI", "vdi", { ".vdi" }, "\x7f\x10\xda\xbe", 4, 64 },
	{ "VHDX", "vhdx", { ".vhdx" }, "vhdxfile", 8, 0 },
	{ "VHD", "vpc", { ".vhd", ".vpc" }, "conectix", 8, 0 },
	{ "QED", "qed", { ".qed" }, "QED", 4, 0 },
};

static bool name_ends_in(const char *path, const char *ending)
{
	size_t length = strlen(path), ending_length = strlen(ending);

	return length > ending_length && !strcasecmp(path + length - ending_length, ending);
}

static int refuse_format(
	const struct foreign_format *format, const char *path, const char *why, char **error)
{
	return block_fail(error, -ENOTSUP,
		"%s %s a %s image, and only raw images can be opened; convert it with: qemu-img "
		"convert -f %s -O raw %s disk.img",
		path, why, format->name, format->convert, path);
}

/* The name decides. Content is looked at only to refuse what is probably a mistake: a guest that
 * writes such a header into its raw disk must never have it interpreted. */
static int check_format(const struct block_config *config, int fd, char **error)
{
	uint8_t start[128] = { 0 };

	if (config->format == BLOCK_FORMAT_RAW)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(foreign_formats); i++)
		for (size_t j = 0; j < ARRAY_SIZE(foreign_formats[i].endings); j++)
			if (foreign_formats[i].endings[j] &&
				name_ends_in(config->path, foreign_formats[i].endings[j]))
				return refuse_format(
					&foreign_formats[i], config->path, "is by its name", error);
	if (name_ends_in(config->path, ".raw"))
		return 0;
	if (pread(fd, start, sizeof(start), 0) < 0)
		return block_fail(
			error, -errno, "cannot read %s: %s", config->path, strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(foreign_formats); i++) {
		const struct foreign_format *format = &foreign_formats[i];

		if (!memcmp(start + format->magic_offset, format->magic, format->magic_size))
			return refuse_format(format, config->path, "begins like", error);
	}
	return 0;
}

/* ---- opening ---- */

static int open_error(const struct block_config *config, bool for_write, int err, char **error)
{
	const char *path = config->path;

	switch (err) {
	case -ENOENT:
		return block_fail(
			error, err, "%s does not exist; give the path of a disk image", path);
	case -EACCES:
	case -EPERM:
	case -EROFS:
		if (for_write)
			return block_fail(error, err,
				"%s cannot be written: %s; use --snapshot, or make it writable",
				path, strerror(-err));
		return block_fail(error, err, "%s cannot be read: %s; check its permissions", path,
			strerror(-err));
	case -EBUSY:
		return block_fail(error, err,
			"%s is in use by the host (mounted?); unmount it or use --snapshot", path);
	default: return block_fail(error, err, "cannot open %s: %s", path, strerror(-err));
	}
}

/* What kind of file it is is found out before it is opened for good: opening a tape or a pipe may
 * wait, and a block device is taken exclusively, so that no mounted file system is written. */
static int open_file(struct block *block, const struct block_config *config, char **error)
{
	bool for_write = !config->read_only && !config->snapshot;
	int flags = (for_write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY;
	struct stat st;

	if (stat(config->path, &st) < 0)
		return open_error(config, for_write, -errno, error);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return block_fail(error, -EINVAL,
			"%s is %s; give a file or a block device that holds a disk image",
			config->path, S_ISDIR(st.st_mode) ? "a folder" : "no disk image");
	if (S_ISBLK(st.st_mode) && for_write)
		flags |= O_EXCL;
	block->fd = open(config->path, flags | O_NONBLOCK);
	if (block->fd < 0)
		return open_error(config, for_write, -errno, error);
	if (fstat(block->fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return block_fail(error, -EINVAL, "%s changed while it was opened", config->path);
	/* io_uring gives -EAGAIN for descriptors that are still non-blocking. */
	if (fcntl(block->fd, F_SETFL, 0) < 0)
		return open_error(config, for_write, -errno, error);
	block->is_device = S_ISBLK(st.st_mode);
	block->read_only = config->read_only;
	return 0;
}

static int lock_file(struct block *block, const struct block_config *config, char **error)
{
	bool snapshot_helps = false;
	int err = block_lock(block->fd, !config->read_only && !config->snapshot, &snapshot_helps);

	if (err == -EAGAIN)
		return block_fail(error, err,
			"%s is in use by another program (spicebox or QEMU); stop it%s",
			config->path, snapshot_helps ? " or use --snapshot" : " first");
	if (err)
		log_warn(block->name, "cannot be locked (%s): take care that nothing else uses it",
			strerror(-err));
	return 0;
}

static uint32_t clamp_physical_size(uint64_t bytes)
{
	uint32_t size = BLOCK_SECTOR;

	while (size < bytes && size < 65536)
		size *= 2;
	return size;
}

static int measure_file(struct block *block, const struct block_config *config, char **error)
{
	unsigned physical = 0;
	struct stat st;
	int err = 0;

	if (fstat(block->fd, &st) < 0)
		err = -errno;
	if (!err && block->is_device) {
		if (ioctl(block->fd, BLKGETSIZE64, &block->file_size) < 0 ||
			ioctl(block->fd, BLKPBSZGET, &physical) < 0)
			err = -errno;
	} else if (!err) {
		block->file_size = (uint64_t)st.st_size;
		physical = (unsigned)st.st_blksize;
	}
	if (err)
		return block_fail(
			error, err, "cannot find the size of %s: %s", config->path, strerror(-err));
	if (!block->file_size)
		return block_fail(error, -EINVAL,
			"%s is empty; give a disk image with content, or "
			"make room in it with: truncate -s 20G %s",
			config->path, config->path);
	block->size = ALIGN_UP(block->file_size, (uint64_t)BLOCK_SECTOR);
	block->physical_size = clamp_physical_size(physical);
	return 0;
}

static int create_engines(struct block *block, const struct block_config *config, char **error)
{
	int err = block_threads_create(&block->threads, block->loop);

	if (err)
		return block_fail(error, err, "no threads for disk I/O: %s", strerror(-err));
	if (config->engine == BLOCK_ENGINE_THREADS || !block->image->is_flat)
		return 0;
	err = block_uring_create(&block->uring, block->loop);
	if (!err)
		return 0;
	log_info(block->name, "no io_uring here (%s): threads do the I/O", strerror(-err));
	if (config->engine == BLOCK_ENGINE_AUTO)
		return 0;
	return block_fail(error, err, "the kernel refuses io_uring: %s", strerror(-err));
}

static int open_steps(struct block *block, const struct block_config *config, char **error)
{
	const char *slash = strrchr(config->path, '/');
	int err;

	block->name = strdup(slash && slash[1] ? slash + 1 : config->path);
	if (!block->name)
		return block_fail(error, -ENOMEM, "out of memory");
	block->image = &block_raw_ops;
	err = open_file(block, config, error);
	if (!err)
		err = check_format(config, block->fd, error);
	if (!err)
		err = lock_file(block, config, error);
	if (!err)
		err = measure_file(block, config, error);
	if (!err && config->snapshot && !config->read_only)
		err = block_snapshot_attach(block, error);
	if (!err)
		err = create_engines(block, config, error);
	return err;
}

int block_open(struct block **out, const struct block_config *config, char **error)
{
	struct block *block = calloc(1, sizeof(*block));
	int err;

	*error = NULL;
	if (!block)
		return block_fail(error, -ENOMEM, "out of memory");
	block->loop = config->loop;
	block->fd = -1;
	err = open_steps(block, config, error);
	if (err) {
		block_close(block);
		return err;
	}
	*out = block;
	return 0;
}

void block_close(struct block *block)
{
	if (!block)
		return;
	if (block->threads) /* fully made */
		block_sync(block);
	block_uring_destroy(block->uring);
	block_threads_destroy(block->threads);
	if (block->image_state)
		block->image->close(block);
	if (block->fd >= 0)
		close(block->fd); /* unlocks */
	free(block->name);
	free(block);
}

uint64_t block_size(const struct block *block)
{
	return block->size;
}

bool block_is_read_only(const struct block *block)
{
	return block->read_only;
}

uint32_t block_physical_size(const struct block *block)
{
	return block->physical_size;
}

const char *block_engine_name(const struct block *block)
{
	return block->uring ? "io_uring" : "threads";
}

/* ---- requests ---- */

static const char *op_name(enum block_op op)
{
	switch (op) {
	case BLOCK_READ: return "reading";
	case BLOCK_WRITE: return "writing";
	case BLOCK_FLUSH: return "flushing";
	case BLOCK_DISCARD: return "discarding";
	case BLOCK_WRITE_ZEROES: return "writing zeros to";
	}
	return "using";
}

static void start_stage(struct block *block, struct block_request *request, enum block_op stage)
{
	request->stage = stage;
	if (!block->uring || !block_uring_submit(block->uring, request))
		block_threads_submit(block->threads, request);
}

static bool request_is_valid(const struct block *block, const struct block_request *request)
{
	if (request->op == BLOCK_FLUSH)
		return true;
	if (request->op != BLOCK_READ && block->read_only)
		return false;
	if (request->iov_count > BLOCK_MAX_IOV)
		return false;
	return request->offset % BLOCK_SECTOR == 0 && request->size % BLOCK_SECTOR == 0 &&
		request->offset <= block->size && request->size <= block->size - request->offset;
}

int block_submit(struct block *block, struct block_request *request)
{
	if (!request_is_valid(block, request))
		return -EINVAL;
	request->block = block;
	block->in_flight++;
	start_stage(block, request, request->op);
	return 0;
}

void block_complete(struct block_request *request, int result)
{
	struct block *block = request->block;

	if (!result && request->durable && request->stage != BLOCK_FLUSH &&
		(request->op == BLOCK_WRITE || request->op == BLOCK_WRITE_ZEROES)) {
		start_stage(block, request, BLOCK_FLUSH);
		return;
	}
	if (result)
		log_warn_limited(&block->log_limit, block->name,
			"%s %llu bytes at byte %llu failed: %s", op_name(request->stage),
			(unsigned long long)request->size, (unsigned long long)request->offset,
			strerror(-result));
	block->in_flight--;
	request->done(request, result);
}

void block_drain(struct block *block)
{
	while (block->in_flight) {
		if (block->uring && block_uring_busy(block->uring))
			block_uring_wait(block->uring);
		else
			block_threads_wait(block->threads);
	}
}

int block_sync(struct block *block)
{
	block_drain(block);
	if (block->read_only || !block->image->is_flat)
		return 0;
	return fdatasync(block->fd) < 0 ? -errno : 0;
}
