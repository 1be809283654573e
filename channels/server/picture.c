/* SPDX-License-Identifier: MIT */
/* One viewer's pictures: what it has in its caches, and its GLZ dictionary. */
#include "channels/server/picture.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/server/pace.h"
#include "channels/server/picture_share.h"
#include "codecs/zlib_stream.h"

enum {
	INLINE_BYTES = 64 << 10, /* of pixels, that the dictionary takes at once */
	SLOW_BYTES_S = 10 * 1000 * 1000 / 8, /* a link below gets JPEG, and zlib over GLZ */
	VERY_SLOW_BYTES_S = 2 * 1000 * 1000 / 8,
	NEAR_RTT_US = 2000,
	QUALITY = 85,
	QUALITY_VERY_SLOW = 70,
	SMALL_PIXELS = 1 << 14, /* kept whole at the viewer whatever part is seen now */
	PIXMAP_ALPHA = 1, /* what a kept picture may lack */
	PIXMAP_UNUSED_BITS = 2,
};

enum picture_cached { CACHED_NOT, CACHED_NOW, CACHED_ALREADY };

struct picture {
	struct image_sender *sender; /* NULL: gone */
	struct image *image;
	struct rect frame; /* what the viewer may keep of it as one, */
	uint64_t id; /* under this id */
	struct rect area; /* what is sent of it */
	enum picture_cached cached;
	bool inval_all; /* all that the viewer keeps is to be forgotten before */
	struct proto_resource *inval; /* these are, */
	uint32_t inval_count;
	struct shared_picture *shared; /* NULL: CACHED_ALREADY */
	struct picture_waiter waiter;
	bool ready;
	struct glz_job *job; /* the dictionary is at it */
	bool zlib;
	uint8_t glz_type; /* SPICE_IMAGE_TYPE_*; 0: no GLZ */
	uint32_t glz_size; /* of ZLIB_GLZ_RGB: before zlib */
	struct buf glz;
	bool mask;
	bool queued; /* in the sender's list */
	bool to_tell; /* in its other one */
	struct picture *next, *next_finished;
	loop_fn *on_ready;
	void *opaque;
};

/* ---- the dictionary ---- */

/* Lives as long as a worker needs it. */
struct glz_stage {
	uint32_t refs;
	struct glz_dictionary *dictionary;
};

struct glz_job {
	struct picture *picture; /* NULL: gone */
	struct glz_stage *stage;
	struct shared_picture *shared;
	struct image *image;
	bool zlib;
	int err;
	uint8_t type;
	uint32_t size;
	struct buf bytes;
};

static void stage_unref(struct glz_stage *stage)
{
	if (!stage || --stage->refs)
		return;
	glz_dictionary_destroy(stage->dictionary);
	free(stage);
}

static struct glz_stage *stage_of(struct image_sender *sender)
{
	struct glz_stage *stage;

	if (sender->glz)
		return sender->glz;
	stage = calloc(1, sizeof(*stage));
	if (!stage || glz_dictionary_create(&stage->dictionary, sender->glz_pixels) < 0) {
		free(stage);
		return NULL;
	}
	stage->refs = 1;
	sender->glz = stage;
	return stage;
}

static void glz_work(void *opaque)
{
	struct glz_job *job = opaque;
	struct buf packed = { 0 };

	job->type = SPICE_IMAGE_TYPE_GLZ_RGB;
	job->err = encoded_glz(shared_picture_encoded(job->shared), job->image,
		job->stage->dictionary, &job->bytes);
	if (job->err || !job->zlib)
		return;
	if (zlib_stream_encode(&packed, buf_bytes(&job->bytes), job->bytes.size) == 0 &&
		packed.size < job->bytes.size) {
		job->type = SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB;
		job->size = (uint32_t)job->bytes.size;
		buf_finish(&job->bytes);
		job->bytes = packed;
		return;
	}
	buf_finish(&packed);
}

static void job_free(struct glz_job *job)
{
	shared_picture_unref(job->shared, NULL);
	image_unref(job->image);
	stage_unref(job->stage);
	buf_finish(&job->bytes);
	free(job);
}

