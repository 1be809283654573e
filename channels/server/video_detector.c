/* SPDX-License-Identifier: MIT */
/* The detector: tiles, the videos they make, and the ends of their frames. */
#include "channels/server/video_detector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/server/video_content.h"
#include "channels/server/video_source.h"
#include "core/log.h"
#include "core/util.h"

#define MS 1000000ull

enum {
	TILE = 32, /* pixels of its side */
	HITS_BEGIN = 3, /* pictures in a row that make a video; fewer where there was one lately */
	HITS_NEAR = 2, /* that make a tile part of it, when a neighbour began it */
	MIN_WIDTH = 96,
	MIN_HEIGHT = 64,
	MIN_DRAW = 256, /* pixels: what is smaller, or thinner than this, is no picture: */
	MIN_SIDE = 4,
	FLAPS_BLEND = 3,
	PARTS_PARTIAL = 3,
	GROWN_MAX = 2,
};

static const uint64_t hit_gap_ns = 10 * MS; /* what comes closer belongs to the same frame */
static const uint64_t calm_ns = 200 * MS; /* a row of hits ends, and a video */
static const uint64_t warm_ns = 5000 * MS; /* a place where a video was is known this long */
static const uint64_t refused_ns = 500 * MS; /* until what was no video is looked at again */
/* Without a drawing for so long the frame is complete: longer while frames come whole. */
static const uint64_t quiet_ns = 4 * MS;
static const uint64_t quiet_whole_ns = 20 * MS;
static const uint64_t burst_max_ns = 24 * MS; /* so is one that takes this long */
static const uint64_t flap_ns = 100 * MS;
static const uint64_t blend_ns = 2000 * MS;
static const uint64_t regrow_ns = 300 * MS; /* before which a video does not begin anew */
static const uint64_t settle_ns = 1500 * MS; /* after which that has nothing to do with its birth */
static const uint64_t check_ns = 500 * MS; /* how often a video's size is looked at */

struct tile {
	uint64_t last_ns; /* the newest hit that counted; 0: none */
	uint64_t warm_until_ns;
	uint64_t refused_until_ns;
	uint8_t hits;
	uint8_t left, top, right, bottom; /* what was drawn of it in this row of hits */
};

struct state {
	struct video base;
	struct region seen; /* drawn since the last complete frame */
	bool drawing; /* something was */
	bool covered; /* all of it: complete at the end of the turn */
	bool patient; /* drawings follow on those that cover it all */
	uint32_t late;
	bool partial; /* frames change parts of it, differing ones: nothing tells that all was drawn */
	uint32_t parts; /* of the last frames, how many did not cover it */
	uint64_t burst_ns; /* when the first of `seen` came */
	uint64_t hit_ns; /* when the last drawing came */
	uint64_t began_ns;
	uint32_t grown; /* how often it did, one after the other */
	uint64_t complete_ns;
	struct rect recent; /* drawn since check_at_ns - check_ns */
	uint64_t check_at_ns;
	uint64_t cut_ns; /* something was drawn over it */
	uint32_t flaps; /* how often that was painted over at once */
	uint64_t blend_until_ns; /* what is drawn over it is taken for a part of it */
	struct pixel_rows *picture; /* of frame picture_frame; NULL: not asked for */
	uint64_t picture_frame;
	struct state *next;
};

struct video_detector {
	struct loop *loop;
	struct display *display;
	enum spice_video mode;
	struct loop_timer *timer;
	struct loop_idle *idle;
	struct video_listener *listeners;
	struct state *videos;
	uint32_t video_count;
	struct state *took; /* what the last drawing is wholly part of, or NULL */
	struct video_sources sources;
	uint64_t ids;
	struct tile *tiles; /* columns * rows of the primary surface; NULL: there is none */
	uint32_t *stack; /* as many */
	struct rect bounds;
	uint32_t columns, rows;
};

static struct state *of_video(struct video *video)
{
	return container_of(video, struct state, base);
}

#define TELL(detector, op, video)                                                              \
	for (struct video_listener *l_ = (detector)->listeners, *n_; l_ && (n_ = l_->next, 1); \
		l_ = n_)                                                                       \
	l_->ops->op(l_, (video))

