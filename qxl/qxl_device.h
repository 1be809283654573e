/* SPDX-License-Identifier: MIT */
/*
 * The QXL device's state, between its files. Who may touch what:
 * - The native side (slots, surfaces, rings, releases, cursor) belongs to the loop thread; a vCPU's
 *   port write is carried out there (loop_call() or loop_post(), with no lock held).
 * - The VGA side and `mode` are guarded by the PCI device's lock, so that vCPUs write registers and
 *   the window without waiting for the loop. The lock is held shortly, never over a call of the
 *   sink.
 * - The RAM header is shared with the guest: read once, by atomic words.
 */
#ifndef QXL_QXL_DEVICE_H
#define QXL_QXL_DEVICE_H

#include <stdatomic.h>

#include <spice/qxl_dev.h>

#include "core/log.h"
#include "core/loop.h"
#include "qxl/qxl.h"
#include "qxl/qxl_parse.h"
#include "qxl/vga.h"

#define QXL_LOG           "qxl"
#define QXL_VGAMEM_BYTES  (16u << 20) /* the VGA's memory, and the primary surface's place */
#define QXL_ROM_BYTES     8192
#define QXL_IO_BYTES      32
#define QXL_HEADER_OFFSET (ALIGN_UP(sizeof(QXLRam), 4096u)) /* from the end of BAR 0 */

enum qxl_mode { QXL_MODE_UNDEFINED, QXL_MODE_VGA, QXL_MODE_COMPAT, QXL_MODE_NATIVE };

/* The BARs' memory: surfaces of sinks may lie over it for longer than the device lives. */
struct qxl_memory {
	atomic_int refs;
	uint8_t *ram, *vram;
	uint32_t ram_bytes, vram_bytes;
	int bell_fd; /* eventfd: commands are in a ring, or may be taken again */
	atomic_llong in_flight; /* bytes of pictures that drawings somewhere still hold */
	atomic_bool stalled; /* no commands are taken until in_flight went down */
};

/* The command that made a surface. It is given back when the surface goes, as libspice does it: Linux'
 * driver puts the command that destroys the surface beside it, in the same memory. */
struct qxl_creator {
	bool held;
	uint64_t address;
};

struct qxl {
	struct pci_device pci;
	struct display_sink *sink;
	qxl_unpack_fn *unpack; /* may be NULL */
	struct loop *loop;
	struct qxl_memory *memory;
	uint8_t *rom;
	struct loop_fd *bell;
	bool bell_mapped;
	uint64_t bell_address; /* port where the doorbells are */

	/* Loop thread. */
	bool dead; /* destroyed: calls that were posted before do nothing */
	struct loop_timer *ring_timer; /* the rest of a long turn */
	struct qxl_slots slots;
	struct surface *surfaces[QXL_SURFACES_MAX];
	struct qxl_creator creators[QXL_SURFACES_MAX];
	struct cursor_state cursor;
	uint8_t *last_release; /* the QXLReleaseInfo at the end of the chain being built */
	uint32_t release_count;
	bool compat, compat_16bpp;
	bool monitors_set;
	bool said_unsupported;
	struct log_limit log_limit;

	/* The device's lock. */
	enum qxl_mode mode;
	atomic_bool broken; /* set on the loop thread */
	uint32_t async_pending;

	/* The VGA side: the device's lock, but for what is said to be the loop thread's. */
	struct vga vga;
	struct bus_region window_region, ports_region, vbe_region, trap_region;
	struct log_limit vga_log_limit;
	bool kicked; /* a refresh is under way to the loop thread */
	bool vga_wanted; /* a change to VGA mode is */
	bool logging; /* the frame buffer's dirty log is on */
	bool frozen; /* BAR 0 is read-only: the first write tells that the screen changes */
	/* Loop thread: */
	bool watched;
	struct vga_renderer renderer;
	struct loop_timer *vga_timer;
	uint64_t refreshed_ns, changed_ns;
	uint64_t *log_bitmap;
	uint64_t *row_hashes;
};

static inline struct qxl *qxl_of(struct pci_device *dev)
{
	return (struct qxl *)dev; /* the first member */
}

