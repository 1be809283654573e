/* SPDX-License-Identifier: MIT */
/* QUIC and LZ for the QXL device, which knows no codecs. */
#include "cmd/unpack.h"

#include <errno.h>

#include "codecs/lz.h"
#include "codecs/quic.h"

static int quic_format(const uint8_t *data, size_t size, uint32_t width, uint32_t height,
	enum image_format *format)
{
	struct quic_header header;

	if (quic_decode_header(data, size, &header) || header.width != width ||
		header.height != height)
		return -EINVAL;
	switch (header.type) {
	case QUIC_RGB16: *format = IMAGE_XRGB1555; return 0;
	case QUIC_RGB24:
	case QUIC_RGB32: *format = IMAGE_XRGB8888; return 0;
	case QUIC_RGBA: *format = IMAGE_ARGB8888; return 0;
	case QUIC_GRAY: break; /* nor do viewers know it */
	}
	return -ENOTSUP;
}

static int lz_format(const uint8_t *data, size_t size, uint32_t width, uint32_t height,
	enum image_format *format)
{
	struct lz_header header;

	if (lz_decode_header(data, size, &header) || header.width != width ||
		header.height != height)
		return -EINVAL;
	switch (header.type) {
	case LZ_RGB16: *format = IMAGE_XRGB1555; return 0;
	case LZ_RGB24:
	case LZ_RGB32: *format = IMAGE_XRGB8888; return 0;
	case LZ_RGBA: *format = IMAGE_ARGB8888; return 0;
	case LZ_A8: *format = IMAGE_A8; return 0;
	default: return -ENOTSUP; /* palettes come otherwise */
	}
}

int unpack_image(enum qxl_packing packing, const uint8_t *data, size_t size, uint32_t width,
	uint32_t height, struct image **out)
{
	bool quic = packing == QXL_PACKED_QUIC;
	enum image_format format = IMAGE_XRGB8888;
	struct image *image;
	int err = quic ? quic_format(data, size, width, height, &format)
		       : lz_format(data, size, width, height, &format);

	if (err || (err = image_create(&image, format, width, height)) < 0)
		return err;
	err = quic ? quic_decode(data, size, image->data, (ptrdiff_t)image->stride)
		   : lz_decode(data, size, image->data, (ptrdiff_t)image->stride);
	if (err) {
		image_unref(image);
		return err == -EPROTO ? -EINVAL : err;
	}
	*out = image;
	return 0;
}