static int64_t rect_area(const struct rect *r)
{
	return rect_empty(r) ? 0 : (int64_t)rect_width(r) * rect_height(r);
}

/* ---- the ends of videos ---- */

static void video_free(struct state *video)
{
	region_finish(&video->base.shown);
	region_finish(&video->seen);
	pixel_rows_unref(video->picture);
	free(video);
}

static void video_end(struct video_detector *detector, struct state *video)
{
	struct state **at = &detector->videos;

	while (*at != video)
		at = &(*at)->next;
	*at = video->next;
	detector->video_count--;
	if (detector->took == video)
		detector->took = NULL;
	TELL(detector, end, &video->base);
	video_free(video);
}

static void end_all(struct video_detector *detector)
{
	while (detector->videos)
		video_end(detector, detector->videos);
}

/* ---- frames ---- */

/* When the frame that is being drawn counts as complete, if nothing else comes. */
static uint64_t quiet_at(const struct state *video)
{
	uint64_t quiet = video->partial ? quiet_ns : quiet_whole_ns;

	return MIN(video->hit_ns + quiet, video->burst_ns + burst_max_ns);
}

static void rearm(struct video_detector *detector, uint64_t now_ns)
{
	uint64_t due = UINT64_MAX;

	for (struct state *v = detector->videos; v; v = v->next) {
		uint64_t at = v->hit_ns + calm_ns;

		if (v->drawing)
			at = quiet_at(v);
		due = MIN(due, at);
	}
	if (due != UINT64_MAX)
		loop_timer_arm(detector->timer, due > now_ns ? due - now_ns : 0);
	else
		loop_timer_disarm(detector->timer);
}

static void frame_complete(struct video_detector *detector, struct state *video, uint64_t now_ns)
{
	struct video *base = &video->base;

	if (base->frame) {
		uint64_t interval = MIN(video->burst_ns - base->frame_ns, calm_ns);

		/* From the first drawing, as the last one's time varies more. */
		base->interval_ns = base->interval_ns ? (base->interval_ns * 7 + interval) / 8
						      : interval;
	}
	video->parts = video->covered ? 0 : video->parts + 1;
	video->partial = video->parts >= PARTS_PARTIAL;
	base->frame++;
	base->frame_ns = video->burst_ns;
	video->complete_ns = now_ns;
	video->drawing = video->covered = false;
	region_clear(&video->seen);
	TELL(detector, frame, base);
}

static void on_timer(void *opaque)
{
	struct video_detector *detector = opaque;
	uint64_t now_ns = clock_monotonic_ns();
	struct state *next;

	for (struct state *v = detector->videos; v; v = next) {
		next = v->next;
		if (v->drawing && now_ns >= MIN(v->hit_ns + quiet_ns, v->burst_ns + burst_max_ns))
			frame_complete(detector, v, now_ns);
		if (now_ns >= v->hit_ns + calm_ns)
			video_end(detector, v);
	}
	rearm(detector, now_ns);
}

static void on_idle(void *opaque)
{
	struct video_detector *detector = opaque;
	uint64_t now_ns = clock_monotonic_ns();

	for (struct state *v = detector->videos; v; v = v->next)
		if (v->drawing && v->covered && !v->patient)
			frame_complete(detector, v, now_ns);
	rearm(detector, now_ns);
}

int video_picture(struct video_detector *detector, struct video *base, struct pixel_rows **picture)
{
	struct state *video = of_video(base);
	int err;

	if (!video->picture || video->picture_frame != base->frame) {
		if (video->drawing || !base->frame)
			return -EAGAIN;
		pixel_rows_unref(video->picture);
		video->picture = NULL;
		err = display_rows(
			detector->display, base->surface_id, &base->area, &video->picture);
		if (err < 0)
			return err;
		video->picture_frame = base->frame;
	}
	*picture = pixel_rows_ref(video->picture);
	return 0;
}

/* ---- the birth of videos ---- */

