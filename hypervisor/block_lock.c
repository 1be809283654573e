/* SPDX-License-Identifier: MIT */
/*
 * The lock of an image against other programs: open-file-description locks on the bytes that QEMU
 * uses, so that a running QEMU and we exclude each other. There a byte 100 + p is read-locked by who
 * does p (0: reads, 1: writes, 3: resizes), and 200 + p by who cannot bear others to do it. We write-
 * lock them all to write, which is one atomic step; to read we do as QEMU does.
 */
#include <errno.h>
#include <fcntl.h>

#include "hypervisor/block_driver.h"

enum {
	DOES = 100,
	BEARS_NOT = 200,
	READS = 0,
	WRITES = 1,
	RESIZES = 3,
	ALL_BYTES = 200,
};

static int lock_bytes(int fd, short type, off_t start, off_t length)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length
	};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* Whether somebody else has a lock (of any type) on the byte. */
static bool is_locked(int fd, off_t byte)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static int lock_to_read(int fd)
{
	static const off_t ours[] = { DOES + READS, BEARS_NOT + WRITES, BEARS_NOT + RESIZES };
	static const off_t theirs[] = { BEARS_NOT + READS, DOES + WRITES, DOES + RESIZES };

	for (int i = 0; i < 3; i++) {
		int err = lock_bytes(fd, F_RDLCK, ours[i], 1);

		if (err)
			return err;
	}
	for (int i = 0; i < 3; i++)
		if (is_locked(fd, theirs[i]))
			return -EAGAIN;
	return 0;
}

int block_lock(int fd, bool for_write, bool *snapshot_helps)
{
	int err;

	*snapshot_helps = false;
	if (!for_write)
		return lock_to_read(fd);
	err = lock_bytes(fd, F_WRLCK, DOES, ALL_BYTES);
	/* A spicebox that writes holds all bytes, a QEMU that writes the one for it. */
	if (err == -EAGAIN)
		*snapshot_helps = !is_locked(fd, DOES + WRITES) &&
			!is_locked(fd, BEARS_NOT + READS);
	return err;
}
