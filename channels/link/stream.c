/* SPDX-License-Identifier: MIT */
/* A link's socket. */
#include "channels/link/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel may hold unsent: beyond it we decide anew what a slow viewer needs to see. */
enum { UNSENT_MAX = 256 << 10 };
enum { KEEPALIVE_IDLE_S = 30, KEEPALIVE_INTERVAL_S = 15, KEEPALIVE_PROBES = 10 };
/* A viewer that is stopped (not gone) still answers on TCP's level; one that is gone does not. */
enum { UNACKED_MAX_MS = 5 * 60 * 1000 };

static void option(int fd, int level, int name, int value)
{
	/* A UNIX socket knows none of these; nothing depends on them. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

void stream_init(struct stream *stream, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	stream->fd = fd;
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
	option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
	option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MAX_MS);
}

void stream_finish(struct stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}

ssize_t stream_read(struct stream *stream, void *bytes, size_t size)
{
	ssize_t ret;

	do
		ret = recv(stream->fd, bytes, size, 0);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

ssize_t stream_writev(struct stream *stream, const struct iovec *iov, int count)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t ret;

	do
		ret = sendmsg(stream->fd, &msg, MSG_NOSIGNAL);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

uint64_t stream_rtt_ns(const struct stream *stream)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	if (getsockopt(stream->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ||
		info.tcpi_min_rtt == UINT32_MAX)
		return 0;
	return (uint64_t)info.tcpi_min_rtt * 1000;
}