/* Out of memory the picture goes as it is: its type stays 0. */
static void take_result(struct picture *picture, struct glz_job *job)
{
	picture->ready = true;
	picture->job = NULL;
	if (job->err)
		return;
	picture->glz_type = job->type;
	picture->glz_size = job->size;
	picture->glz = job->bytes;
	job->bytes = (struct buf){ 0 };
}

static void advance(struct image_sender *sender);

static void finish(struct picture *picture)
{
	picture->to_tell = true;
	picture->next_finished = picture->sender->finished;
	picture->sender->finished = picture;
}

static void glz_done(void *opaque)
{
	struct glz_job *job = opaque;
	struct picture *picture = job->picture;

	if (picture) {
		take_result(picture, job);
		if (picture->sender)
			finish(picture);
	}
	job_free(job);
	if (picture && picture->sender)
		advance(picture->sender);
}

static bool needs_glz(const struct picture *picture)
{
	return shared_picture_encoded(picture->shared)->type == SPICE_IMAGE_TYPE_GLZ_RGB;
}

/* Has the dictionary make the picture: at once what is small, answering true, else by a worker. */
static bool run_glz(struct picture *picture)
{
	struct spice_server *server = picture->sender->server;
	const struct encoded *encoded = shared_picture_encoded(picture->shared);
	struct glz_job *job = calloc(1, sizeof(*job));
	struct glz_stage *stage = stage_of(picture->sender);

	if (!job || !stage) {
		free(job);
		picture->ready = true;
		return true;
	}
	job->picture = picture;
	job->stage = stage;
	stage->refs++;
	job->shared = shared_picture_ref(picture->shared);
	job->image = image_ref(picture->image);
	job->zlib = picture->zlib;
	if ((uint64_t)encoded->width * encoded->height * 4 > INLINE_BYTES &&
		pool_submit(server->config.pool, server->config.loop, glz_work, glz_done, job) ==
			0) {
		picture->job = job;
		return false;
	}
	glz_work(job);
	take_result(picture, job);
	job_free(job);
	return true;
}

/* ---- order ---- */

static void tell(struct image_sender *sender)
{
	bool gone = false;

	if (sender->gone)
		return; /* who is telling goes on with these */
	sender->gone = &gone;
	while (!gone && sender->finished) {
		struct picture *picture = sender->finished;

		sender->finished = picture->next_finished;
		picture->to_tell = false;
		picture->on_ready(picture->opaque);
	}
	if (!gone)
		sender->gone = NULL;
}

/* Brings the pictures on, in the order of the messages, as that is the dictionary's. */
static void advance(struct image_sender *sender)
{
	while (sender->first) {
		struct picture *picture = sender->first;

		if (!picture->ready) {
			if (picture->job || !shared_picture_encoded(picture->shared) ||
				!run_glz(picture))
				break;
			finish(picture);
		}
		sender->first = picture->next;
		if (!sender->first)
			sender->last = NULL;
		picture->queued = false;
	}
	tell(sender);
}

static void on_encoded(void *opaque)
{
	struct picture *picture = opaque;

	if (!picture->sender)
		return;
	if (!needs_glz(picture)) {
		picture->ready = true;
		finish(picture);
	}
	advance(picture->sender);
}

static void enqueue(struct picture *picture)
{
	struct image_sender *sender = picture->sender;

	picture->queued = true;
	if (sender->last)
		sender->last->next = picture;
	else
		sender->first = picture;
	sender->last = picture;
}

/* Nothing that comes before is waited for unless the dictionary needs it. Does not tell. */
static void start(struct picture *picture)
{
	struct image_sender *sender = picture->sender;

	if (shared_picture_encoded(picture->shared)) {
		if (!needs_glz(picture)) {
			picture->ready = true;
			return;
		}
		if (!sender->first && run_glz(picture))
			return;
	}
	enqueue(picture);
}

/* ---- the viewer's wishes ---- */

