/* SPDX-License-Identifier: MIT */
/* Tracks of videos and the jobs that encode them. */
#include "channels/server/video_share.h"

#include <errno.h>
#include <stdlib.h>

#include "channels/server/server_internal.h"

struct video_track {
	struct video *video; /* NULL: it ended */
	struct video_wish wish;
	struct video_encoder *encoder;
	struct video_member *members;
	struct video_job *job; /* under way */
	uint64_t frame; /* the last one that was begun */
	bool refresh; /* somebody joined: the next frame builds on nothing */
	struct video_track *next;
};

struct video_job {
	struct video_share *share; /* NULL: gone */
	struct video_track *track; /* NULL: abandoned; then the encoder is the job's */
	struct video_encoder *encoder;
	uint64_t id;
	struct pixel_rows *picture;
	struct encoded_frame *frame;
	struct video_demand demand;
	int ret;
};

struct video_share {
	struct loop *loop;
	struct pool *pool;
	struct video_detector *detector;
	struct video_track *tracks;
	uint64_t jobs;
};

static bool alone(enum video_codec codec)
{
	return video_codec_frames_alone(codec);
}

void encoded_frame_unref(struct encoded_frame *frame)
{
	if (!frame || --frame->refs > 0)
		return;
	buf_finish(&frame->data);
	free(frame);
}

/* ---- tracks ---- */

static bool wish_equal(const struct video_wish *a, const struct video_wish *b)
{
	return a->codec == b->codec && a->width == b->width && a->height == b->height &&
		a->quality == b->quality && a->bytes == b->bytes &&
		a->interval_us == b->interval_us && a->average_ms == b->average_ms;
}

static struct video_track *track_create(
	struct video_share *share, struct video *video, const struct video_wish *wish)
{
	struct video_track *track = calloc(1, sizeof(*track));

	if (!track)
		return NULL;
	if (video_encoder_create(&track->encoder, wish->codec, wish->width, wish->height) < 0) {
		free(track);
		return NULL;
	}
	track->video = video;
	track->wish = *wish;
	/* What was complete before is shown already. */
	track->frame = video->frame;
	track->next = share->tracks;
	share->tracks = track;
	return track;
}

static void track_destroy(struct video_share *share, struct video_track *track)
{
	struct video_track **at = &share->tracks;

	while (*at != track)
		at = &(*at)->next;
	*at = track->next;
	if (track->job)
		track->job->track = NULL;
	else
		video_encoder_destroy(track->encoder);
	free(track);
}

static struct video_track *track_find(
	struct video_share *share, const struct video *video, const struct video_wish *wish)
{
	for (struct video_track *track = share->tracks; track; track = track->next)
		if (track->video == video && wish_equal(&track->wish, wish))
			return track;
	return NULL;
}

static void member_add(struct video_track *track, struct video_member *member)
{
	if (track->members)
		track->refresh = true;
	member->track = track;
	member->awaits = 0;
	member->next = track->members;
	track->members = member;
}

static void member_remove(struct video_member *member)
{
	struct video_member **at = &member->track->members;

	while (*at != member)
		at = &(*at)->next;
	*at = member->next;
	member->track = NULL;
	member->awaits = 0;
}

int video_share_join(struct video_share *share, struct video_member *member, struct video *video,
	const struct video_wish *wish)
{
	struct video_track *track = track_find(share, video, wish);

	if (!track)
		track = track_create(share, video, wish);
	if (!track)
		return -ENOMEM;
	member_add(track, member);
	return 0;
}

void video_share_leave(struct video_share *share, struct video_member *member)
{
	struct video_track *track = member->track;

	if (!track)
		return;
	member_remove(member);
	if (!track->members)
		track_destroy(share, track);
}

void video_share_rewish(
	struct video_share *share, struct video_member *member, const struct video_wish *wish)
{
	struct video_track *track = member->track;
	struct video *video;

	if (!track || wish_equal(&track->wish, wish))
		return;
	video = track->video;
	/* Where frames build on each other, joining others would cost these a large one. */
	if (!track->members->next && !(alone(wish->codec) && track_find(share, video, wish))) {
		/* An encoder can change its mind; the sizes are the same. */
		track->wish.quality = wish->quality;
		track->wish.bytes = wish->bytes;
		track->wish.interval_us = wish->interval_us;
		track->wish.average_ms = wish->average_ms;
		return;
	}
	video_share_leave(share, member);
	video_share_join(share, member, video, wish);
}

/* ---- encoding ---- */

static void job_free(struct video_job *job)
{
	if (!job->track)
		video_encoder_destroy(job->encoder);
	pixel_rows_unref(job->picture);
	encoded_frame_unref(job->frame);
	free(job);
}

