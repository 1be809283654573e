/* SPDX-License-Identifier: MIT */
/* Driver for the QXL device (PCI 1b36:0100), native mode. One primary surface, 32 bits a pixel. */
#ifndef GUEST_QXL_H
#define GUEST_QXL_H

#include <spice/qxl_dev.h>
#include "gfx.h"
#include "pci.h"

enum {
	QXL_COMMAND_BYTES = 512, /* room of a command without pixels */
	QXL_COMMAND_COUNT = 2048,
	QXL_PAGE_BYTES = 4096,
	QXL_PAGES_MAX = 32768,
	QXL_SLOT_RAM = 0,
	QXL_SLOT_VRAM = 1,
};

struct qxl {
	struct pci_device pci;
	uint8_t *ram, *vram;
	uint32_t ram_size, vram_size, vram_used;
	QXLRom *rom;
	QXLRam *header;
	uint16_t io;
	uint64_t slot_bits[2];
	int32_t width, height;
	uint32_t *primary;

	/* Memory that commands live in until the device releases them. */
	uint8_t *commands; /* QXL_COMMAND_COUNT of QXL_COMMAND_BYTES */
	uint16_t free_commands[QXL_COMMAND_COUNT];
	uint32_t free_count;
	uint8_t *pages;
	uint32_t page_count, page_next;
	uint16_t *page_run; /* at the first page of an allocation its length, else 0 */

	uint32_t gsi; /* of its interrupt; 0: none, we look at the rings now and then */
	uint32_t idle_interrupts;
	/* Statistics for the demo. */
	uint32_t drawn, released;
	uint32_t unique; /* cursor and image ids */
};

/* Finds and resets the device, sets up memory slots. False when there is none. */
bool qxl_init(struct qxl *qxl);
/* Creates the primary surface (black). */
void qxl_mode_set(struct qxl *qxl, int32_t width, int32_t height);

/* Command memory; waits for the device when all is in use. Address to bytes is one to one. */
void *qxl_command_alloc(struct qxl *qxl);
void *qxl_bitmap_alloc(struct qxl *qxl, uint32_t size);
void qxl_free(struct qxl *qxl, void *memory);
/* Takes back everything in the release ring. */
void qxl_collect(struct qxl *qxl);
/* The device's address of memory in the RAM BAR. */
QXLPHYSICAL qxl_address(const struct qxl *qxl, const void *memory);
/* Writes an I/O port, QXL_IO_*. */
void qxl_out(struct qxl *qxl, uint8_t port, uint8_t value);
QXLPHYSICAL qxl_vram_address(const struct qxl *qxl, uint32_t offset);
void qxl_push_command(struct qxl *qxl, uint32_t type, QXLPHYSICAL data);
void qxl_push_cursor(struct qxl *qxl, QXLPHYSICAL data);
void qxl_memslot_add(struct qxl *qxl, uint8_t slot, uint64_t start, uint64_t end);

/* A drawable over area of surface with all the usual fields set; the caller fills in u. */
QXLDrawable *qxl_drawable_init(
	struct qxl *qxl, void *memory, uint32_t surface, struct rect area, uint8_t type);

void qxl_fill(struct qxl *qxl, uint32_t surface, struct rect area, uint32_t color);
/* Draws image's part `from` at x, y. */
void qxl_copy_image(struct qxl *qxl, uint32_t surface, int32_t x, int32_t y,
	const struct image *image, struct rect from);
/* A picture in the device's memory, for good; qxl_copy_whole draws it without copying pixels. */
struct image qxl_image_alloc(struct qxl *qxl, int32_t width, int32_t height);
void qxl_copy_whole(struct qxl *qxl, uint32_t surface, const struct image *image);
void qxl_copy_surface(struct qxl *qxl, uint32_t surface, struct rect area, uint32_t from_surface,
	int32_t from_x, int32_t from_y);
void qxl_copy_bits(
	struct qxl *qxl, uint32_t surface, struct rect area, int32_t from_x, int32_t from_y);
/* An off-screen surface with memory in VRAM (never given back: the guest makes few). */
void qxl_surface_create(struct qxl *qxl, uint32_t surface, int32_t width, int32_t height);
void qxl_surface_destroy(struct qxl *qxl, uint32_t surface);
/* Makes the device render area of surface into memory before it returns. */
void qxl_update_area(struct qxl *qxl, uint32_t surface, struct rect area);

/* type: SPICE_CURSOR_TYPE_ALPHA or _MONO; bits as the protocol wants them. */
void qxl_cursor_set(struct qxl *qxl, uint16_t type, int32_t width, int32_t height, int32_t hot_x,
	int32_t hot_y, const void *bits, uint32_t size, int32_t x, int32_t y);
void qxl_cursor_move(struct qxl *qxl, int32_t x, int32_t y);
void qxl_cursor_hide(struct qxl *qxl);

/* Routes the device's interrupt; used for its errors and for waiting on a full ring. */
void qxl_irq_init(struct qxl *qxl);
/* The interrupt handler's part: acknowledges, tells an error on COM1. */
void qxl_interrupt(struct qxl *qxl);

#endif