int image_sender_init(struct image_sender *sender, struct spice_server *server, struct link *link,
	const struct msg_display_init *init, const struct pace *pace)
{
	*sender = (struct image_sender){
		.server = server,
		.link = link,
		.pace = pace,
		.preferred = SPICE_IMAGE_COMPRESSION_INVALID,
		.lz4 = link_peer_has_cap(link, SPICE_DISPLAY_CAP_LZ4_COMPRESSION),
		.glz_pixels = (uint32_t)MIN(MAX(init->glz_window_size, 0), (int32_t)GLZ_WINDOW_MAX),
		.epoch = server->image_epoch,
		.pixmaps.capacity = (uint64_t)MAX(init->pixmap_cache_size, 0),
	};
	return 0;
}

void image_sender_finish(struct image_sender *sender)
{
	if (sender->gone)
		*sender->gone = true;
	sender->gone = NULL;
	for (struct picture *p = sender->finished; p; p = p->next_finished) {
		p->to_tell = false;
		p->sender = NULL;
	}
	for (struct picture *p = sender->first; p; p = p->next) {
		p->queued = false;
		p->sender = NULL;
	}
	sender->finished = NULL;
	sender->first = sender->last = NULL;
	pixmap_cache_clear(&sender->pixmaps);
	palette_cache_server_finish(&sender->palettes);
	stage_unref(sender->glz);
	sender->glz = NULL;
}

int image_sender_prefer(struct image_sender *sender, uint8_t compression)
{
	if (compression == SPICE_IMAGE_COMPRESSION_INVALID ||
		compression >= SPICE_IMAGE_COMPRESSION_ENUM_END)
		return -EPROTO;
	sender->preferred = compression;
	return 0;
}

static bool choose_compression(const struct image_sender *sender, struct image_choice *choice)
{
	static const uint8_t of_viewer[SPICE_IMAGE_COMPRESSION_ENUM_END] = {
		[SPICE_IMAGE_COMPRESSION_OFF] = SPICE_SERVER_COMPRESSION_OFF,
		[SPICE_IMAGE_COMPRESSION_AUTO_GLZ] = SPICE_SERVER_COMPRESSION_AUTO,
		[SPICE_IMAGE_COMPRESSION_AUTO_LZ] = SPICE_SERVER_COMPRESSION_AUTO,
		[SPICE_IMAGE_COMPRESSION_QUIC] = SPICE_SERVER_COMPRESSION_QUIC,
		[SPICE_IMAGE_COMPRESSION_GLZ] = SPICE_SERVER_COMPRESSION_GLZ,
		[SPICE_IMAGE_COMPRESSION_LZ] = SPICE_SERVER_COMPRESSION_LZ,
		[SPICE_IMAGE_COMPRESSION_LZ4] = SPICE_SERVER_COMPRESSION_LZ4,
	};

	choice->compression = sender->preferred == SPICE_IMAGE_COMPRESSION_INVALID
		? sender->server->config.compression
		: of_viewer[sender->preferred];
	return sender->preferred != SPICE_IMAGE_COMPRESSION_AUTO_LZ;
}

static uint64_t rate_of(const struct image_sender *sender)
{
	return sender->pace ? pace_rate(sender->pace) : 0;
}

static bool is_slow(const struct image_sender *sender)
{
	uint64_t rate = rate_of(sender);

	/* Next door it is rather the viewer that has much to do for a while. */
	return rate && rate < SLOW_BYTES_S &&
		(rate < VERY_SLOW_BYTES_S || pace_rtt_us(sender->pace) >= NEAR_RTT_US);
}

static bool jpeg_allowed(const struct image_sender *sender, uint32_t flags)
{
	uint8_t jpeg = sender->server->config.jpeg;

	return flags & PICTURE_MAY_LOSE && jpeg != SPICE_SERVER_JPEG_NEVER &&
		(jpeg == SPICE_SERVER_JPEG_ALWAYS || is_slow(sender));
}

/* ---- the viewer's pixmaps ---- */

static bool seen_lately(struct image_sender *sender, uint64_t id)
{
	uint64_t *slot = &sender->recent[(id * 0x9e3779b97f4a7c15ull) >> 56];
	bool seen = *slot == id;

	*slot = id;
	return seen;
}

