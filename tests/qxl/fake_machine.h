/* SPDX-License-Identifier: MIT */
/* A machine without CPUs around a QXL device, and a guest driver written out by hand. */
#ifndef TESTS_QXL_FAKE_MACHINE_H
#define TESTS_QXL_FAKE_MACHINE_H

#include <spice/qxl_dev.h>

#include "core/cursor.h"
#include "core/loop.h"
#include "core/ports.h"
#include "hypervisor/pci.h"
#include "qxl/qxl.h"

enum { SLOT_RAM = 1, SLOT_VRAM = 2 };

/* Records what the device says, and carries the drawings out at once. */
struct fake_sink {
	struct display_sink base;
	struct surface *surfaces[DISPLAY_MAX_SURFACES];
	uint32_t creates, destroys, draws, cursors, updates, dirties;
	struct draw *last_draw;
	bool hold_draws; /* keep every drawing: a viewer that does not drain */
	struct draw *held[64];
	uint32_t held_count;
	struct cursor_state cursor;
	struct rect dirty; /* union since cleared */
	struct rect heads[16];
	uint32_t head_count;
	struct rect last_update;
};

struct fake_machine {
	struct loop *loop;
	struct pci_host host;
	struct pci_bus *bus;
	struct irq_chip irq;
	bool irq_level;
	struct fake_sink sink;
	struct qxl *qxl;
	/* The guest's view. */
	uint64_t ram_gpa, vram_gpa, rom_gpa;
	uint16_t io;
	uint8_t *ram, *vram;
	QXLRam *header;
	const QXLRom *rom;
	uint32_t heap; /* next free byte of the RAM BAR */
	/* An engine for guest memory: what it would tell KVM. */
	uint32_t maps;
	uint64_t dirty_page; /* 1 + the page the next dirty log tells; 0: none */
	void (*on_unmap)(void);
};

/* Sets up and plugs the device, BARs mapped. */
void fake_machine_init(struct fake_machine *m);
void fake_machine_finish(struct fake_machine *m);
/* Runs the loop until nothing is ready. */
void fake_machine_run(struct fake_machine *m);

void guest_out(struct fake_machine *m, uint32_t port, uint32_t value);
/* Memory in the RAM BAR, zeroed; never freed. */
void *guest_alloc(struct fake_machine *m, size_t size);
uint64_t guest_address(const struct fake_machine *m, const void *memory);
/* Slots for both BARs and, with a width, a 32-bit primary surface. */
void guest_start(struct fake_machine *m, uint32_t width, uint32_t height);
void guest_push(struct fake_machine *m, uint32_t type, uint64_t data);
void guest_push_cursor(struct fake_machine *m, uint64_t data);
/* Pops one id and its chain off the release ring into ids; returns how many. */
uint32_t guest_collect(struct fake_machine *m, uint64_t *ids, uint32_t max);
/* The interrupts pending; clears them. */
uint32_t guest_interrupts(struct fake_machine *m);

/* A drawable over the rectangle of a surface, its release id its own address. */
QXLDrawable *guest_drawable(struct fake_machine *m, uint8_t type, uint32_t surface, int32_t left,
	int32_t top, int32_t right, int32_t bottom);
QXLDrawable *guest_fill(struct fake_machine *m, uint32_t surface, int32_t left, int32_t top,
	int32_t right, int32_t bottom, uint32_t color);
/* A bitmap image with its data in one chunk. `stride` bytes a row. */
QXLImage *guest_bitmap(struct fake_machine *m, uint8_t format, uint8_t flags, uint32_t width,
	uint32_t height, uint32_t stride, const void *bits);

#endif
