/* SPDX-License-Identifier: MIT */
/*
 * The command and cursor rings, and the release ring by which commands' memory goes back. The rings
 * are SPICE_RINGs (spice/ipc_ring.h) in the RAM header; their words are read and written
 * atomically, an index is masked by the ring's real size, and an impossible distance is the guest's
 * error.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "qxl/qxl_device.h"

/* What one turn of the loop takes at the most, so that input and viewers are served. */
#define TURN_COMMANDS 256
#define TURN_NS       2000000u
/* A drain ends when the guest did not stop by then: each ring twice. */
#define DRAIN_COMMANDS (2 * (QXL_COMMAND_RING_SIZE + QXL_CURSOR_RING_SIZE))
/* The guest's pictures that drawings may hold before no more are taken. */
#define IN_FLIGHT_MAX (192ll << 20)
/* A chain of released resources is given when it is this long, or at the end of the turn. */
#define RELEASE_BUNCH 32

enum { RING_ITEMS, RING_PROD, RING_NOTIFY_PROD, RING_CONS, RING_NOTIFY_CONS, RING_WORDS };

struct ring {
	uint32_t *words;
	uint8_t *items;
	uint32_t size;
	uint32_t event; /* interrupt bit that tells the guest of room */
};

_Static_assert(offsetof(QXLRam, cmd_ring) % 4 == 0 && offsetof(QXLRam, cursor_ring) % 4 == 0 &&
		offsetof(QXLRam, release_ring) % 4 == 0,
	"ring words are aligned");
_Static_assert(offsetof(QXLCommandRing, items) == RING_WORDS * 4, "a ring's items");

static struct ring ring_at(const struct qxl *qxl, size_t offset, uint32_t size, uint32_t event)
{
	uint32_t *words = (uint32_t *)(void *)(qxl_header(qxl) + offset);

	return (struct ring){ words, (uint8_t *)&words[RING_WORDS], size, event };
}

static struct ring command_ring(const struct qxl *qxl)
{
	return ring_at(
		qxl, offsetof(QXLRam, cmd_ring), QXL_COMMAND_RING_SIZE, QXL_INTERRUPT_DISPLAY);
}

static struct ring cursor_ring(const struct qxl *qxl)
{
	return ring_at(
		qxl, offsetof(QXLRam, cursor_ring), QXL_CURSOR_RING_SIZE, QXL_INTERRUPT_CURSOR);
}

static uint32_t load(const struct ring *ring, int word)
{
	return __atomic_load_n(&ring->words[word], __ATOMIC_SEQ_CST);
}

static void store(const struct ring *ring, int word, uint32_t value)
{
	__atomic_store_n(&ring->words[word], value, __ATOMIC_SEQ_CST);
}

/* Takes the next command: 1, or 0 when there is none, or -EINVAL. */
static int ring_pop(struct qxl *qxl, const struct ring *ring, QXLCommand *out)
{
	uint32_t cons = load(ring, RING_CONS);
	uint32_t ready = load(ring, RING_PROD) - cons;

	if (ready == 0)
		return 0;
	if (ready > ring->size)
		return -EINVAL;
	qxl_copy_once(
		out, ring->items + (cons & (ring->size - 1)) * sizeof(QXLCommand), sizeof(*out));
	cons++;
	store(ring, RING_CONS, cons);
	if (load(ring, RING_NOTIFY_CONS) == cons)
		qxl_send_events(qxl, ring->event);
	return 1;
}

/* Asks to be told of the next command. Answers whether one came meanwhile. */
static bool ring_wait(const struct ring *ring)
{
	uint32_t prod = load(ring, RING_PROD);

	store(ring, RING_NOTIFY_PROD, prod + 1);
	return load(ring, RING_PROD) != load(ring, RING_CONS);
}

/* ---- releases ---- */

_Static_assert(sizeof(QXLReleaseInfo) == 8, "a release is one word");

static uint8_t *release_slot(const struct ring *ring)
{
	return ring->items + (load(ring, RING_PROD) & (ring->size - 1)) * sizeof(uint64_t);
}

static struct ring release_ring(const struct qxl *qxl)
{
	return ring_at(
		qxl, offsetof(QXLRam, release_ring), QXL_RELEASE_RING_SIZE, QXL_INTERRUPT_DISPLAY);
}

void qxl_release_push(struct qxl *qxl)
{
	struct ring ring = release_ring(qxl);
	uint32_t prod = load(&ring, RING_PROD);
	const uint64_t none = 0;

	/* One item is always the one being filled. */
	if (qxl->release_count == 0 || prod - load(&ring, RING_CONS) + 1 >= ring.size)
		return;
	prod++;
	store(&ring, RING_PROD, prod);
	memcpy(release_slot(&ring), &none, sizeof(none));
	qxl->release_count = 0;
	qxl->last_release = NULL;
	if (load(&ring, RING_NOTIFY_PROD) == prod)
		qxl_send_events(qxl, QXL_INTERRUPT_DISPLAY);
}