static void invalidate(struct picture *picture, uint64_t id)
{
	struct proto_resource *list = picture->inval;

	/* The list grows as it reaches a power of 2. */
	if (!(picture->inval_count & (picture->inval_count - 1)))
		list = realloc(list, MAX(2 * picture->inval_count, 16u) * sizeof(*list));
	if (!list)
		return; /* the viewer keeps it for nothing */
	picture->inval = list;
	list[picture->inval_count++] =
		(struct proto_resource){ .type = SPICE_RES_TYPE_PIXMAP, .id = id };
}

static uint64_t rect_pixels(const struct rect *r)
{
	return (uint64_t)rect_width(r) * (uint64_t)rect_height(r);
}

/* Each frame of an image is kept as a picture of its own. That another of the guest's ids may come
 * out equal (as likely as any 64 bits) a guest could do to itself in simpler ways. */
static uint64_t frame_id(const struct image *image, const struct rect *frame)
{
	uint64_t id = image->id, rows = (uint64_t)frame->top << 32 | (uint32_t)frame->bottom;

	if (frame->top == 0 && frame->bottom == (int32_t)image->height)
		return id;
	id ^= rows * 0x9e3779b97f4a7c15ull;
	id = (id ^ id >> 30) * 0xbf58476d1ce4e5b9ull;
	id = (id ^ id >> 27) * 0x94d049bb133111ebull;
	return id ^ id >> 31;
}

/* Whether the viewer is to keep the picture's frame, which it then gets whole and exactly. */
static bool worth_keeping(struct picture *picture, bool jpeg)
{
	struct image_sender *sender = picture->sender;
	uint64_t all = rect_pixels(&picture->frame);
	uint64_t part = rect_pixels(&picture->area);

	if (!pixmap_cache_fits(&sender->pixmaps, all))
		return false;
	if (!jpeg && (all <= SMALL_PIXELS || part * 2 >= all))
		return true;
	return seen_lately(sender, picture->id);
}

static uint32_t pixmap_needs(enum surface_format target, uint32_t flags)
{
	return (flags & PICTURE_COPIED ? 0 : PIXMAP_ALPHA) |
		(target == SURFACE_ARGB8888 ? PIXMAP_UNUSED_BITS : 0);
}

bool image_sender_has(struct image_sender *sender, const struct image *image,
	enum surface_format target, uint32_t flags)
{
	return image->flags & IMAGE_CACHE_ME && sender->epoch == sender->server->image_epoch &&
		pixmap_cache_find(&sender->pixmaps, image->id, pixmap_needs(target, flags)) ==
		PIXMAP_THERE;
}

static void consult_pixmaps(
	struct picture *picture, enum surface_format target, uint32_t flags, bool jpeg)
{
	struct image_sender *sender = picture->sender;
	struct image *image = picture->image;
	uint32_t has = pixmap_needs(target, flags);
	bool making_room = false;
	uint64_t id;

	if (sender->epoch != sender->server->image_epoch) {
		sender->epoch = sender->server->image_epoch;
		picture->inval_all = sender->pixmaps.items > 0;
		pixmap_cache_clear(&sender->pixmaps);
	}
	if (!(image->flags & IMAGE_CACHE_ME) || flags & PICTURE_MASK)
		return;
	switch (pixmap_cache_find(&sender->pixmaps, picture->id, has)) {
	case PIXMAP_THERE: picture->cached = CACHED_ALREADY; return;
	case PIXMAP_LACKING:
		pixmap_cache_remove(&sender->pixmaps, picture->id);
		invalidate(picture, picture->id);
		break;
	case PIXMAP_MISSING:
		if (!worth_keeping(picture, jpeg))
			return;
		break;
	}
	if (pixmap_cache_add(&sender->pixmaps, picture->id, rect_pixels(&picture->frame), has) < 0)
		return;
	picture->cached = CACHED_NOW;
	while (pixmap_cache_evict(&sender->pixmaps, &making_room, &id))
		invalidate(picture, id);
}