/* The smallest rectangle around what was drawn of the tiles that touch `seed` and each other;
 * an empty one when it is too small, or mostly something else. Says until when some part of it is
 * refused. */
static struct rect find_area(
	struct video_detector *detector, uint32_t seed, uint64_t *refused_until_ns, uint64_t now_ns)
{
	struct rect area = { 0 };
	uint32_t depth = 0;
	int64_t filled = 0;

	/* The lowest bit of refused_until_ns marks what was visited; it is cleared below. */
	detector->stack[depth++] = seed;
	detector->tiles[seed].refused_until_ns |= 1;
	for (uint32_t done = 0; done < depth; done++) {
		uint32_t at = detector->stack[done];
		uint32_t x = at % detector->columns, y = at / detector->columns;
		const struct tile *tile = &detector->tiles[at];
		struct rect part = {
			(int32_t)(x * TILE + tile->left),
			(int32_t)(y * TILE + tile->top),
			(int32_t)(x * TILE + tile->right),
			(int32_t)(y * TILE + tile->bottom),
		};
		const uint32_t near[4] = {
			x ? at - 1 : at,
			x + 1 < detector->columns ? at + 1 : at,
			y ? at - detector->columns : at,
			y + 1 < detector->rows ? at + detector->columns : at,
		};

		area = rect_union(&area, &part);
		filled += rect_area(&part);
		for (uint32_t i = 0; i < 4; i++) {
			struct tile *other = &detector->tiles[near[i]];
			uint32_t needed = other->warm_until_ns > now_ns ? 1 : HITS_NEAR;

			if (other->refused_until_ns & 1 || other->hits < needed ||
				now_ns - other->last_ns > calm_ns)
				continue;
			other->refused_until_ns |= 1;
			detector->stack[depth++] = near[i];
		}
	}
	*refused_until_ns = 0;
	for (uint32_t i = 0; i < depth; i++) {
		struct tile *tile = &detector->tiles[detector->stack[i]];

		tile->refused_until_ns &= ~1ull;
		*refused_until_ns = MAX(*refused_until_ns, tile->refused_until_ns);
	}
	if (rect_width(&area) < MIN_WIDTH || rect_height(&area) < MIN_HEIGHT ||
		filled < rect_area(&area) * 6 / 10)
		return (struct rect){ 0 };
	return area;
}

#define FOR_EACH_TILE(detector, area, tile)                                             \
	for (uint32_t y_ = (uint32_t)(area)->top / TILE;                                \
		y_ < DIV_ROUND_UP((uint32_t)(area)->bottom, TILE); y_++)                \
		for (struct tile *tile = (detector)->tiles + y_ * (detector)->columns + \
				(uint32_t)(area)->left / TILE,                          \
				 *end_ = (detector)->tiles + y_ * (detector)->columns + \
				DIV_ROUND_UP((uint32_t)(area)->right, TILE);            \
			tile < end_; tile++)

static void refuse(struct video_detector *detector, const struct rect *area, uint64_t until_ns)
{
	/* Even: the lowest bit is find_area()'s. */
	FOR_EACH_TILE(detector, area, tile)
	tile->refused_until_ns = until_ns & ~1ull;
}

static void forget(struct video_detector *detector, const struct rect *area)
{
	FOR_EACH_TILE(detector, area, tile)
	{
		tile->hits = 0;
		tile->warm_until_ns = 0;
	}
}

static bool looks_like_video(struct video_detector *detector, const struct rect *area)
{
	struct video_content content = { 0 };
	struct surface *surface;

	if (detector->mode == SPICE_SERVER_VIDEO_ALL)
		return true;
	display_lock(detector->display);
	surface = display_sync(detector->display, DISPLAY_PRIMARY, area);
	if (surface) {
		struct rect bounds = surface_bounds(surface);
		struct rect inside = rect_intersect(&bounds, area);

		if (!rect_empty(&inside))
			content = video_content_measure(surface, &inside);
	}
	display_unlock(detector->display);
	return video_content_moves(&content);
}

static void keep_warm(struct video_detector *detector, struct state *video, uint64_t now_ns)
{
	FOR_EACH_TILE(detector, &video->base.area, tile)
	tile->warm_until_ns = now_ns + warm_ns;
}