static void job_work(void *opaque)
{
	struct video_job *job = opaque;

	job->ret = video_encoder_encode(job->encoder, &job->frame->data, job->picture->rows,
		job->picture->width, job->picture->height, job->frame->mm_time, &job->demand);
}

static void deliver(struct video_job *job)
{
	struct video_track *track = job->track;
	bool good = job->ret == 0 && job->frame->data.size > 0;
	struct video_member *next;

	job->frame->quality = video_encoder_quality(job->encoder);
	for (struct video_member *m = track->members; m; m = next) {
		next = m->next;
		if (m->awaits != job->id)
			continue;
		m->awaits = 0;
		if (good)
			job->frame->refs++;
		m->ops->encoded(m, good ? job->frame : NULL);
	}
}

static void track_go(struct video_share *share, struct video_track *track, bool complete);

static void job_done(void *opaque)
{
	struct video_job *job = opaque;
	struct video_track *track = job->track;

	if (track) {
		track->job = NULL;
		if (job->ret < 0)
			track->refresh = true;
		deliver(job);
		/* The next one may be complete already. */
		track_go(job->share, track, false);
	}
	job_free(job);
}

static struct video_job *job_create(struct video_share *share, struct video_track *track)
{
	const struct video *video = track->video;
	struct video_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->frame = calloc(1, sizeof(*job->frame));
	if (!job->frame) {
		free(job);
		return NULL;
	}
	job->share = share;
	job->track = track;
	job->encoder = track->encoder;
	job->id = ++share->jobs;
	job->frame->refs = 1;
	job->frame->number = video->frame;
	job->frame->mm_time = (uint32_t)(video->frame_ns / 1000000);
	job->frame->width = track->wish.width;
	job->frame->height = track->wish.height;
	job->demand = (struct video_demand){
		.quality = track->wish.quality,
		.bytes = track->wish.bytes,
		.interval_us = track->wish.interval_us ? track->wish.interval_us
						       : (uint32_t)(video->interval_ns / 1000),
		.average_ms = track->wish.average_ms,
		.refresh = track->refresh,
	};
	return job;
}

/* Those without room leave a track whose frames build on each other. */
static void part_with_the_slow(struct video_share *share, struct video_track *track)
{
	struct video_member *next;

	for (struct video_member *m = track->members; m; m = next) {
		struct video_track *own;

		next = m->next;
		if (m->ops->has_room(m) || !track->members->next)
			continue;
		own = track_create(share, track->video, &track->wish);
		if (!own)
			continue;
		member_remove(m);
		member_add(own, m);
	}
}

static bool everybody_has_room(const struct video_track *track)
{
	for (struct video_member *m = track->members; m; m = m->next)
		if (!m->ops->has_room(m))
			return false;
	return true;
}

static bool anybody_has_room(const struct video_track *track)
{
	for (struct video_member *m = track->members; m; m = m->next)
		if (m->ops->has_room(m))
			return true;
	return false;
}

/* Begins to encode the newest complete frame, when it is new and wanted. `complete`: that just
 * happened, so that it waits for nobody. */
static void track_go(struct video_share *share, struct video_track *track, bool complete)
{
	struct video_job *job;

	if (!track->video || track->job || track->frame >= track->video->frame)
		return;
	if (!anybody_has_room(track))
		return;
	if (!alone(track->wish.codec) && !everybody_has_room(track)) {
		if (!complete)
			return;
		part_with_the_slow(share, track);
	}
	job = job_create(share, track);
	if (!job)
		return;
	if (video_picture(share->detector, track->video, &job->picture) < 0) {
		job_free(job);
		return;
	}
	track->job = job;
	track->frame = track->video->frame;
	track->refresh = false;
	for (struct video_member *m = track->members; m; m = m->next) {
		if (!m->ops->has_room(m))
			continue;
		m->awaits = job->id;
		m->ops->captured(m);
	}
	if (pool_submit(share->pool, share->loop, job_work, job_done, job) == 0)
		return;
	job->ret = -ENOMEM;
	job_done(job);
}

void video_share_frame(struct video_share *share, struct video *video)
{
	struct video_track *next;

	for (struct video_track *track = share->tracks; track; track = next) {
		next = track->next;
		if (track->video == video)
			track_go(share, track, true);
	}
}

void video_share_room(struct video_share *share, struct video_member *member)
{
	if (member->track)
		track_go(share, member->track, false);
}

/* ---- the whole ---- */

int video_share_create(struct video_share **out, struct loop *loop, struct pool *pool,
	struct video_detector *detector)
{
	struct video_share *share = calloc(1, sizeof(*share));

	if (!share)
		return -ENOMEM;
	share->loop = loop;
	share->pool = pool;
	share->detector = detector;
	*out = share;
	return 0;
}

void video_share_destroy(struct video_share *share)
{
	if (!share)
		return;
	while (share->tracks)
		track_destroy(share, share->tracks);
	free(share);
}