/* ---- pictures ---- */

static struct encode_settings settings_for(
	const struct picture *picture, enum surface_format target, uint32_t flags, bool jpeg)
{
	const struct image_sender *sender = picture->sender;
	uint64_t pixels = rect_pixels(&picture->area);
	uint64_t rate = rate_of(sender);
	struct encode_settings settings = {
		.as_it_is = flags & PICTURE_MASK,
		.copied = flags & PICTURE_COPIED,
		.deep = target == SURFACE_XRGB8888 || target == SURFACE_ARGB8888,
		.dest_alpha = target == SURFACE_ARGB8888,
	};
	bool glz = choose_compression(sender, &settings.choice);

	settings.choice.palettes = sender->glz_pixels != 0;
	settings.choice.lz4 = sender->lz4;
	settings.choice.glz = glz && pixels <= sender->glz_pixels && pixels > 0;
	settings.choice.jpeg = jpeg && picture->cached == CACHED_NOT &&
		settings.choice.compression != SPICE_SERVER_COMPRESSION_OFF;
	if (settings.choice.jpeg)
		settings.quality = rate && rate < VERY_SLOW_BYTES_S ? QUALITY_VERY_SLOW : QUALITY;
	return settings;
}

static bool begin(struct picture *picture, enum surface_format target, uint32_t flags)
{
	struct image_sender *sender = picture->sender;
	struct image *image = picture->image;
	bool jpeg = jpeg_allowed(sender, flags);
	struct encode_settings settings;

	consult_pixmaps(picture, target, flags, jpeg);
	if (picture->cached != CACHED_NOT)
		picture->area = picture->frame;
	if (picture->cached == CACHED_ALREADY) {
		picture->ready = true;
		return true;
	}
	settings = settings_for(picture, target, flags, jpeg);
	picture->zlib = is_slow(sender);
	picture->shared = picture_share_get(sender->server->pictures, image, &picture->area,
		&settings, sender->server->viewers > 1, &picture->waiter);
	if (!picture->shared) {
		/* It is not sent. What it would have had forgotten is now forgotten with it. */
		if (picture->cached == CACHED_NOW)
			pixmap_cache_remove(&sender->pixmaps, picture->id);
		return false;
	}
	start(picture);
	return true;
}

struct picture *image_sender_begin(struct image_sender *sender, struct image *image,
	const struct rect *area, const struct rect *frame, enum surface_format target,
	uint32_t flags, loop_fn *ready, void *opaque)
{
	struct rect bounds = { 0, 0, (int32_t)image->width, (int32_t)image->height };
	struct picture *picture = calloc(1, sizeof(*picture));
	bool whole = flags & (PICTURE_WHOLE | PICTURE_MASK) || rect_empty(area) ||
		!rect_contains(&bounds, area);

	if (!picture)
		return NULL;
	picture->sender = sender;
	picture->image = image_ref(image);
	picture->area = whole ? bounds : *area;
	picture->frame = whole || !frame ? bounds : *frame;
	assert(picture->frame.left == 0 && picture->frame.right == bounds.right &&
		rect_contains(&picture->frame, &picture->area));
	picture->id = frame_id(image, &picture->frame);
	picture->mask = flags & PICTURE_MASK;
	picture->on_ready = ready;
	picture->opaque = opaque;
	picture->waiter.ready = on_encoded;
	picture->waiter.opaque = picture;
	if (begin(picture, target, flags))
		return picture;
	picture_unref(picture);
	return NULL;
}

bool picture_ready(const struct picture *picture)
{
	return picture->ready;
}

bool picture_lossy(const struct picture *picture)
{
	return picture->shared && shared_picture_encoded(picture->shared)->lossy;
}

/* GLZ that came to nothing leaves the image as it is. */
static bool is_bitmap(const struct picture *picture)
{
	const struct encoded *encoded = shared_picture_encoded(picture->shared);

	return !picture->glz_type &&
		(encoded->type == SPICE_IMAGE_TYPE_BITMAP ||
			encoded->type == SPICE_IMAGE_TYPE_GLZ_RGB);
}

