/* SPDX-License-Identifier: MIT */
/* The bytes of a trace file. */
#include "tests/bench/replay/trace_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "core/util.h"

enum { BUFFER_BYTES = 1 << 16, WORD_MAX = 64, AHEAD_BYTES = 1 << 20 };

static const uint8_t zstd_magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };

/* Reads what there is, at most `size`; 0 at the end or after an error. */
static size_t read_some(struct trace_input *in, uint8_t *out, size_t size)
{
	ssize_t got;

	if (in->error)
		return 0;
	do
		got = read(in->fd, out, size);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		in->error = -errno;
	return got > 0 ? (size_t)got : 0;
}

/* The same for unpacked bytes. */
static size_t unpack_some(struct trace_input *in, uint8_t *out, size_t size)
{
	ZSTD_outBuffer to = { out, size, 0 };

	while (to.pos == 0 && !in->error) {
		ZSTD_inBuffer from = { in->packed, in->packed_size, in->packed_at };
		size_t ret;

		if (from.pos == from.size) {
			from.size = read_some(in, in->packed, BUFFER_BYTES);
			from.pos = 0;
			if (from.size == 0)
				break;
		}
		ret = ZSTD_decompressStream(in->unpacker, &to, &from);
		if (ZSTD_isError(ret))
			in->error = -EINVAL;
		in->packed_at = from.pos;
		in->packed_size = from.size;
	}
	return in->error ? 0 : to.pos;
}

static size_t take_some(struct trace_input *in, uint8_t *out, size_t size)
{
	return in->unpacker ? unpack_some(in, out, size) : read_some(in, out, size);
}

/* Pages of the file that are in memory anyway, many at once. */
static void touch_ahead(struct trace_input *in)
{
	size_t size = MIN(in->size - in->touched, (size_t)AHEAD_BYTES);

	/* Older kernels have a fault for each few pages. */
	madvise(in->bytes + in->touched, size, MADV_POPULATE_READ);
	in->touched += size;
}

/* Has at least `size` bytes ready if the file has them; answers how many there are. */
static size_t fill(struct trace_input *in, size_t size)
{
	size_t got = 1;

	if (in->mapped || in->size - in->at >= size)
		return in->size - in->at;
	memmove(in->bytes, in->bytes + in->at, in->size - in->at);
	in->size -= in->at;
	in->at = 0;
	while (in->size < size && got > 0) {
		got = take_some(in, in->bytes + in->size, BUFFER_BYTES - in->size);
		in->size += got;
	}
	return in->size;
}

/* A plain file is read where it lies. Answers whether it is one. */
static bool map_file(struct trace_input *in)
{
	struct stat stat;
	void *bytes;

	if (fstat(in->fd, &stat) < 0 || !S_ISREG(stat.st_mode) ||
		stat.st_size < (off_t)sizeof(zstd_magic))
		return false;
	bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, in->fd, 0);
	if (bytes == MAP_FAILED)
		return false;
	if (memcmp(bytes, zstd_magic, sizeof(zstd_magic)) == 0) {
		munmap(bytes, (size_t)stat.st_size);
		return false;
	}
	in->mapped = true;
	in->bytes = bytes;
	in->size = (size_t)stat.st_size;
	return true;
}

int trace_input_open(struct trace_input *in, const char *path)
{
	*in = (struct trace_input){ .fd = -1 };
	in->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0)
		return -errno;
	if (map_file(in))
		return 0;
	in->bytes = malloc(BUFFER_BYTES);
	in->packed = malloc(BUFFER_BYTES);
	if (!in->bytes || !in->packed) {
		trace_input_close(in);
		return -ENOMEM;
	}
	if (fill(in, sizeof(zstd_magic)) >= sizeof(zstd_magic) &&
		memcmp(in->bytes, zstd_magic, sizeof(zstd_magic)) == 0) {
		uint8_t *packed = in->packed;

		in->packed = in->bytes;
		in->packed_size = in->size;
		in->bytes = packed;
		in->size = 0;
		in->unpacker = ZSTD_createDCtx();
		if (!in->unpacker)
			in->error = -ENOMEM;
	}
	if (in->error) {
		int error = in->error;

		trace_input_close(in);
		return error;
	}
	return 0;
}

