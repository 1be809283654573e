/* SPDX-License-Identifier: MIT */
/*
 * A disk image and its asynchronous I/O. Above: a virtual disk. Below: the image's format, and an
 * engine (io_uring, or threads where the host's kernel refuses it). All calls are of the loop thread.
 */
#ifndef HYPERVISOR_BLOCK_H
#define HYPERVISOR_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/loop.h"

#define BLOCK_SECTOR 512u

struct block;

enum block_format {
	BLOCK_FORMAT_BY_NAME, /* what the file name's ending says; no ending of a known format: raw */
	BLOCK_FORMAT_RAW,
};

enum block_engine_type {
	BLOCK_ENGINE_AUTO, /* io_uring when the kernel gives it, else threads */
	BLOCK_ENGINE_URING,
	BLOCK_ENGINE_THREADS,
};

struct block_config {
	struct loop *loop;
	const char *path;
	enum block_format format;
	enum block_engine_type engine;
	bool read_only;
	bool snapshot; /* writes go to a temporary file and are gone at block_close() */
};

/* Opens and locks an image: a regular file or a block device. Its content is never taken as another
 * format than the caller or the file's name says. On failure returns -errno and *error (malloc'ed,
 * one plain sentence; the caller frees it). */
int block_open(struct block **out, const struct block_config *config, char **error);
/* Waits for what is in flight, makes it durable, unlocks and frees. NULL is ignored. */
void block_close(struct block *block);

/* Size in bytes, a multiple of BLOCK_SECTOR (a file's ragged end reads as zeros). */
uint64_t block_size(const struct block *block);
bool block_is_read_only(const struct block *block);
/* The image's preferred unit of I/O in bytes: a power of two from 512 to 64 KiB. */
uint32_t block_physical_size(const struct block *block);
/* "io_uring" or "threads". */
const char *block_engine_name(const struct block *block);

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH, /* all writes completed before it was submitted become durable */
	BLOCK_DISCARD, /* the content is of no more use; a hint, then undefined */
	BLOCK_WRITE_ZEROES, /* reads as zeros afterwards */
};

/* One request, the caller's memory until `done`. */
struct block_request {
	enum block_op op;
	bool durable; /* BLOCK_WRITE, BLOCK_WRITE_ZEROES: durable when done, not only written */
	bool may_unmap; /* BLOCK_WRITE_ZEROES: may give the space back */
	uint64_t offset; /* bytes */
	uint64_t size; /* bytes; for READ and WRITE the sum of iov */
	const struct iovec *iov;
	uint32_t iov_count; /* at most 1024 */
	/* Once, on the loop thread, from the loop or inside block_drain(), never inside
	 * block_submit(). result is 0 or -errno; a short transfer is -EIO. */
	void (*done)(struct block_request *request, int result);
	/* Kept by block*.c. */
	struct block *block;
	struct block_request *next;
	enum block_op stage; /* what is being done now: op, then BLOCK_FLUSH when durable */
	int result;
};

/* Starts a request. -EINVAL (and `done` is not called) when it is outside of the image, not whole
 * sectors, or writes to a read-only one; else 0. */
int block_submit(struct block *block, struct block_request *request);
/* Waits until nothing is in flight; runs the `done` of each, which may submit more. */
void block_drain(struct block *block);
/* Drains, then makes everything durable before it returns. 0 or -errno. */
int block_sync(struct block *block);

#endif