static bool is_own_bitmap(const struct picture *picture)
{
	return is_bitmap(picture) && !shared_picture_encoded(picture->shared)->bytes.size;
}

size_t picture_bytes(const struct picture *picture)
{
	const struct encoded *encoded;

	if (!picture->shared)
		return 0;
	if (picture->glz_type)
		return picture->glz.size;
	encoded = shared_picture_encoded(picture->shared);
	if (is_own_bitmap(picture))
		return (size_t)picture->image->stride * encoded->height;
	return encoded->bytes.size;
}

/* ---- on the wire ---- */

static void send_invalidations(struct picture *picture)
{
	struct link *link = picture->sender->link;
	struct msg_wait_for_channels nothing = { 0 };
	struct msg_inval_list list = {
		.list = { .count = (uint16_t)picture->inval_count, .items = picture->inval },
	};

	if (picture->inval_all)
		link_send_wait_for_channels(link, SPICE_MSG_DISPLAY_INVAL_ALL_PIXMAPS, &nothing);
	if (picture->inval_count)
		link_send_inval_list(link, SPICE_MSG_DISPLAY_INVAL_LIST, &list);
}

/* Gives the palette's bytes on the wire. */
static size_t describe_palette(struct picture *picture, struct proto_palette *wire,
	const uint32_t *colours, uint32_t count)
{
	struct image_sender *sender = picture->sender;
	struct msg_inval_one inval;

	wire->from_cache =
		palette_cache_use(&sender->palettes, colours, count, &wire->id, &inval.id);
	if (inval.id)
		link_send_inval_one(sender->link, SPICE_MSG_DISPLAY_INVAL_PALETTE, &inval);
	if (wire->from_cache)
		return 8;
	wire->cache_me = wire->id != 0;
	wire->count = (uint16_t)count;
	wire->ents = (const uint8_t *)colours;
	return 14 + (size_t)count * 4;
}

static size_t describe_bitmap(struct picture *picture, struct proto_image *wire)
{
	const struct encoded *encoded = shared_picture_encoded(picture->shared);
	const struct image *image = picture->image;
	bool own = is_own_bitmap(picture);
	uint32_t colours = own ? image_format_palette(image->format) : encoded->colours;

	wire->type = SPICE_IMAGE_TYPE_BITMAP;
	wire->bitmap.format = proto_bitmap_format(own ? image->format : encoded->format);
	wire->bitmap.top_down = true;
	wire->bitmap.width = wire->width;
	wire->bitmap.height = wire->height;
	wire->bitmap.stride = own ? image->stride : encoded->stride;
	wire->bitmap.data.data = own ? image->data + (size_t)encoded->top * image->stride
				     : buf_bytes(&encoded->bytes);
	wire->bitmap.data.size = (size_t)wire->bitmap.stride * wire->height;
	if (!colours || picture->mask)
		return 0;
	return describe_palette(
		picture, &wire->bitmap.palette, own ? image->palette : encoded->palette, colours);
}

static size_t describe_pixels(struct picture *picture, struct proto_image *wire)
{
	const struct encoded *encoded = shared_picture_encoded(picture->shared);
	struct wire_bytes bytes = { buf_bytes(&encoded->bytes), encoded->bytes.size };

	wire->type = picture->glz_type ? picture->glz_type : encoded->type;
	if (picture->glz_type)
		bytes = (struct wire_bytes){ buf_bytes(&picture->glz), picture->glz.size };
	switch (wire->type) {
	case SPICE_IMAGE_TYPE_LZ_PLT:
		wire->lz_palette.top_down = true;
		wire->lz_palette.data = bytes;
		return describe_palette(
			picture, &wire->lz_palette.palette, encoded->palette, encoded->colours);
	case SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB:
		wire->zlib_glz.glz_size = picture->glz_size;
		wire->zlib_glz.data = bytes;
		break;
	case SPICE_IMAGE_TYPE_JPEG_ALPHA:
		wire->jpeg_alpha.top_down = true;
		wire->jpeg_alpha.jpeg_size = (uint32_t)encoded->jpeg_bytes;
		wire->jpeg_alpha.data = bytes;
		break;
	default: wire->packed = bytes;
	}
	return 0;
}

