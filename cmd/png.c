/* SPDX-License-Identifier: MIT */
/* A small PNG writer: RGB, each row the difference to the one above, one zlib stream. (PNG
 * specification, third edition; sections 5 and 9.) */
#include "cmd/png.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { FILTER_UP = 2, CHUNK_BYTES = 1 << 16, LEVEL = 6 };

static void put_be32(uint8_t *out, uint32_t v)
{
	out[0] = (uint8_t)(v >> 24);
	out[1] = (uint8_t)(v >> 16);
	out[2] = (uint8_t)(v >> 8);
	out[3] = (uint8_t)v;
}

static void write_chunk(FILE *file, const char type[4], const uint8_t *body, uint32_t size)
{
	uint8_t head[8], tail[4];
	uLong crc = crc32(0, (const Bytef *)type, 4);

	if (size > 0) /* no body resets zlib's sum */
		crc = crc32(crc, body, size);
	put_be32(head, size);
	memcpy(head + 4, type, 4);
	put_be32(tail, (uint32_t)crc);
	fwrite(head, 1, sizeof(head), file);
	if (size > 0)
		fwrite(body, 1, size, file);
	fwrite(tail, 1, sizeof(tail), file);
}

/* Packs what the stream is given, writing a chunk whenever one is full. */
static int pack(FILE *file, z_stream *stream, uint8_t *chunk, int flush)
{
	int ret;

	do {
		ret = deflate(stream, flush);
		if (ret == Z_STREAM_ERROR)
			return -EINVAL;
		if (stream->avail_out == 0 || flush == Z_FINISH) {
			write_chunk(file, "IDAT", chunk, CHUNK_BYTES - stream->avail_out);
			stream->next_out = chunk;
			stream->avail_out = CHUNK_BYTES;
		}
	} while (flush == Z_FINISH ? ret != Z_STREAM_END : stream->avail_in > 0);
	return 0;
}

/* The row's filter byte and what it differs from the row above, which it then becomes. */
static void filter_row(uint8_t *out, uint8_t *above, const uint32_t *pixels, uint32_t width)
{
	*out++ = FILTER_UP;
	for (uint32_t x = 0; x < width; x++) {
		const uint8_t rgb[3] = { (uint8_t)(pixels[x] >> 16), (uint8_t)(pixels[x] >> 8),
			(uint8_t)pixels[x] };
		for (int c = 0; c < 3; c++) {
			*out++ = (uint8_t)(rgb[c] - *above);
			*above++ = rgb[c];
		}
	}
}

static int write_rows(FILE *file, const struct image *image)
{
	size_t row_bytes = (size_t)image->width * 3 + 1;
	uint8_t *row = malloc(row_bytes), *above = calloc(1, row_bytes);
	uint8_t *chunk = malloc(CHUNK_BYTES);
	uint32_t *pixels = malloc((size_t)image->width * 4);
	z_stream stream = { .next_out = chunk, .avail_out = CHUNK_BYTES };
	int err = -ENOMEM;

	if (!row || !above || !chunk || !pixels || deflateInit(&stream, LEVEL) != Z_OK)
		goto done;
	err = 0;
	for (uint32_t y = 0; y < image->height && err == 0; y++) {
		image_row_to_argb(image, 0, y, image->width, pixels);
		filter_row(row, above, pixels, image->width);
		stream.next_in = row;
		stream.avail_in = (uInt)row_bytes;
		err = pack(file, &stream, chunk, Z_NO_FLUSH);
	}
	if (err == 0)
		err = pack(file, &stream, chunk, Z_FINISH);
	deflateEnd(&stream);
done:
	free(row);
	free(above);
	free(chunk);
	free(pixels);
	return err;
}

int png_write(const char *path, const struct image *image)
{
	static const uint8_t signature[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
	uint8_t head[13] = { [8] = 8, [9] = 2 }; /* 8 bits, RGB */
	FILE *file = fopen(path, "wbe");
	int err;

	if (!file)
		return -errno;
	put_be32(head, image->width);
	put_be32(head + 4, image->height);
	fwrite(signature, 1, sizeof(signature), file);
	write_chunk(file, "IHDR", head, sizeof(head));
	err = write_rows(file, image);
	write_chunk(file, "IEND", NULL, 0);
	if (err == 0 && ferror(file))
		err = -EIO;
	if (fclose(file) != 0 && err == 0)
		err = -errno;
	if (err)
		unlink(path);
	return err;
}
