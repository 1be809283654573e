/* SPDX-License-Identifier: MIT */
/* The QXL device on PCI: identity, BARs, interrupts, modes, reset. */
#include "qxl/qxl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/util.h"
#include "qxl/qxl_device.h"

#define DEFAULT_BAR_BYTES (64u << 20)
#define CLASS_VGA         0x030000

/* ---- memory that outlives the device ---- */

static void memory_free(struct qxl_memory *memory)
{
	memory_region_free_host(memory->ram, memory->ram_bytes);
	memory_region_free_host(memory->vram, memory->vram_bytes);
	if (memory->bell_fd >= 0)
		close(memory->bell_fd);
	free(memory);
}

void qxl_memory_hold(void *memory)
{
	atomic_fetch_add(&((struct qxl_memory *)memory)->refs, 1);
}

void qxl_memory_release(void *memory)
{
	if (memory && atomic_fetch_sub(&((struct qxl_memory *)memory)->refs, 1) == 1)
		memory_free(memory);
}

static uint32_t bar_bytes(uint32_t asked, uint32_t least)
{
	uint32_t bytes = least;

	if (asked == 0)
		return DEFAULT_BAR_BYTES;
	while (bytes < asked && bytes < (1u << 30))
		bytes *= 2;
	return bytes;
}

static struct qxl_memory *memory_create(const struct qxl_config *config)
{
	struct qxl_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return NULL;
	atomic_init(&memory->refs, 1);
	memory->ram_bytes = bar_bytes(config->ram_bytes, 2 * QXL_VGAMEM_BYTES);
	memory->vram_bytes = bar_bytes(config->vram_bytes, 1u << 20);
	memory->ram = memory_region_alloc_host(memory->ram_bytes);
	memory->vram = memory_region_alloc_host(memory->vram_bytes);
	memory->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!memory->ram || !memory->vram || memory->bell_fd < 0) {
		memory_free(memory);
		return NULL;
	}
	return memory;
}

/* ---- interrupts and errors ---- */

static uint32_t *header_word(const struct qxl *qxl, size_t offset)
{
	return (uint32_t *)(void *)(qxl_header(qxl) + offset);
}

void qxl_update_irq(struct qxl *qxl)
{
	uint32_t pending =
		__atomic_load_n(header_word(qxl, offsetof(QXLRam, int_pending)), __ATOMIC_SEQ_CST);
	uint32_t mask =
		__atomic_load_n(header_word(qxl, offsetof(QXLRam, int_mask)), __ATOMIC_SEQ_CST);

	pci_intx_set(&qxl->pci, pending & mask);
}

void qxl_send_events(struct qxl *qxl, uint32_t events)
{
	__atomic_fetch_or(
		header_word(qxl, offsetof(QXLRam, int_pending)), events, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&qxl->pci.lock);
	qxl_update_irq(qxl);
	pthread_mutex_unlock(&qxl->pci.lock);
}

void qxl_latch_broken(struct qxl *qxl, const char *fmt, ...)
{
	char text[128];
	va_list args;

	if (atomic_exchange(&qxl->broken, true))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_warn_limited(&qxl->log_limit, QXL_LOG,
		"the guest's driver made an error; its drawing stops until it resets: %s", text);
	qxl_send_events(qxl, QXL_INTERRUPT_ERROR);
}

/* ---- modes and resets ---- */

enum qxl_mode qxl_get_mode(struct qxl *qxl)
{
	enum qxl_mode mode;

	pthread_mutex_lock(&qxl->pci.lock);
	mode = qxl->mode;
	pthread_mutex_unlock(&qxl->pci.lock);
	return mode;
}

void qxl_set_mode(struct qxl *qxl, enum qxl_mode mode)
{
	pthread_mutex_lock(&qxl->pci.lock);
	qxl->mode = mode;
	pthread_mutex_unlock(&qxl->pci.lock);
}

/* All that the driver set up goes; the header is the caller's. */
static void forget_driver(struct qxl *qxl)
{
	memset(qxl->creators, 0, sizeof(qxl->creators));
	if (qxl_get_mode(qxl) == QXL_MODE_VGA)
		qxl_vga_leave(qxl);
	else
		qxl_primary_destroy(qxl);
	qxl_surfaces_drop_all(qxl);
	qxl_cursor_reset(qxl);
	memset(&qxl->slots, 0, sizeof(qxl->slots));
	qxl->last_release = NULL;
	qxl->release_count = 0;
	qxl->compat = qxl->compat_16bpp = false;
	atomic_store(&qxl->memory->stalled, false);
	atomic_store(&qxl->broken, false);
	loop_timer_disarm(qxl->ring_timer);
	qxl_vga_enter(qxl);
}

void qxl_reset_native(struct qxl *qxl)
{
	forget_driver(qxl);
	qxl_rom_fill(qxl);
	qxl_header_fill(qxl);
	pthread_mutex_lock(&qxl->pci.lock);
	qxl_update_irq(qxl);
	pthread_mutex_unlock(&qxl->pci.lock);
}

