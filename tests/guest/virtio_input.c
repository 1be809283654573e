/* SPDX-License-Identifier: MIT */
/* virtio 1.0: 4.1 (PCI), 2.6 (split virtqueues), 5.8 (input). */
#include "cpu.h"
#include "machine.h"
#include "pci.h"
#include "virtio_input.h"

enum {
	VIRTIO_VENDOR = 0x1af4,
	VIRTIO_DEVICE_INPUT = 0x1052,
	PCI_CAP_VENDOR = 0x09,
	PCI_CAP_MSIX = 0x11,
	CAP_COMMON = 1,
	CAP_NOTIFY = 2,
	CAP_DEVICE = 4,
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	CONFIG_ABS_INFO = 0x12,
	QUEUE_SIZE = 64,
	DEVICES_MAX = 3,
};

/* Linux's input event codes, as the device reports them. */
enum { EV_SYN, EV_KEY, EV_REL, EV_ABS };
enum { BTN_LEFT = 0x110, BTN_RIGHT, BTN_MIDDLE };
enum { REL_X, REL_Y, REL_WHEEL = 8 };

struct virtio_common {
	uint32_t device_feature_select, device_feature;
	uint32_t driver_feature_select, driver_feature;
	uint16_t config_msix_vector, queue_count;
	uint8_t status, config_generation;
	uint16_t queue_select, queue_size, queue_msix_vector, queue_enable, queue_notify_off;
	uint32_t queue_desc[2], queue_driver[2], queue_device[2];
} __attribute__((packed, aligned(4)));

struct virtio_input_event {
	uint16_t type, code;
	uint32_t value;
};

struct virtq {
	struct {
		uint64_t address;
		uint32_t length;
		uint16_t flags, next;
	} desc[QUEUE_SIZE];
	struct {
		uint16_t flags, index, ring[QUEUE_SIZE + 1];
	} avail;
	struct {
		uint16_t flags, index;
		struct {
			uint32_t id, length;
		} ring[QUEUE_SIZE];
		uint16_t event;
	} used __attribute__((aligned(16)));
	struct virtio_input_event events[QUEUE_SIZE];
} __attribute__((aligned(4096)));

struct virtio_input {
	volatile struct virtio_common *common;
	volatile uint16_t *notify;
	volatile uint8_t *config;
	struct virtq *queue;
	uint16_t size, used;
	uint32_t range[2]; /* greatest absolute x and y */
	struct event event; /* collected until EV_SYN */
	bool moved;
};

static struct virtq queues[DEVICES_MAX];
static struct virtio_input devices[DEVICES_MAX];
static uint32_t device_count;

static bool virtio_find_structures(struct virtio_input *input, const struct pci_device *pci)
{
	uintptr_t notify = 0;
	uint32_t multiplier = 0;

	for (uint8_t at = 0; (at = pci_capability(pci, PCI_CAP_VENDOR, at));) {
		uint32_t head = pci_read32(pci, at);
		uint8_t bar = pci_read8(pci, at + 4);
		uintptr_t base;

		if (bar > 5 || !pci->bar[bar])
			continue;
		base = pci->bar[bar] + pci_read32(pci, at + 8);
		switch (head >> 24) {
		case CAP_COMMON: input->common = (void *)base; break;
		case CAP_DEVICE: input->config = (void *)base; break;
		case CAP_NOTIFY:
			notify = base;
			multiplier = pci_read32(pci, at + 16);
			break;
		default: break;
		}
	}
	if (!input->common || !input->config || !notify)
		return false;
	input->common->queue_select = 0;
	input->notify = (void *)(notify + input->common->queue_notify_off * multiplier);
	return true;
}

static bool virtio_msix_init(const struct pci_device *pci)
{
	uint8_t at = pci_capability(pci, PCI_CAP_MSIX, 0);
	volatile uint32_t *entry;
	uint32_t table;

	if (!at)
		return false;
	table = pci_read32(pci, at + 4);
	if (!pci->bar[table & 7])
		return false;
	entry = (void *)(uintptr_t)(pci->bar[table & 7] + (table & ~7u));
	pci_write16(pci, at + 2, pci_read16(pci, at + 2) | 0x8000);
	entry[0] = 0xfee00000 | (MMIO32(0xfee00020) >> 24) << 12;
	entry[1] = 0;
	entry[2] = VECTOR_VIRTIO;
	entry[3] = 0;
	return true;
}

static uint32_t virtio_abs_max(struct virtio_input *input, uint8_t axis)
{
	input->config[0] = CONFIG_ABS_INFO;
	input->config[1] = axis;
	if (input->config[2] < 8)
		return 0;
	return *(volatile uint32_t *)(input->config + 12);
}