void trace_input_close(struct trace_input *in)
{
	ZSTD_freeDCtx(in->unpacker);
	if (in->mapped)
		munmap(in->bytes, in->size);
	else
		free(in->bytes);
	free(in->packed);
	if (in->fd >= 0)
		close(in->fd);
	*in = (struct trace_input){ .fd = -1 };
}

bool trace_input_skip(struct trace_input *in, size_t size, size_t *at)
{
	if (in->error || !in->mapped || in->size - in->at < size)
		return false;
	*at = in->at;
	in->at += size;
	while (in->touched < in->at)
		touch_ahead(in);
	return true;
}

void trace_input_read(struct trace_input *in, void *out, size_t size)
{
	uint8_t *to = out;
	size_t ready = MIN(in->size - in->at, size);

	if (ready) {
		memcpy(to, in->bytes + in->at, ready);
		in->at += ready;
	}
	while (ready < size && !in->error) {
		size_t got = in->mapped ? 0 : take_some(in, to + ready, size - ready);

		ready += got;
		if (got == 0 && !in->error)
			in->error = -ENODATA;
	}
	if (in->error && size)
		memset(to, 0, size);
}

static inline int next_byte(struct trace_input *in)
{
	if (in->at < in->size)
		return in->bytes[in->at];
	return fill(in, 1) ? in->bytes[in->at] : -1;
}

static inline bool is_space(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline void skip_space(struct trace_input *in)
{
	while (is_space(next_byte(in)))
		in->at++;
}

bool trace_input_at_end(struct trace_input *in)
{
	skip_space(in);
	return next_byte(in) < 0;
}

bool trace_input_is(struct trace_input *in, const char *word)
{
	size_t length = strlen(word);

	skip_space(in);
	if (fill(in, WORD_MAX) < length || memcmp(in->bytes + in->at, word, length) != 0)
		return false;
	return in->size - in->at == length || is_space(in->bytes[in->at + length]);
}

void trace_input_word(struct trace_input *in, const char *word)
{
	size_t length = strlen(word);

	if (in->error)
		return;
	skip_space(in);
	if (in->size - in->at < length)
		fill(in, WORD_MAX);
	if (in->size - in->at < length || memcmp(in->bytes + in->at, word, length) != 0)
		in->error = -EINVAL;
	else
		in->at += length;
}

int64_t trace_input_number(struct trace_input *in)
{
	const uint8_t *at, *end;
	bool negative = false;
	uint64_t value = 0;

	if (in->error)
		return 0;
	skip_space(in);
	/* Longer ones are errors. */
	if (in->size - in->at < WORD_MAX)
		fill(in, WORD_MAX);
	at = in->bytes + in->at;
	end = in->bytes + in->size;
	if (at < end && *at == '-') {
		negative = true;
		at++;
	}
	if (at == end || *at < '0' || *at > '9')
		in->error = -EINVAL;
	for (; at < end && *at >= '0' && *at <= '9'; at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (value > (UINT64_MAX - digit) / 10) {
			in->error = -EINVAL;
			break;
		}
		value = value * 10 + digit;
	}
	in->at = (size_t)(at - in->bytes);
	return in->error ? 0 : (int64_t)(negative ? 0 - value : value);
}

void trace_input_scan(struct trace_input *in, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (const char *f = format; *f; f++) {
		if (*f == '%')
			*va_arg(args, int64_t *) = trace_input_number(in);
		else if (is_space(*f))
			skip_space(in);
		else if (!in->error && next_byte(in) == *f)
			in->at++;
		else
			in->error = in->error ? in->error : -EINVAL;
	}
	va_end(args);
}
