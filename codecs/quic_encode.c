/* SPDX-License-Identifier: MIT */
/*
 * QUIC's encoder. Each row is first turned into words with a channel a byte, and those into residuals
 * as a whole, which compilers vectorise; what remains a pixel is looking up and writing its codes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/quic_model.h"
#include "core/surface.h"
#include "core/util.h"

/* Most bits a pixel: 26 a channel; and a run's code is shorter than the pixels it replaces, but for
 * a few words. */
#define PIXEL_BYTES_MAX(channels) ((channels)*4)
#define ROW_SLACK_BYTES           64

struct bit_writer {
	uint64_t bits; /* still to be written, the first one highest; the others are 0 */
	uint32_t count; /* of them; below 32 between calls */
	uint8_t *at;
};

/* Channels coded together: the three colours, or one alone. */
struct group {
	struct quic_channel *channels;
	struct quic_pace pace;
	uint32_t count; /* 1 or 3 */
	uint32_t shift; /* of the first channel in a word; the others are below it */
	uint32_t *residuals; /* of the row at hand; what a run skips stays; [-1] is the first context */
	uint8_t *same; /* [i]: pixel i of the row equals pixel i - 1 */
	uint8_t *same_above;
	uint8_t *may_run; /* [i]: a run may begin there, unless one just did: the decoder sees the same */
};

struct encoder {
	struct quic_family family;
	struct quic_channel channels[4];
	struct group groups[2];
	uint32_t group_count;
	struct bit_writer writer;
	uint32_t *words; /* the row */
	uint32_t *above;
	uint32_t *fresh; /* the row's residuals, before runs are known */
	uint32_t *memory;
};

/* At most 32 bits. Always stores two words and keeps what is not full: no branch to mispredict. */
static inline void put_bits(struct bit_writer *w, uint32_t code, uint32_t length)
{
	uint64_t words;

	w->count += length;
	w->bits |= (uint64_t)code << (64 - w->count);
	words = w->bits >> 32 | w->bits << 32;
	memcpy(w->at, &words, 8);
	w->at += w->count >> 5 << 2;
	w->bits <<= w->count & 32;
	w->count &= 31;
}

static void put_word(struct bit_writer *w, uint32_t word)
{
	put_bits(w, word >> 16, 16);
	put_bits(w, word & 0xffff, 16);
}

/* ---- words and residuals ---- */

/* Copies a row (the guest may change it meanwhile) as words: blue lowest, then green, red, alpha. */
static void load_row(
	enum quic_type type, const uint8_t *pixels, uint32_t width, uint32_t *restrict words)
{
	uint16_t v;