static void virtio_queue_init(struct virtio_input *input)
{
	volatile struct virtio_common *common = input->common;
	struct virtq *queue = input->queue;

	common->queue_select = 0;
	input->size = common->queue_size < QUEUE_SIZE ? common->queue_size : QUEUE_SIZE;
	common->queue_size = input->size;
	for (uint16_t i = 0; i < input->size; i++) {
		queue->desc[i].address = (uintptr_t)&queue->events[i];
		queue->desc[i].length = sizeof(queue->events[i]);
		queue->desc[i].flags = 2; /* the device writes */
		queue->avail.ring[i] = i;
	}
	queue->avail.index = input->size;
	common->queue_desc[0] = (uintptr_t)queue->desc;
	common->queue_desc[1] = 0;
	common->queue_driver[0] = (uintptr_t)&queue->avail;
	common->queue_driver[1] = 0;
	common->queue_device[0] = (uintptr_t)&queue->used;
	common->queue_device[1] = 0;
	common->queue_msix_vector = 0;
	cpu_barrier();
	common->queue_enable = 1;
}

static bool virtio_input_start(struct virtio_input *input, const struct pci_device *pci)
{
	volatile struct virtio_common *common;

	if (!virtio_find_structures(input, pci) || !virtio_msix_init(pci))
		return false;
	common = input->common;
	common->status = 0;
	common->status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
	common->device_feature_select = 1;
	if (!(common->device_feature & 1)) /* VERSION_1 */
		return false;
	common->driver_feature_select = 0;
	common->driver_feature = 0;
	common->driver_feature_select = 1;
	common->driver_feature = 1;
	common->status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
	if (!(common->status & STATUS_FEATURES_OK))
		return false;
	input->range[0] = virtio_abs_max(input, 0);
	input->range[1] = virtio_abs_max(input, 1);
	virtio_queue_init(input);
	common->status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
	*input->notify = 0;
	return true;
}

void virtio_input_init(void)
{
	struct pci_device pci;
	uint8_t slot = 0;

	while (device_count < DEVICES_MAX &&
		pci_find(&pci, VIRTIO_VENDOR, VIRTIO_DEVICE_INPUT, slot)) {
		struct virtio_input *input = &devices[device_count];

		input->queue = &queues[device_count];
		input->event.type = EVENT_POINTER;
		if (virtio_input_start(input, &pci))
			device_count++;
		slot = pci.slot + 1;
	}
}

/* Linux's key codes are set-1 scancodes up to 0x58; the common extended ones by a table. */
static uint16_t virtio_key(uint16_t code)
{
	static const struct {
		uint8_t code, key;
	} extended[] = { { 96, 0x1c }, { 97, 0x1d }, { 98, 0x35 }, { 100, 0x38 }, { 102, 0x47 },
		{ 103, 0x48 }, { 104, 0x49 }, { 105, 0x4b }, { 106, 0x4d }, { 107, 0x4f },
		{ 108, 0x50 }, { 109, 0x51 }, { 110, 0x52 }, { 111, 0x53 }, { 125, 0x5b },
		{ 126, 0x5c }, { 127, 0x5d } };

	for (unsigned i = 0; i < ARRAY_SIZE(extended); i++)
		if (extended[i].code == code)
			return 0xe000 | extended[i].key;
	return code <= 0x58 ? code : 0;
}

static void virtio_input_key(struct virtio_input *input, uint16_t code, uint32_t value)
{
	static const uint8_t bits[] = { 1, 2, 4 };

	if (code >= BTN_LEFT && code <= BTN_MIDDLE) {
		uint8_t bit = bits[code - BTN_LEFT];

		input->event.buttons = value ? input->event.buttons | bit
					     : input->event.buttons & ~bit;
		input->moved = true;
	} else if (virtio_key(code)) {
		struct event event = { .type = EVENT_KEY,
			.key = virtio_key(code) | (value ? 0 : 0x80) };

		machine_event_push(&event);
	}
}

static void virtio_input_one(struct virtio_input *input, const struct virtio_input_event *in)
{
	struct event *event = &input->event;

	switch (in->type) {
	case EV_KEY: virtio_input_key(input, in->code, in->value); return;
	case EV_REL:
		if (in->code == REL_X)
			event->x += (int32_t)in->value;
		else if (in->code == REL_Y)
			event->y += (int32_t)in->value;
		else if (in->code == REL_WHEEL)
			event->wheel -= (int32_t)in->value;
		input->moved = true;
		return;
	case EV_ABS:
		if (in->code > 1 || !input->range[in->code])
			return;
		event->absolute = true;
		*(in->code ? &event->y : &event->x) =
			(uint64_t)in->value * 65535 / input->range[in->code];
		input->moved = true;
		return;
	default: break;
	}
	if (!input->moved)
		return;
	machine_event_push(event);
	input->moved = false;
	event->wheel = 0;
	if (!event->absolute)
		event->x = event->y = 0;
}

void virtio_input_interrupt(void)
{
	for (uint32_t i = 0; i < device_count; i++) {
		struct virtio_input *input = &devices[i];
		struct virtq *queue = input->queue;
		bool any = false;

		while (input->used != *(volatile uint16_t *)&queue->used.index) {
			uint32_t id;

			cpu_barrier();
			id = queue->used.ring[input->used++ % input->size].id % input->size;
			virtio_input_one(input, &queue->events[id]);
			queue->avail.ring[queue->avail.index % input->size] = id;
			cpu_barrier();
			queue->avail.index++;
			any = true;
		}
		if (any)
			*input->notify = 0;
	}
}