static struct state *video_begin(
	struct video_detector *detector, const struct rect *area, uint64_t now_ns)
{
	struct state *video = NULL;

	if (detector->video_count < VIDEOS_MAX)
		video = calloc(1, sizeof(*video));
	if (!video)
		return NULL;
	video->base.id = ++detector->ids;
	video->base.surface_id = DISPLAY_PRIMARY;
	video->base.area = *area;
	region_init_rect(&video->base.shown, area);
	region_init(&video->seen);
	video->hit_ns = video->began_ns = now_ns;
	video->check_at_ns = now_ns + check_ns;
	video->next = detector->videos;
	detector->videos = video;
	detector->video_count++;
	keep_warm(detector, video, now_ns);
	TELL(detector, begin, &video->base);
	return video;
}

/* Videos that grew begin anew, but not all the time; what goes on growing is a thing that moves. */
static bool may_begin(
	struct video_detector *detector, const struct rect *area, uint32_t *grown, uint64_t now_ns)
{
	for (const struct state *v = detector->videos; v; v = v->next) {
		struct rect common = rect_intersect(&v->base.area, area);

		if (rect_empty(&common))
			continue;
		if (rect_contains(&v->base.area, area) || now_ns - v->began_ns < regrow_ns)
			return false;
		if (now_ns - v->began_ns < settle_ns)
			*grown = MAX(*grown, v->grown + 1);
	}
	return true;
}

static void end_overlapping(struct video_detector *detector, const struct rect *area)
{
	struct state *next;

	for (struct state *v = detector->videos; v; v = next) {
		struct rect common = rect_intersect(&v->base.area, area);

		next = v->next;
		if (!rect_empty(&common))
			video_end(detector, v);
	}
}

static void say(const struct rect *area, const char *what)
{
	log_debug("video", "%dx%d at %d,%d %s", rect_width(area), rect_height(area), area->left,
		area->top, what);
}

/* Looks for a video around a tile that was drawn on often enough. */
static struct state *try_begin(
	struct video_detector *detector, const struct rect *drawn, uint32_t seed, uint64_t now_ns)
{
	uint64_t refused_until_ns;
	struct rect area = find_area(detector, seed, &refused_until_ns, now_ns);
	struct state *video;
	uint32_t grown = 0;

	/* What was refused and has moved on is refused there, too. */
	if (refused_until_ns > now_ns) {
		refuse(detector, rect_empty(&area) ? drawn : &area, refused_until_ns);
		return NULL;
	}
	if (!rect_empty(&area) && !may_begin(detector, &area, &grown, now_ns))
		return NULL;
	if (rect_empty(&area) || !looks_like_video(detector, &area)) {
		if (!rect_empty(&area))
			say(&area, "changes fast, but is no moving picture");
		refuse(detector, rect_empty(&area) ? drawn : &area, now_ns + refused_ns);
		return NULL;
	}
	end_overlapping(detector, &area);
	if (grown > GROWN_MAX) {
		say(&area, "changes fast, but moves itself");
		forget(detector, &area);
		refuse(detector, &area, now_ns + warm_ns);
		return NULL;
	}
	video = video_begin(detector, &area, now_ns);
	if (video) {
		video->grown = grown;
		say(&area, "is a video");
	}
	return video;
}

/* ---- drawings ---- */