	switch (type) {
	case QUIC_GRAY:
		for (uint32_t i = 0; i < width; i++)
			words[i] = (uint32_t)pixels[i] << 16;
		return;
	case QUIC_RGB16:
		for (uint32_t i = 0; i < width; i++) {
			memcpy(&v, pixels + 2 * (size_t)i, 2);
			words[i] = (uint32_t)(v >> 10 & 31) << 16 | (uint32_t)(v >> 5 & 31) << 8 |
				(v & 31u);
		}
		return;
	case QUIC_RGB24:
		for (uint32_t i = 0; i < width; i++) {
			const uint8_t *p = pixels + 3 * (size_t)i;

			words[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
		}
		return;
	default: memcpy(words, pixels, 4 * (size_t)width); return;
	}
}

/* The residuals of all bytes of a row's words; the pixel before is four bytes before. */
static void residuals_first(const uint8_t *row, size_t size, uint32_t bits, uint8_t *restrict out)
{
	for (size_t i = 0; i < 4; i++)
		out[i] = quic_fold(row[i], bits);
	for (size_t i = 4; i < size; i++)
		out[i] = quic_fold((uint32_t)row[i] - row[i - 4], bits);
}

static void residuals_8(
	const uint8_t *row, const uint8_t *above, size_t size, uint8_t *restrict out)
{
	for (size_t i = 4; i < size; i++) {
		uint8_t mean = (uint8_t)((row[i - 4] & above[i]) + ((row[i - 4] ^ above[i]) >> 1));
		int8_t d = (int8_t)(uint8_t)(row[i] - mean);

		out[i] = (uint8_t)((uint8_t)(d + d) ^ (uint8_t)(d >> 7));
	}
}

static void residuals(
	const uint8_t *row, const uint8_t *above, size_t size, uint32_t bits, uint8_t *restrict out)
{
	for (size_t i = 0; i < 4; i++)
		out[i] = quic_fold((uint32_t)row[i] - above[i], bits);
	if (bits == 8) {
		residuals_8(row, above, size, out);
		return;
	}
	for (size_t i = 4; i < size; i++)
		out[i] = quic_fold(
			(uint32_t)row[i] - ((uint32_t)(row[i - 4] + above[i]) >> 1), bits);
}

static void find_same(const uint32_t *words, uint32_t width, uint32_t mask, uint8_t *restrict same)
{
	same[0] = 0;
	for (uint32_t i = 1; i < width; i++)
		same[i] = ((words[i] ^ words[i - 1]) & mask) == 0;
}

/* ---- coding ---- */

/* What the loops over a row's pixels use, apart from memory that the stored bytes might alias. */
struct row_coder {
	struct bit_writer writer;
	const uint32_t *fresh;
	uint32_t *residuals;
	const struct quic_channel *channels;
	const uint32_t (*codeword)[256];
	uint32_t context; /* residuals of the pixel before */
};

static inline uint32_t code_of(
	const struct row_coder *r, uint32_t c, uint32_t shift, uint32_t values)
{
	uint32_t code = r->channels[c].best[r->context >> shift & 0xff];

	return r->codeword[code][values >> shift & 0xff];
}

static inline void put_code(struct bit_writer *w, uint32_t code)
{
	put_bits(w, code & ((1u << 26) - 1), code >> 26);
}

static inline void code_pixel(struct row_coder *r, uint32_t count, uint32_t shift, uint32_t i)
{
	uint32_t values = r->fresh[i];
	uint32_t first = code_of(r, 0, shift, values), second, third, lengths;

	r->residuals[i] = values;
	if (count == 1) {
		r->context = values;
		put_code(&r->writer, first);
		return;
	}
	second = code_of(r, 1, 8, values);
	third = code_of(r, 2, 0, values);
	r->context = values;
	lengths = (first >> 26) + (second >> 26) + (third >> 26);
	if (lengths <= 32) {
		uint64_t code = first & ((1u << 26) - 1);

		code = code << (second >> 26) | (second & ((1u << 26) - 1));
		code = code << (third >> 26) | (third & ((1u << 26) - 1));
		put_bits(&r->writer, (uint32_t)code, lengths);
	} else {
		put_code(&r->writer, first);
		put_code(&r->writer, second);
		put_code(&r->writer, third);
	}
}

static void learn(struct encoder *e, struct group *g, uint32_t i)
{
	const uint32_t *at = g->residuals + i;

	for (uint32_t c = 0; c < g->count; c++) {
		uint32_t shift = g->shift - 8 * c;

		quic_channel_learn(&g->channels[c], &e->family, g->pace.trigger,
			(uint8_t)(at[-1] >> shift), (uint8_t)(at[0] >> shift));
	}
}

static inline void code_run(struct bit_writer *w, struct quic_pace *pace, uint32_t length)
{
	uint32_t state = pace->run_state, bits = quic_run_bits[state], ones = 0;

	while (length >= 1u << bits) {
		length -= 1u << bits;
		if (state < QUIC_RUN_STATES - 1)
			state++;
		bits = quic_run_bits[state];
		if (++ones == 16) {
			put_bits(w, 0xffff, 16);
			ones = 0;
		}
	}
	/* What is left takes at most 16 bits. */
	put_bits(w, ((1u << ones) - 1) << (bits + 1) | length, ones + bits + 1);
	pace->run_state = state ? state - 1 : 0;
}

/* The first byte of at[0..count) that is not `value`, which is 0 or 1 as they all are. Reads up to
 * seven bytes beyond. */
static inline uint32_t span_of(const uint8_t *at, uint32_t value, uint32_t count)
{
	const uint64_t all = value ? 0x0101010101010101ull : 0;

	for (uint32_t i = 0; i < count; i += 8) {
		uint64_t v;

		memcpy(&v, at + i, 8);
		if (v != all)
			return MIN(i + (uint32_t)__builtin_ctzll(v ^ all) / 8, count);
	}
	return count;
}

static void find_runs(struct group *g, uint32_t width)
{
	uint8_t *restrict may_run = g->may_run;
	const uint8_t *same = g->same, *same_above = g->same_above;

	for (uint32_t i = 1; i < width; i++)
		may_run[i] = same_above[i] & same[i - 1];
	memset(may_run, 0, 3);
}

/* Pixels i to end with one wait mask. `runs` is false in the first row. */
static inline __attribute__((always_inline)) void code_segment(struct encoder *e, struct group *g,
	uint32_t count, uint32_t shift, bool runs, uint32_t i, uint32_t end)
{
	struct row_coder r = { e->writer, e->fresh, g->residuals, g->channels, e->family.codeword,
		g->residuals[(ptrdiff_t)i - 1] };
	struct quic_pace *pace = &g->pace;
	uint32_t run_at = 0, stop;

	if (i == 0) {
		code_pixel(&r, count, shift, 0);
		if (pace->wait) {
			pace->wait--;
		} else {
			pace->wait = quic_pace_next_wait(pace);
			learn(e, g, 0);
		}
		i++;
	}
	stop = i + pace->wait;
	while (i < end) {
		uint32_t from = i + (i == run_at), length;
		uint32_t next =
			runs && from < end ? from + span_of(g->may_run + from, 0, end - from) : end;

		while (i < next) {
			code_pixel(&r, count, shift, i);
			if (i++ == stop) {
				learn(e, g, stop);
				stop = i + quic_pace_next_wait(pace);
			}
		}
		if (i == end)
			break;
		run_at = i;
		pace->wait = stop - i;
		length = span_of(g->same + i, 1, end - i);
		code_run(&r.writer, pace, length);
		i += length;
		if (i == end) { /* the wait is as it was when the run began */
			e->writer = r.writer;
			return;
		}
		r.context = g->residuals[i - 1];
		stop = i + pace->wait;
	}
	pace->wait = stop - end;
	e->writer = r.writer;
}

static void code_span(struct encoder *e, struct group *g, bool runs, uint32_t from, uint32_t to)
{
	if (g->count == 3 && runs)
		code_segment(e, g, 3, 16, true, from, to);
	else if (g->count == 3)
		code_segment(e, g, 3, 16, false, from, to);
	else
		code_segment(e, g, 1, g->shift, runs, from, to);
}

static void code_row(struct encoder *e, struct group *g, bool first, uint32_t width)
{
	struct quic_pace *pace = &g->pace;
	uint32_t at = 0;

	g->residuals[-1] = first ? 0 : g->residuals[0];
	find_same(e->words, width, g->count == 3 ? 0xffffff : 0xffu << g->shift, g->same);
	if (!first)
		find_runs(g, width);
	while (pace->wait_index < QUIC_WAIT_INDEX_MAX && pace->wait_left <= width - at) {
		if (pace->wait_left)
			code_span(e, g, !first, at, at + pace->wait_left);
		at += pace->wait_left;
		quic_pace_lengthen(pace);
	}
	if (at < width) {
		code_span(e, g, !first, at, width);
		if (pace->wait_index < QUIC_WAIT_INDEX_MAX)
			pace->wait_left -= width - at;
	}
}

/* ---- a whole picture ---- */

static int encoder_init(struct encoder *e, enum quic_type type, uint32_t width)
{
	uint32_t channels, bits, row = ALIGN_UP(width + 64, 64u);
	uint32_t *at;

	if (!quic_type_layout(type, &channels, &bits))
		return -EINVAL;
	memset(e, 0, sizeof(*e));
	quic_family_init(&e->family, bits);
	e->memory = calloc(7 * (size_t)row, sizeof(*e->memory));
	if (!e->memory)
		return -ENOMEM;
	e->words = e->memory;
	e->above = e->memory + row;
	e->fresh = e->memory + 2 * (size_t)row;
	at = e->memory + 3 * (size_t)row + 16;
	for (uint32_t c = 0; c < channels; c++)
		quic_channel_reset(&e->channels[c], &e->family);
	e->group_count = channels == 4 ? 2 : 1;
	for (uint32_t n = 0; n < e->group_count; n++, at += row) {
		struct group *g = &e->groups[n];

		g->count = n ? 1 : MIN(channels, 3u);
		g->shift = n ? 24 : 16;
		g->channels = &e->channels[n * 3];
		g->residuals = at;
		g->same = (uint8_t *)(e->memory + 5 * (size_t)row) + 3 * (size_t)row * n;
		g->same_above = g->same + row;
		g->may_run = g->same + 2 * (size_t)row;
		quic_pace_reset(&g->pace);
	}
	return 0;
}

/* Takes in a row: its words and their residuals. */
static void begin_row(
	struct encoder *e, enum quic_type type, bool first, const uint8_t *pixels, uint32_t width)
{
	const uint8_t *row = (const uint8_t *)e->words, *above = (const uint8_t *)e->above;
	size_t size = 4 * (size_t)width;