/* ---- qxl.c ---- */
void qxl_memory_hold(void *memory);
void qxl_memory_release(void *memory);
/* Latches the device: nothing but a reset helps. Loop thread. */
void qxl_latch_broken(struct qxl *qxl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets interrupt bits and the line. Any thread, without the lock. */
void qxl_send_events(struct qxl *qxl, uint32_t events);
/* The line's level from what is pending and enabled. With the lock. */
void qxl_update_irq(struct qxl *qxl);
enum qxl_mode qxl_get_mode(struct qxl *qxl);
void qxl_set_mode(struct qxl *qxl, enum qxl_mode mode);
/* QXL_IO_RESET, and the loop thread's part of a PCI reset. Loop thread. */
void qxl_reset_native(struct qxl *qxl);

/* ---- qxl_rom.c ---- */
void qxl_rom_fill(struct qxl *qxl);
/* The RAM header as after a reset. Any thread. */
void qxl_header_fill(struct qxl *qxl);
/* A mode of the ROM's list; NULL beyond its end. */
const QXLMode *qxl_rom_mode(const struct qxl *qxl, uint32_t number);
uint8_t *qxl_header(const struct qxl *qxl);
static inline QXLRom *qxl_rom(struct qxl *qxl)
{
	return (QXLRom *)(void *)qxl->rom;
}

/* ---- qxl_io.c ---- */
extern const struct bus_ops qxl_io_ops;
/* Puts the doorbells where BAR 3 is. With the lock. */
void qxl_doorbells_move(struct qxl *qxl);

/* ---- qxl_ring.c; loop thread ---- */
void qxl_ring_bell(void *opaque, uint32_t events);
void qxl_ring_continue(void *opaque);
/* Carries out all that is in the rings now. */
void qxl_ring_drain(struct qxl *qxl);
/* Gives what was released to the guest, when its ring has room. */
void qxl_release_push(struct qxl *qxl);
/* Gives back a command by its address. 0, or -EFAULT when it is not in a memory slot. */
int qxl_release(struct qxl *qxl, uint64_t address);

/* ---- qxl_surface.c; loop thread ---- */
bool qxl_surface_size(void *opaque, uint32_t id, uint32_t *width, uint32_t *height);
int qxl_surface_make(struct qxl *qxl, const struct qxl_surface_cmd *cmd);
/* `address` is the command that made the surface: it is kept until the surface goes. */
void qxl_surface_keep_creator(struct qxl *qxl, uint32_t id, uint64_t address);
void qxl_surface_drop(struct qxl *qxl, uint32_t id);
void qxl_surfaces_drop_all(struct qxl *qxl);
/* The sink's drawings so far are put into the surfaces' memory. */
void qxl_surface_update(struct qxl *qxl, uint32_t id, const struct rect *area);
void qxl_surfaces_update_all(struct qxl *qxl);
int qxl_primary_create(struct qxl *qxl, const QXLSurfaceCreate *create);
void qxl_primary_destroy(struct qxl *qxl);
/* QXL_IO_SET_MODE. */
int qxl_primary_set_mode(struct qxl *qxl, uint32_t number);
int qxl_monitors_read(struct qxl *qxl, uint64_t address);
void qxl_cursor_apply(struct qxl *qxl, struct qxl_cursor_cmd *cmd);
void qxl_cursor_reset(struct qxl *qxl);
int qxl_slot_add(struct qxl *qxl, uint32_t id, const QXLMemSlot *slot);

/* ---- qxl_vga.c ---- */
int qxl_vga_create(struct qxl *qxl);
void qxl_vga_destroy(struct qxl *qxl);
/* The vCPUs' part of a reset. With the lock. */
void qxl_vga_reset(struct qxl *qxl);
/* Loop thread: the VGA's picture becomes, or ceases to be, what is shown. */
void qxl_vga_enter(struct qxl *qxl);
void qxl_vga_leave(struct qxl *qxl);
/* BAR 0 was mapped or moved. With the lock. */
void qxl_vga_bar_changed(struct qxl *qxl);

#endif