/* A command's first word is its QXLReleaseInfo. */
int qxl_release(struct qxl *qxl, uint64_t address)
{
	uint8_t *info = qxl_slots_map(&qxl->slots, address, sizeof(QXLReleaseInfo));
	struct ring ring = release_ring(qxl);
	const uint64_t none = 0;
	uint64_t id;

	if (!info)
		return -EFAULT;
	qxl_copy_once(&id, info, sizeof(id));
	memcpy(info, &none, sizeof(none));
	memcpy(qxl->last_release ? qxl->last_release : release_slot(&ring), &id, sizeof(id));
	qxl->last_release = info;
	if (++qxl->release_count >= RELEASE_BUNCH)
		qxl_release_push(qxl);
	return 0;
}

/* ---- pictures in flight ---- */

static long long image_cost(const struct image *image)
{
	return (long long)image->stride * image->height + (long long)sizeof(*image);
}

/* Any thread. */
static void image_gone(struct image *image)
{
	struct qxl_memory *memory = image->opaque;
	long long left =
		atomic_fetch_sub(&memory->in_flight, image_cost(image)) - image_cost(image);
	const uint64_t one = 1;

	if (left < IN_FLIGHT_MAX && atomic_exchange(&memory->stalled, false) &&
		write(memory->bell_fd, &one, sizeof(one)) < 0)
		log_debug(QXL_LOG, "the doorbell is full");
	qxl_memory_release(memory);
}

static void count_image(struct qxl *qxl, struct image *image)
{
	if (!image)
		return;
	qxl_memory_hold(qxl->memory);
	image->release = image_gone;
	image->opaque = qxl->memory;
	atomic_fetch_add(&qxl->memory->in_flight, image_cost(image));
}

static void count_draw(struct qxl *qxl, struct draw *draw)
{
	struct image *images[DRAW_IMAGES_MAX];
	uint32_t count = draw_images(draw, images);

	for (uint32_t i = 0; i < count; i++)
		count_image(qxl, images[i]);
}

/* Whether to leave the commands where they are until pictures went. */
static bool too_much(struct qxl *qxl, long long limit)
{
	struct qxl_memory *memory = qxl->memory;

	if (atomic_load(&memory->in_flight) <= limit)
		return false;
	/* What only waits to be rendered. */
	qxl_surfaces_update_all(qxl);
	if (atomic_load(&memory->in_flight) <= limit)
		return false;
	atomic_store(&memory->stalled, true);
	if (atomic_load(&memory->in_flight) > limit)
		return true;
	atomic_store(&memory->stalled, false);
	return false;
}

/* ---- commands ---- */

static struct qxl_parser parser_of(struct qxl *qxl)
{
	return (struct qxl_parser){ .slots = &qxl->slots,
		.compat = qxl->compat,
		.compat_16bpp = qxl->compat_16bpp,
		.surface_size = qxl_surface_size,
		.opaque = qxl,
		.unpack = qxl->unpack };
}

static int run_draw(struct qxl *qxl, uint64_t address)
{
	struct qxl_parser parser = parser_of(qxl);
	struct draw *draw;
	int err = qxl_parse_drawable(&parser, address, &draw);

	if (err || !draw)
		return err;
	count_draw(qxl, draw);
	qxl->sink->ops->draw(qxl->sink, draw);
	draw_unref(draw);
	return 0;
}

/* What run_command() answers for a command that is given back later. */
enum { KEPT = 1 };

static int run_surface(struct qxl *qxl, uint64_t address)
{
	struct qxl_parser parser = parser_of(qxl);
	struct qxl_surface_cmd cmd;
	int err = qxl_parse_surface_cmd(&parser, address, &cmd);

	if (err)
		return err;
	if (cmd.create) {
		err = qxl_surface_make(qxl, &cmd);
		if (err)
			return err;
		qxl_surface_keep_creator(qxl, cmd.id, address);
		return KEPT;
	}
	qxl_surface_drop(qxl, cmd.id);
	return 0;
}

static int run_cursor(struct qxl *qxl, uint64_t address)
{
	struct qxl_parser parser = parser_of(qxl);
	struct qxl_cursor_cmd cmd;
	int err = qxl_parse_cursor_cmd(&parser, address, &cmd);

	if (!err)
		qxl_cursor_apply(qxl, &cmd);
	return err;
}

/* The first drivers' way to have an area rendered; told done by update_id in the ROM. */
static int run_update(struct qxl *qxl, uint64_t address)
{
	size_t size = qxl->compat ? sizeof(QXLCompatUpdateCmd) : sizeof(QXLUpdateCmd);
	QXLUpdateCmd cmd = { 0 };
	struct rect area, bounds;

	if (qxl_slots_read(&qxl->slots, address, &cmd, size))
		return -EFAULT;
	if (cmd.surface_id >= QXL_SURFACES_MAX)
		return -EINVAL;
	if (!qxl->surfaces[cmd.surface_id])
		return -ERANGE;
	area = (struct rect){ cmd.area.left, cmd.area.top, cmd.area.right, cmd.area.bottom };
	bounds = surface_bounds(qxl->surfaces[cmd.surface_id]);
	area = rect_intersect(&area, &bounds);
	if (!rect_empty(&area))
		qxl_surface_update(qxl, cmd.surface_id, &area);
	qxl_rom(qxl)->update_id = cmd.update_id;
	qxl_send_events(qxl, QXL_INTERRUPT_DISPLAY);
	return 0;
}