	load_row(type, pixels, width, e->words);
	if (first)
		residuals_first(row, size, e->family.bits, (uint8_t *)e->fresh);
	else
		residuals(row, above, size, e->family.bits, (uint8_t *)e->fresh);
}

static void end_row(struct encoder *e)
{
	uint32_t *words = e->words;

	e->words = e->above;
	e->above = words;
	for (uint32_t n = 0; n < e->group_count; n++) {
		uint8_t *swap = e->groups[n].same;

		e->groups[n].same = e->groups[n].same_above;
		e->groups[n].same_above = swap;
	}
}

/* Gives the writer room for a row; what it wrote before is committed. */
static int make_room(struct encoder *e, struct buf *out, uint8_t **begin, size_t bytes)
{
	if (*begin)
		buf_commit(out, (size_t)(e->writer.at - *begin));
	*begin = e->writer.at = buf_reserve(out, bytes);
	return *begin ? 0 : -ENOMEM;
}

int quic_encode(struct buf *out, enum quic_type type, uint32_t width, uint32_t height,
	const uint8_t *pixels, ptrdiff_t stride)
{
	uint8_t *begin = NULL;
	struct encoder *e;
	size_t room;
	int err;

	if (!width || !height || width > SURFACE_MAX_SIDE || height > SURFACE_MAX_SIDE)
		return -EINVAL;
	e = malloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	err = encoder_init(e, type, width);
	room = (size_t)width * PIXEL_BYTES_MAX(4) + ROW_SLACK_BYTES;
	if (!err)
		err = make_room(e, out, &begin, QUIC_HEADER_BYTES + room);
	if (err)
		goto out;
	put_word(&e->writer, QUIC_MAGIC);
	put_word(&e->writer, 0);
	put_word(&e->writer, (uint32_t)type);
	put_word(&e->writer, width);
	put_word(&e->writer, height);
	for (uint32_t y = 0; y < height && !err; y++) {
		begin_row(e, type, y == 0, pixels + stride * (ptrdiff_t)y, width);
		for (uint32_t n = 0; n < e->group_count; n++)
			code_row(e, &e->groups[n], y == 0, width);
		end_row(e);
		err = make_room(e, out, &begin, room);
	}
	if (!err) {
		if (e->writer.count)
			put_bits(&e->writer, 0, 32 - e->writer.count);
		put_word(&e->writer, 0); /* decoders read one word ahead */
		buf_commit(out, (size_t)(e->writer.at - begin));
	}
	free(e->memory);
out:
	free(e);
	return err;
}
