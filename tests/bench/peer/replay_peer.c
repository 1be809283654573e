/* SPDX-License-Identifier: MIT */
/*
 * Replays a recording to viewers of libspice-server at the pace of its time stamps, which its own
 * spice-server-replay cannot. bench_replay.py compiles it with what that program is made of; it is
 * part of nothing else.
 *
 *     replay_peer PORT TRACE      waits for a viewer, plays, says "played", and stays until killed
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <spice.h>

#include "basic-event-loop.h"

enum { SURFACES = 1024, RING = 32 };

/* The library's callbacks come without anything of ours. */
static struct {
	SpiceReplay *replay;
	FILE *file;
	QXLInstance display;
	SpiceServer *server;
	GAsyncQueue *commands[2]; /* drawings; the pointer's */
	pthread_t feeder;
	int feeding;
} peer;

/* ---- the device ---- */

static void attached_worker(QXLInstance *instance)
{
	static QXLDevMemSlot slot = { .virt_end = ~0ul, .qxl_ram_size = ~0u };

	spice_qxl_add_memslot(instance, &slot);
	spice_server_vm_start(peer.server);
}

static void get_init_info(QXLInstance *instance, QXLDevInitInfo *info)
{
	memset(info, 0, sizeof(*info));
	info->num_memslots = info->num_memslots_groups = 1;
	info->memslot_id_bits = info->memslot_gen_bits = 1;
	info->n_surfaces = SURFACES;
}

static int take(int which, QXLCommandExt *out)
{
	QXLCommandExt *command = g_async_queue_try_pop(peer.commands[which]);

	if (!command)
		return FALSE;
	*out = *command;
	return TRUE;
}

static int get_command(QXLInstance *instance, QXLCommandExt *out)
{
	return take(0, out);
}

static int get_cursor_command(QXLInstance *instance, QXLCommandExt *out)
{
	return take(1, out);
}

static int req_notification(QXLInstance *instance)
{
	return g_async_queue_length(peer.commands[0]) == 0;
}

static int req_cursor_notification(QXLInstance *instance)
{
	return g_async_queue_length(peer.commands[1]) == 0;
}

static void release_resource(QXLInstance *instance, QXLReleaseInfoExt release)
{
	spice_replay_free_cmd(peer.replay, (QXLCommandExt *)(uintptr_t)release.info->id);
}

static void set_compression_level(QXLInstance *instance, int level)
{
}

static void notify_update(QXLInstance *instance, uint32_t id)
{
}

static int flush_resources(QXLInstance *instance)
{
	return TRUE;
}

static QXLInterface interface = {
	.base = { .type = SPICE_INTERFACE_QXL,
		.description = "replay",
		.major_version = SPICE_INTERFACE_QXL_MAJOR,
		.minor_version = SPICE_INTERFACE_QXL_MINOR },
	.attached_worker = attached_worker,
	.set_compression_level = set_compression_level,
	.get_init_info = get_init_info,
	.get_command = get_command,
	.req_cmd_notification = req_notification,
	.release_resource = release_resource,
	.get_cursor_command = get_cursor_command,
	.req_cursor_notification = req_cursor_notification,
	.notify_update = notify_update,
	.flush_resources = flush_resources,
};

/* ---- the guest ---- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The time stamp of the next record, which stays unread. */
static int peek_time(uint64_t *time_ns)
{
	long at = ftell(peer.file);
	unsigned long stamp;
	int got = fscanf(peer.file, " event %*d %*d %*d %lu", &stamp);

	fseek(peer.file, at, SEEK_SET);
	*time_ns = stamp;
	return got == 1;
}

static void *feed(void *opaque)
{
	uint64_t start = now_ns(), first = 0, stamp;
	QXLCommandExt *command;

	while (peek_time(&stamp)) {
		uint64_t passed = now_ns() - start;

		first = first ? first : stamp;
		if (stamp > first + passed)
			usleep((useconds_t)((stamp - first - passed) / 1000));
		command = spice_replay_next_cmd(peer.replay, &peer.display);
		if (!command)
			break;
		while (g_async_queue_length(peer.commands[0]) >= RING)
			usleep(1000);
		g_async_queue_push(
			peer.commands[command->cmd.type == QXL_CMD_CURSOR], command);
		spice_qxl_wakeup(&peer.display);
	}
	puts("played");
	fflush(stdout);
	return NULL;
}

static void channel_event(int event, SpiceChannelEventInfo *info)
{
	if (info->type == SPICE_CHANNEL_DISPLAY && event == SPICE_CHANNEL_EVENT_INITIALIZED &&
		!peer.feeding++)
		pthread_create(&peer.feeder, NULL, feed, NULL);
}

int main(int argc, char **argv)
{
	SpiceCoreInterface *core = basic_event_loop_init();

	if (argc != 3 || !(peer.file = fopen(argv[2], "rb")) ||
		!(peer.replay = spice_replay_new(peer.file, SURFACES)))
		return 1;
	peer.commands[0] = g_async_queue_new();
	peer.commands[1] = g_async_queue_new();
	core->channel_event = channel_event;
	peer.server = spice_server_new();
	spice_server_set_image_compression(peer.server, SPICE_IMAGE_COMPRESSION_AUTO_GLZ);
	spice_server_set_streaming_video(peer.server, SPICE_STREAM_VIDEO_FILTER);
	spice_server_set_port(peer.server, atoi(argv[1]));
	spice_server_set_noauth(peer.server);
	if (spice_server_init(peer.server, core))
		return 1;
	peer.display.base.sif = &interface.base;
	spice_server_add_interface(peer.server, &peer.display.base);
	basic_event_loop_mainloop();
	return 0;
}