static void finish_pci_reset(void *opaque)
{
	struct qxl *qxl = opaque;

	if (!qxl->dead)
		forget_driver(qxl);
}

/* With the lock; nothing may wait here. What belongs to the loop follows there, before anything
 * that the guest can ask of it. */
static void pci_reset(struct pci_device *dev)
{
	struct qxl *qxl = qxl_of(dev);

	qxl_rom_fill(qxl);
	qxl_header_fill(qxl);
	qxl_vga_reset(qxl);
	if (loop_post(qxl->loop, finish_pci_reset, qxl))
		log_warn(QXL_LOG, "no memory to reset the device");
}

static void bar_changed(struct pci_device *dev, unsigned bar)
{
	struct qxl *qxl = qxl_of(dev);

	if (bar == QXL_IO_RANGE_INDEX)
		qxl_doorbells_move(qxl);
	else if (bar == QXL_RAM_RANGE_INDEX)
		qxl_vga_bar_changed(qxl);
}

static const struct pci_device_ops pci_ops = { .reset = pci_reset, .bar_changed = bar_changed };

/* ---- making and unmaking ---- */

static int declare_bars(struct qxl *qxl)
{
	struct qxl_memory *memory = qxl->memory;
	int err;

	err = pci_bar_memory(&qxl->pci, QXL_RAM_RANGE_INDEX, memory->ram, memory->ram_bytes, false,
		false, false);
	if (!err)
		err = pci_bar_memory(&qxl->pci, QXL_VRAM_RANGE_INDEX, memory->vram,
			memory->vram_bytes, false, false, false);
	if (!err)
		err = pci_bar_memory(&qxl->pci, QXL_ROM_RANGE_INDEX, qxl->rom, QXL_ROM_BYTES, false,
			false, true);
	if (!err)
		err = pci_bar_io(&qxl->pci, QXL_IO_RANGE_INDEX, QXL_IO_BYTES, &qxl_io_ops);
	return err;
}

static int create_parts(struct qxl *qxl, const struct qxl_config *config)
{
	qxl->memory = memory_create(config);
	qxl->rom = memory_region_alloc_host(QXL_ROM_BYTES);
	qxl->ring_timer = loop_timer_add(qxl->loop, qxl_ring_continue, qxl);
	if (!qxl->memory || !qxl->rom || !qxl->ring_timer)
		return -ENOMEM;
	qxl->bell = loop_fd_add(qxl->loop, qxl->memory->bell_fd, EPOLLIN, qxl_ring_bell, qxl);
	if (!qxl->bell)
		return -ENOMEM;
	qxl->pci.rom = config->vga_bios.data;
	qxl->pci.rom_size = (uint32_t)config->vga_bios.size;
	qxl_rom_fill(qxl);
	qxl_header_fill(qxl);
	return declare_bars(qxl);
}

int qxl_create(struct qxl **out, struct pci_host *host, struct pci_bus *bus,
	const struct qxl_config *config, struct display_sink *sink)
{
	struct qxl *qxl = calloc(1, sizeof(*qxl));
	int err;

	if (!qxl)
		return -ENOMEM;
	pci_device_init(&qxl->pci, &pci_ops, QXL_LOG, host, REDHAT_PCI_VENDOR_ID,
		QXL_DEVICE_ID_STABLE, CLASS_VGA, QXL_REVISION_STABLE_V12, true);
	pci_device_set_subsystem(&qxl->pci, 0x1af4, 0x1100);
	qxl->loop = host->loop;
	qxl->sink = sink;
	qxl->unpack = config->unpack;
	qxl->mode = QXL_MODE_VGA;
	qxl->watched = true;
	err = create_parts(qxl, config);
	if (!err)
		err = qxl_vga_create(qxl);
	if (!err)
		err = pci_bus_plug(bus, &qxl->pci, 2, 0);
	if (err == -EBUSY)
		err = pci_bus_plug(bus, &qxl->pci, 0, 0);
	if (err) {
		qxl_destroy(qxl);
		return err;
	}
	*out = qxl;
	return 0;
}

static void finish(void *qxl)
{
	free(qxl);
}

void qxl_destroy(struct qxl *qxl)
{
	if (!qxl)
		return;
	pci_device_finish(&qxl->pci);
	memset(qxl->creators, 0, sizeof(qxl->creators));
	if (qxl->memory) {
		qxl_surfaces_drop_all(qxl);
		qxl_cursor_reset(qxl);
	}
	qxl_vga_destroy(qxl);
	loop_fd_remove(qxl->bell);
	loop_timer_remove(qxl->ring_timer);
	memory_region_free_host(qxl->rom, QXL_ROM_BYTES);
	qxl_memory_release(qxl->memory);
	qxl->dead = true;
	/* After the calls that are still on their way. */
	if (loop_post(qxl->loop, finish, qxl))
		free(qxl);
}
