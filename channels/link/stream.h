/* SPDX-License-Identifier: MIT */
/* The bytes under a link: a non-blocking socket now; the place where TLS goes in between. */
#ifndef CHANNELS_LINK_STREAM_H
#define CHANNELS_LINK_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct stream {
	int fd; /* -1: closed */
};

/* Takes the socket and sets what SPICE wants of it: non-blocking, no Nagle, keepalive, and an end
 * after minutes of unacknowledged data. */
void stream_init(struct stream *stream, int fd);
void stream_finish(struct stream *stream);
/* Bytes read or written; 0 from a read: the peer closed; -EAGAIN: not now; else -errno. */
ssize_t stream_read(struct stream *stream, void *bytes, size_t size);
ssize_t stream_writev(struct stream *stream, const struct iovec *iov, int count);
/* The least round trip that the kernel saw, whatever the peer was busy with: to the peer, or to who
 * passes it on. 0: not known. */
uint64_t stream_rtt_ns(const struct stream *stream);

#endif