/* Counts a picture at each tile; answers one that makes a video, or -1. */
static int64_t hit_tiles(struct video_detector *detector, const struct rect *area, uint64_t now_ns)
{
	int64_t seed = -1;

	FOR_EACH_TILE(detector, area, tile)
	{
		uint32_t at = (uint32_t)(tile - detector->tiles);
		int32_t x = (int32_t)(at % detector->columns * TILE);
		int32_t y = (int32_t)(at / detector->columns * TILE);
		uint8_t left = (uint8_t)MAX(area->left - x, 0);
		uint8_t top = (uint8_t)MAX(area->top - y, 0);
		uint8_t right = (uint8_t)MIN(area->right - x, TILE);
		uint8_t bottom = (uint8_t)MIN(area->bottom - y, TILE);

		if (!tile->hits || now_ns - tile->last_ns > calm_ns) {
			tile->hits = 1;
			tile->last_ns = now_ns;
			tile->left = left;
			tile->top = top;
			tile->right = right;
			tile->bottom = bottom;
		} else {
			tile->left = MIN(tile->left, left);
			tile->top = MIN(tile->top, top);
			tile->right = MAX(tile->right, right);
			tile->bottom = MAX(tile->bottom, bottom);
			if (now_ns - tile->last_ns >= hit_gap_ns) {
				tile->last_ns = now_ns;
				tile->hits += tile->hits < UINT8_MAX;
			}
		}
		if (now_ns < tile->refused_until_ns)
			continue;
		if (tile->hits >= HITS_BEGIN || tile->warm_until_ns > now_ns)
			seed = at;
	}
	return seed;
}

static struct state *find(struct video_detector *detector, const struct rect *area)
{
	for (struct state *v = detector->videos; v; v = v->next)
		if (rect_contains(&v->base.area, area))
			return v;
	return NULL;
}

/* Now and then: whether it is still where it was, and still looks like one. */
static bool still_video(struct video_detector *detector, struct state *video, uint64_t now_ns)
{
	bool fits;

	if (now_ns < video->check_at_ns)
		return true;
	fits = rect_area(&video->recent) >= rect_area(&video->base.area) * 8 / 10;
	video->check_at_ns = now_ns + check_ns;
	if (fits && looks_like_video(detector, &video->base.area)) {
		video->recent = (struct rect){ 0 };
		keep_warm(detector, video, now_ns);
		return true;
	}
	forget(detector, &video->base.area);
	if (fits)
		refuse(detector, &video->base.area, now_ns + refused_ns);
	return false;
}

static void region_of(struct region *region, const struct rect *area, const struct region *clip)
{
	region_init_rect(region, area);
	if (clip)
		region_intersect(region, clip);
}

/* What is shown again had been cut by something that is drawn on every frame, maybe. */
static void show_again(struct video_detector *detector, struct state *video,
	const struct region *part, uint64_t now_ns)
{
	struct region back;

	region_init(&back);
	region_copy(&back, part);
	region_intersect_rect(&back, &video->base.area);
	region_subtract(&back, &video->base.shown);
	if (!region_empty(&back)) {
		video->flaps = now_ns - video->cut_ns < flap_ns ? video->flaps + 1 : 0;
		if (video->flaps >= FLAPS_BLEND)
			video->blend_until_ns = now_ns + blend_ns;
		region_add(&video->base.shown, &back);
		TELL(detector, shown, &video->base);
	}
	region_finish(&back);
}

static void hit_video(struct video_detector *detector, struct state *video,
	const struct region *part, uint64_t now_ns)
{
	struct rect extents = region_extents(part);

	extents = rect_intersect(&extents, &video->base.area);
	if (!video->drawing) {
		video->drawing = true;
		video->burst_ns = now_ns;
		if (!video->patient && video->complete_ns && now_ns - video->complete_ns < quiet_ns)
			video->patient = ++video->late >= 3;
	}
	video->hit_ns = now_ns;
	video->recent = rect_union(&video->recent, &extents);
	region_add(&video->seen, part);
	if (region_contains_rect(&video->seen, &video->base.area)) {
		video->covered = true;
		loop_idle_schedule(detector->idle);
	}
}

static void picture_drawn(struct video_detector *detector, const struct rect *area,
	const struct region *clip, uint64_t now_ns)
{
	int64_t seed = hit_tiles(detector, area, now_ns);
	struct state *video = find(detector, area);
	struct region part;

	if (video && !still_video(detector, video, now_ns)) {
		video_end(detector, video);
		video = NULL;
	} else if (!video && seed >= 0) {
		video = try_begin(detector, area, (uint32_t)seed, now_ns);
	}
	if (video && rect_contains(&video->base.area, area))
		detector->took = video;
	region_of(&part, area, clip);
	for (struct state *v = detector->videos; v; v = v->next) {
		if (!region_overlaps_rect(&part, &v->base.area))
			continue;
		show_again(detector, v, &part, now_ns);
		hit_video(detector, v, &part, now_ns);
	}
	region_finish(&part);
	rearm(detector, now_ns);
}