static int run_message(struct qxl *qxl, uint64_t address)
{
	char text[81] = { 0 };
	uint32_t i = 0;

	while (i < sizeof(text) - 1 &&
		qxl_slots_read(&qxl->slots, address + sizeof(QXLReleaseInfo) + i, &text[i], 1) ==
			0 &&
		text[i] >= ' ' && text[i] <= '~')
		i++;
	text[i] = '\0';
	log_debug(QXL_LOG, "guest: %s", text);
	return 0;
}

static int run_command(struct qxl *qxl, const QXLCommand *command)
{
	switch (command->type) {
	case QXL_CMD_DRAW: return run_draw(qxl, command->data);
	case QXL_CMD_UPDATE: return run_update(qxl, command->data);
	case QXL_CMD_CURSOR: return run_cursor(qxl, command->data);
	case QXL_CMD_MESSAGE: return run_message(qxl, command->data);
	case QXL_CMD_SURFACE: return run_surface(qxl, command->data);
	default: return -EINVAL;
	}
}

/* Carries out one command and gives it back, as everything of it was copied; but for one that makes a
 * surface. */
static void take_command(struct qxl *qxl, const QXLCommand *command)
{
	int err;

	if (command->type == QXL_CMD_NOP)
		return;
	err = run_command(qxl, command);
	switch (err) {
	case 0: break;
	case KEPT: return;
	case -ENOTSUP:
		if (!qxl->said_unsupported)
			log_warn(QXL_LOG,
				"the guest uses drawings or pictures of a kind that is "
				"not supported; they are left out");
		qxl->said_unsupported = true;
		break;
	case -ERANGE:
		/* Linux' driver begins with a picture that is larger than its first surface. */
		log_debug(QXL_LOG, "a command of type %u is left out: it is not within its surface",
			command->type);
		break;
	case -ENOMEM:
		log_warn_limited(&qxl->log_limit, QXL_LOG, "a command of type %u is left out: %s",
			command->type, strerror(-err));
		break;
	default:
		qxl_latch_broken(qxl, "command of type %u at 0x%llx: %s", command->type,
			(unsigned long long)command->data, strerror(-err));
		return;
	}
	if (qxl_release(qxl, command->data))
		qxl_latch_broken(qxl, "command at 0x%llx is not in a memory slot",
			(unsigned long long)command->data);
}

static bool idle(struct qxl *qxl)
{
	return atomic_load(&qxl->broken) || qxl_get_mode(qxl) == QXL_MODE_VGA;
}

/* One command of either ring, the cursor's first: it is what the hand feels. Answers whether there
 * was one. */
static bool take_next(struct qxl *qxl)
{
	struct ring rings[] = { cursor_ring(qxl), command_ring(qxl) };
	QXLCommand command;

	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		int got = ring_pop(qxl, &rings[i], &command);

		if (got < 0) {
			qxl_latch_broken(qxl, "a ring holds more than it can");
			return false;
		}
		if (got) {
			take_command(qxl, &command);
			return true;
		}
	}
	return false;
}

static void turn(struct qxl *qxl)
{
	uint64_t end = clock_monotonic_ns() + TURN_NS;
	bool more = true;

	for (uint32_t n = 0; more && n < TURN_COMMANDS && !idle(qxl); n++) {
		struct ring cursor = cursor_ring(qxl), commands = command_ring(qxl);

		if (too_much(qxl, IN_FLIGHT_MAX)) {
			qxl_release_push(qxl);
			return; /* image_gone() rings when it may go on */
		}
		/* Both are asked, whatever the first says. */
		if (!take_next(qxl)) {
			more = ring_wait(&cursor);
			more = ring_wait(&commands) || more;
		}
		if (n % 16 == 15 && clock_monotonic_ns() > end)
			break;
	}
	if (idle(qxl))
		return;
	qxl_release_push(qxl);
	if (more)
		loop_timer_arm(qxl->ring_timer, 0);
}

void qxl_ring_bell(void *opaque, uint32_t events)
{
	struct qxl *qxl = opaque;
	uint64_t rings;

	if (read(qxl->memory->bell_fd, &rings, sizeof(rings)) < 0)
		return;
	turn(qxl);
}

void qxl_ring_continue(void *opaque)
{
	turn(opaque);
}

void qxl_ring_drain(struct qxl *qxl)
{
	for (uint32_t n = 0; n < DRAIN_COMMANDS && !idle(qxl); n++) {
		/* The guest waits for this: only what is far beyond stops it. */
		if (too_much(qxl, 2 * IN_FLIGHT_MAX) || !take_next(qxl))
			break;
	}
	if (!idle(qxl))
		qxl_release_push(qxl);
}
