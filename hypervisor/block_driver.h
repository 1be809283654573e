/* SPDX-License-Identifier: MIT */
/* Between block.c and what is below it: image formats and engines. Included by block*.c only. */
#ifndef HYPERVISOR_BLOCK_DRIVER_H
#define HYPERVISOR_BLOCK_DRIVER_H

#include "core/log.h"
#include "hypervisor/block.h"

#define BLOCK_MAX_IOV 1024u

struct block_engine;

/* An image format. */
struct block_image_ops {
	/* Does what request->stage says, now; 0 or -errno. On a thread of the pool, several at a
	 * time. */
	int (*run)(struct block *block, struct block_request *request);
	/* Frees block->image_state. May be NULL. */
	void (*close)(struct block *block);
	/* Guest offsets are offsets in block->fd: an engine may do reads, writes and flushes on its
	 * own. */
	bool is_flat;
};

struct block {
	struct loop *loop;
	char *name; /* the path's last part, for the log */
	int fd;
	bool is_device;
	bool read_only;
	uint64_t size; /* as the guest sees it */
	uint64_t file_size; /* when it was opened; at most 511 bytes less than size */
	uint32_t physical_size;
	const struct block_image_ops *image;
	void *image_state;
	struct block_engine *threads;
	struct block_engine *uring; /* NULL: the threads do everything */
	uint32_t in_flight;
	struct log_limit log_limit;
};

/* For engines, on the loop thread: the stage is over. */
void block_complete(struct block_request *request, int result);

/* Engine of threads: runs image->run(). */
int block_threads_create(struct block_engine **out, struct loop *loop);
void block_threads_destroy(struct block_engine *engine);
void block_threads_submit(struct block_engine *engine, struct block_request *request);
/* Waits until one request or more is complete, and completes them. Something must be in flight. */
void block_threads_wait(struct block_engine *engine);
bool block_threads_busy(const struct block_engine *engine);

/* Engine of io_uring: flat images only. -errno when the kernel has none for us. */
int block_uring_create(struct block_engine **out, struct loop *loop);
void block_uring_destroy(struct block_engine *engine);
/* False when the request is not for it, or it is full: the threads' then. */
bool block_uring_submit(struct block_engine *engine, struct block_request *request);
void block_uring_wait(struct block_engine *engine);
bool block_uring_busy(const struct block_engine *engine);

/* Raw images, and what other formats use of them: each does it all or returns -errno. */
extern const struct block_image_ops block_raw_ops;
/* The part [skip, skip + size) of iov as an iov of its own in out (BLOCK_MAX_IOV long); its length. */
uint32_t block_iov_slice(
	const struct iovec *iov, uint32_t count, uint64_t skip, uint64_t size, struct iovec *out);
/* Reads past end_of_file give zeros; -EIO where the file is shorter than that. */
int block_fd_read(int fd, const struct iovec *iov, uint32_t count, uint64_t offset, uint64_t size,
	uint64_t end_of_file);
int block_fd_write(int fd, const struct iovec *iov, uint32_t count, uint64_t offset, uint64_t size);
int block_fd_write_zeros(int fd, uint64_t offset, uint64_t size);

/* Puts a temporary overlay before the flat image of block: block_close() forgets what was written.
 * -errno and *error as block_open(). */
int block_snapshot_attach(struct block *block, char **error);

/* Takes the lock of an open image. -EAGAIN when another program has it (*snapshot_helps: reading it
 * would be fine); 0 also where the file system has no locks. */
int block_lock(int fd, bool for_write, bool *snapshot_helps);

/* Sets *error to the formatted sentence and returns err. */
int block_fail(char **error, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