/* Something else: what it covers is no video until the next frame is drawn there. */
static void other_drawn(struct video_detector *detector, const struct rect *area,
	const struct region *clip, uint64_t now_ns)
{
	for (struct state *v = detector->videos; v; v = v->next) {
		struct rect common = rect_intersect(&v->base.area, area);
		struct region part;

		if (rect_empty(&common))
			continue;
		region_of(&part, &common, clip);
		if (now_ns < v->blend_until_ns) {
			hit_video(detector, v, &part, now_ns);
			if (rect_equal(&common, area))
				detector->took = v;
		} else if (!region_empty(&part)) {
			v->cut_ns = now_ns;
			region_subtract(&v->base.shown, &part);
			TELL(detector, shown, &v->base);
		}
		region_finish(&part);
	}
}

/* Windows that move and text that scrolls are none, whatever is drawn in the gaps; and a video that is
 * moved is looked for at its new place. */
static void copied(struct video_detector *detector, const struct rect *area)
{
	struct state *next;

	forget(detector, area);
	for (struct state *v = detector->videos; v; v = next) {
		struct rect common = rect_intersect(&v->base.area, area);

		next = v->next;
		if (rect_area(&common) > rect_area(&v->base.area) / 2) {
			forget(detector, &v->base.area);
			video_end(detector, v);
		}
	}
}

static bool large_enough(const struct rect *area)
{
	return rect_area(area) >= MIN_DRAW && MIN(rect_width(area), rect_height(area)) >= MIN_SIDE;
}

static bool ready(struct video_detector *detector, uint32_t surface_id)
{
	return detector->tiles && surface_id == DISPLAY_PRIMARY && detector->listeners &&
		detector->mode != SPICE_SERVER_VIDEO_OFF;
}

static struct state *find_id(struct video_detector *detector, uint64_t id)
{
	struct state *video = detector->videos;

	while (video && video->base.id != id)
		video = video->next;
	return video;
}

/* A frame, maybe, that is still to be copied to where it is seen. */
static void off_screen_drawn(
	struct video_detector *detector, const struct draw *draw, uint64_t now_ns)
{
	const struct rect all = { 0, 0, SURFACE_MAX_SIDE, SURFACE_MAX_SIDE };
	struct rect area = rect_intersect(&draw->box, &all);
	struct region part;
	uint64_t id;

	if (!ready(detector, DISPLAY_PRIMARY) || rect_empty(&area) ||
		!video_source_is_picture(draw))
		return;
	region_of(&part, &area, draw->clipped ? &draw->clip : NULL);
	id = video_sources_drawn(
		&detector->sources, draw->surface_id, &part, now_ns - calm_ns, now_ns);
	detector->took = find_id(detector, id);
	region_finish(&part);
}

/* Answers whether it showed a picture from an off-screen surface. */
static bool off_screen_shown(struct video_detector *detector, const struct draw *draw,
	const struct rect *area, const struct region *clip, uint64_t now_ns)
{
	enum video_copy copy;
	struct region part;
	struct point shift;
	uint64_t video = 0;
	uint32_t id;

	if (!video_source_of(draw, &id, &shift))
		return false;
	region_of(&part, area, clip);
	copy = video_sources_copied(
		&detector->sources, id, &part, &shift, now_ns - calm_ns, now_ns, &video);
	region_finish(&part);
	if (copy == VIDEO_COPY_AGAIN)
		detector->took = find_id(detector, video);
	if (copy != VIDEO_COPY_PICTURE || !large_enough(area))
		return detector->took;
	picture_drawn(detector, area, clip, now_ns);
	if (detector->took)
		video_sources_feed(&detector->sources, id, detector->took->base.id,
			&detector->took->base.area, &shift, now_ns);
	return true;
}