static void explain(const struct picture *picture, const struct proto_image *wire)
{
	static const char *const names[] = {
		[SPICE_IMAGE_TYPE_BITMAP] = "bitmap",
		[SPICE_IMAGE_TYPE_QUIC] = "QUIC",
		[SPICE_IMAGE_TYPE_LZ_PLT] = "LZ with a palette",
		[SPICE_IMAGE_TYPE_LZ_RGB] = "LZ",
		[SPICE_IMAGE_TYPE_GLZ_RGB] = "GLZ",
		[SPICE_IMAGE_TYPE_FROM_CACHE] = "from cache",
		[SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB] = "zlib over GLZ",
		[SPICE_IMAGE_TYPE_JPEG] = "JPEG",
		[SPICE_IMAGE_TYPE_JPEG_ALPHA] = "JPEG with alpha",
		[SPICE_IMAGE_TYPE_LZ4] = "LZ4",
	};

	log_debug(SERVER_LOG, "picture of %ux%u: %s, %zu bytes: %s; the link carries %llu bytes/s",
		wire->width, wire->height, names[wire->type], picture_bytes(picture),
		picture->shared ? shared_picture_encoded(picture->shared)->why
				: "it was sent before",
		(unsigned long long)rate_of(picture->sender));
}

/* What of the image is on the wire. */
static struct rect sent_area(const struct picture *picture)
{
	const struct encoded *encoded;
	struct rect rows;

	if (!picture->shared)
		return picture->frame;
	encoded = shared_picture_encoded(picture->shared);
	rows = rect_make(
		0, (int32_t)encoded->top, (int32_t)picture->image->width, (int32_t)encoded->height);
	return is_own_bitmap(picture) ? rows
				      : rect_make((int32_t)encoded->left, (int32_t)encoded->top,
						(int32_t)encoded->width, (int32_t)encoded->height);
}

void picture_describe(struct picture *picture, struct proto_image *wire, struct rect *area)
{
	struct rect sent = sent_area(picture);
	size_t more = 0;

	send_invalidations(picture);
	*wire = (struct proto_image){
		.present = true,
		.id = picture->id,
		.type = SPICE_IMAGE_TYPE_FROM_CACHE,
		.flags = picture->cached == CACHED_NOW ? SPICE_IMAGE_FLAGS_CACHE_ME : 0,
		.width = (uint32_t)rect_width(&sent),
		.height = (uint32_t)rect_height(&sent),
	};
	if (picture->shared) {
		if (shared_picture_encoded(picture->shared)->high_bits_set)
			wire->flags |= SPICE_IMAGE_FLAGS_HIGH_BITS_SET;
		more = is_bitmap(picture) ? describe_bitmap(picture, wire)
					  : describe_pixels(picture, wire);
	}
	*area = rect_make(
		area->left - sent.left, area->top - sent.top, rect_width(area), rect_height(area));
	server_stats_add(
		&picture->sender->server->stats.images[wire->type], picture_bytes(picture) + more);
	explain(picture, wire);
}

static void leave_lists(struct picture *picture)
{
	struct image_sender *sender = picture->sender;
	struct picture *before = NULL;

	if (picture->queued) {
		for (struct picture *p = sender->first; p != picture; p = p->next)
			before = p;
		*(before ? &before->next : &sender->first) = picture->next;
		if (sender->last == picture)
			sender->last = before;
	}
	if (picture->to_tell) {
		struct picture **at = &sender->finished;

		while (*at != picture)
			at = &(*at)->next_finished;
		*at = picture->next_finished;
	}
}

void picture_unref(struct picture *picture)
{
	if (!picture)
		return;
	leave_lists(picture);
	if (picture->job)
		picture->job->picture = NULL;
	shared_picture_unref(picture->shared, &picture->waiter);
	image_unref(picture->image);
	buf_finish(&picture->glz);
	free(picture->inval);
	free(picture);
}
