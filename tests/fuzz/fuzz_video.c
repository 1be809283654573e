/* SPDX-License-Identifier: MIT */
/*
 * Frames of streams from a hostile server. The first byte chooses the codec; then come frames, each
 * after its size in 16 bits. An odd size's frame is decoded and not read, as late ones are.
 */
#include <stdint.h>
#include <stdlib.h>

#include "codecs/video.h"

enum { FRAMES_MAX = 32, PICTURE_MAX_PIXELS = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct video_decoder *decoder, const uint8_t *frame, size_t size, bool read)
{
	uint32_t width, height;
	uint8_t *out;

	if (video_decoder_frame(decoder, frame, size, PICTURE_MAX_PIXELS, &width, &height) < 0 ||
		!read)
		return;
	out = malloc(4 * (size_t)width * height);
	if (out)
		video_decoder_read(decoder, out, 4 * (ptrdiff_t)width);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct video_decoder *decoder;
	size_t at = 1;

	if (!size || video_decoder_create(&decoder, data[0] & 1 ? VIDEO_VP8 : VIDEO_MJPEG) < 0)
		return 0;
	for (int i = 0; i < FRAMES_MAX && at + 2 <= size; i++) {
		size_t bytes = data[at] | (size_t)data[at + 1] << 8;
		bool read = !(bytes & 1);

		at += 2;
		bytes = bytes > size - at ? size - at : bytes;
		take(decoder, data + at, bytes, read);
		at += bytes;
	}
	video_decoder_destroy(decoder);
	return 0;
}