void video_detector_draw(struct video_detector *detector, const struct draw *draw, uint64_t now_ns)
{
	const struct region *clip = draw->clipped ? &draw->clip : NULL;
	struct rect area = draw->box;

	detector->took = NULL;
	if (draw->surface_id != DISPLAY_PRIMARY) {
		off_screen_drawn(detector, draw, now_ns);
		return;
	}
	if (!ready(detector, draw->surface_id))
		return;
	if (clip) {
		struct rect extents = region_extents(clip);

		area = rect_intersect(&area, &extents);
	}
	area = rect_intersect(&area, &detector->bounds);
	if (rect_empty(&area))
		return;
	if (video_source_is_picture(draw) && large_enough(&area)) {
		picture_drawn(detector, &area, clip, now_ns);
		return;
	}
	if (off_screen_shown(detector, draw, &area, clip, now_ns))
		return;
	if (draw->type == DRAW_COPY_BITS)
		copied(detector, &area);
	other_drawn(detector, &area, clip, now_ns);
}

void video_detector_dirty(struct video_detector *detector, uint32_t surface_id,
	const struct rect *dirty, uint64_t now_ns)
{
	struct rect area = rect_intersect(dirty, &detector->bounds);

	detector->took = NULL;
	if (ready(detector, surface_id) && large_enough(&area))
		picture_drawn(detector, &area, NULL, now_ns);
}

struct video *video_detector_took(const struct video_detector *detector)
{
	return detector->took ? &detector->took->base : NULL;
}

/* ---- the whole ---- */

void video_detector_surface(
	struct video_detector *detector, uint32_t surface_id, const struct surface *surface)
{
	if (surface_id != DISPLAY_PRIMARY) {
		video_sources_forget(&detector->sources, surface_id);
		return;
	}
	end_all(detector);
	loop_timer_disarm(detector->timer);
	free(detector->tiles);
	free(detector->stack);
	detector->tiles = NULL;
	detector->stack = NULL;
	detector->bounds = (struct rect){ 0 };
	if (!surface)
		return;
	detector->columns = DIV_ROUND_UP(surface->width, TILE);
	detector->rows = DIV_ROUND_UP(surface->height, TILE);
	detector->tiles = calloc((size_t)detector->columns * detector->rows, sizeof(struct tile));
	detector->stack = calloc((size_t)detector->columns * detector->rows, sizeof(uint32_t));
	if (detector->tiles && detector->stack) {
		detector->bounds = surface_bounds(surface);
		return;
	}
	free(detector->tiles);
	free(detector->stack);
	detector->tiles = NULL;
	detector->stack = NULL;
}

void video_detector_set_mode(struct video_detector *detector, enum spice_video mode)
{
	detector->mode = mode;
	end_all(detector);
}

void video_detector_listen(struct video_detector *detector, struct video_listener *listener)
{
	listener->next = detector->listeners;
	detector->listeners = listener;
}

void video_detector_unlisten(struct video_detector *detector, struct video_listener *listener)
{
	struct video_listener **at = &detector->listeners;

	while (*at && *at != listener)
		at = &(*at)->next;
	if (*at)
		*at = listener->next;
	if (!detector->listeners)
		end_all(detector);
}

void video_detector_destroy(struct video_detector *detector)
{
	if (!detector)
		return;
	end_all(detector);
	video_sources_finish(&detector->sources);
	loop_timer_remove(detector->timer);
	loop_idle_remove(detector->idle);
	free(detector->tiles);
	free(detector->stack);
	free(detector);
}

int video_detector_create(struct video_detector **out, struct loop *loop, struct display *display)
{
	struct video_detector *detector = calloc(1, sizeof(*detector));

	if (!detector)
		return -ENOMEM;
	detector->loop = loop;
	detector->display = display;
	video_sources_init(&detector->sources);
	detector->timer = loop_timer_add(loop, on_timer, detector);
	detector->idle = loop_idle_add(loop, on_idle, detector);
	if (!detector->timer || !detector->idle) {
		video_detector_destroy(detector);
		return -ENOMEM;
	}
	*out = detector;
	return 0;
}
