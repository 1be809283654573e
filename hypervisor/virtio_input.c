/* SPDX-License-Identifier: MIT */
/*
 * A virtio tablet. What the driver has been told and what it should know are two states; a report is
 * their difference. So nothing is queued when the driver gives no buffers. Section numbers are those
 * of Virtual I/O Device 1.2.
 */
#include "hypervisor/virtio_input.h"

#include <endian.h>
#include <errno.h>
#include <linux/input.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_input.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/virtio_pci.h"

enum { QUEUE_EVENTS, QUEUE_STATUS, QUEUE_COUNT };

enum {
	QUEUE_SIZE = 64,
	AXIS_MAX = 32767,
	WHEEL_MAX = 16, /* clicks that are kept while there are no buffers */
	EVENTS_MAX = 16,
	CLASS_INPUT_OTHER = 0x098000,
};

static const char tablet_name[] = "spicebox tablet";
static const char tablet_serial[] = "1";

/* The buttons as bits of a state, with the guest's codes for them. */
static const struct {
	enum input_button button;
	uint16_t code;
} buttons[] = {
	{ INPUT_BUTTON_LEFT, BTN_LEFT },
	{ INPUT_BUTTON_RIGHT, BTN_RIGHT },
	{ INPUT_BUTTON_MIDDLE, BTN_MIDDLE },
	{ INPUT_BUTTON_SIDE, BTN_SIDE },
	{ INPUT_BUTTON_EXTRA, BTN_EXTRA },
};

struct tablet_state {
	int32_t x, y; /* -1: not told yet */
	uint32_t buttons;
	int32_t wheel; /* clicks up since the last report */
};

/* The states belong to the loop thread; the lock is for the device. */
struct virtio_input {
	struct virtio_device dev;
	struct loop_idle *idle;
	virtio_input_active_fn *active;
	void *opaque;
	bool told_active;
	struct tablet_state wanted;
	struct tablet_state sent;
};

static struct virtio_input *from_device(struct virtio_device *dev)
{
	return container_of(dev, struct virtio_input, dev);
}

/* ---- config space (5.8.4) ---- */

static void set_bit(uint8_t *bitmap, unsigned bit, uint8_t *size)
{
	bitmap[bit / 8] |= (uint8_t)(1u << (bit % 8));
	*size = (uint8_t)MAX(*size, bit / 8 + 1);
}

static void fill_event_bits(struct virtio_input_config *config)
{
	switch (config->subsel) {
	case EV_KEY:
		for (size_t i = 0; i < ARRAY_SIZE(buttons); i++)
			set_bit(config->u.bitmap, buttons[i].code, &config->size);
		break;
	case EV_REL: set_bit(config->u.bitmap, REL_WHEEL, &config->size); break;
	case EV_ABS:
		set_bit(config->u.bitmap, ABS_X, &config->size);
		set_bit(config->u.bitmap, ABS_Y, &config->size);
		break;
	}
}

static void fill_string(struct virtio_input_config *config, const char *string, size_t size)
{
	memcpy(config->u.string, string, size);
	config->size = (uint8_t)size;
}

/* What select and subsel ask for; size 0 says that there is no such thing. */
static void fill_config(struct virtio_input_config *config)
{
	switch (config->select) {
	case VIRTIO_INPUT_CFG_ID_NAME:
		if (!config->subsel)
			fill_string(config, tablet_name, sizeof(tablet_name) - 1);
		break;
	case VIRTIO_INPUT_CFG_ID_SERIAL:
		if (!config->subsel)
			fill_string(config, tablet_serial, sizeof(tablet_serial) - 1);
		break;
	case VIRTIO_INPUT_CFG_ID_DEVIDS:
		if (config->subsel)
			break;
		config->u.ids = (struct virtio_input_devids){ .bustype = htole16(BUS_VIRTUAL),
			.vendor = htole16(0x1af4),
			.product = htole16(1),
			.version = htole16(1) };
		config->size = sizeof(config->u.ids);
		break;
	case VIRTIO_INPUT_CFG_EV_BITS: fill_event_bits(config); break;
	case VIRTIO_INPUT_CFG_ABS_INFO:
		if (config->subsel != ABS_X && config->subsel != ABS_Y)
			break;
		config->u.abs = (struct virtio_input_absinfo){ .max = htole32(AXIS_MAX) };
		config->size = sizeof(config->u.abs);
		break;
	}
	/* No property bits: a pointer that needs no touch is what a tablet without them is. */
}

static void tablet_config_write(
	struct virtio_device *dev, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
	struct virtio_input_config config = { .select = dev->config[0], .subsel = dev->config[1] };

	for (uint32_t i = 0; i < size; i++) {
		if (offset + i == offsetof(struct virtio_input_config, select))
			config.select = bytes[i];
		else if (offset + i == offsetof(struct virtio_input_config, subsel))
			config.subsel = bytes[i];
	}
	fill_config(&config);
	memcpy(dev->config, &config, sizeof(config));
}

/* ---- reports (5.8.6) ---- */

static unsigned add_event(struct virtio_input_event *events, unsigned count, uint16_t type,
	uint16_t code, int32_t value)
{
	events[count] = (struct virtio_input_event){
		.type = htole16(type), .code = htole16(code), .value = htole32((uint32_t)value)
	};
	return count + 1;
}

static unsigned make_report(const struct virtio_input *input, struct virtio_input_event *events)
{
	const struct tablet_state *wanted = &input->wanted, *sent = &input->sent;
	uint32_t changed = wanted->buttons ^ sent->buttons;
	unsigned count = 0;

	if (wanted->x != sent->x)
		count = add_event(events, count, EV_ABS, ABS_X, wanted->x);
	if (wanted->y != sent->y)
		count = add_event(events, count, EV_ABS, ABS_Y, wanted->y);
	for (unsigned i = 0; i < ARRAY_SIZE(buttons); i++)
		if ((changed >> i) & 1)
			count = add_event(
				events, count, EV_KEY, buttons[i].code, (wanted->buttons >> i) & 1);
	if (wanted->wheel)
		count = add_event(events, count, EV_REL, REL_WHEEL, wanted->wheel);
	if (count)
		count = add_event(events, count, EV_SYN, SYN_REPORT, 0);
	return count;
}

static bool send_event(struct virtio_device *dev, const struct virtio_input_event *event)
{
	struct virtqueue_chain chain;

	if (virtio_device_pop(dev, QUEUE_EVENTS, &chain) != 1)
		return false;
	if (virtqueue_chain_write(dev->pci.host->memory, &chain, 0, event, sizeof(*event)) < 0) {
		virtio_device_break(dev, "an event's buffer is too small, or outside of memory");
		return false;
	}
	virtio_device_push(dev, QUEUE_EVENTS, chain.head, sizeof(*event));
	return true;
}

/* Sends the whole difference, or nothing while there are not enough buffers. Lock held. */
static void send_report(struct virtio_input *input)
{
	struct virtqueue *ring = &input->dev.queues[QUEUE_EVENTS].ring;
	struct virtio_input_event events[EVENTS_MAX];
	unsigned count = make_report(input, events);
	int buffers;

	if (!count || !ring->enabled)
		return;
	buffers = virtqueue_pending(ring);
	if (buffers < 0 && ring->broken)
		virtio_device_break(&input->dev, ring->broken);
	if (buffers < (int)count)
		return;
	for (unsigned i = 0; i < count; i++)
		if (!send_event(&input->dev, &events[i]))
			return;
	virtio_device_interrupt(&input->dev, QUEUE_EVENTS);
	input->wanted.wheel = 0;
	input->sent = input->wanted;
}

/* Loop thread, lock not held. */
static void flush(struct virtio_input *input)
{
	pthread_mutex_lock(&input->dev.pci.lock);
	if (virtio_device_is_live(&input->dev))
		send_report(input);
	else
		input->wanted.wheel = 0; /* scrolled when nobody looked */
	pthread_mutex_unlock(&input->dev.pci.lock);
}

/* At the end of a turn of the loop. */
static void idle(void *opaque)
{
	struct virtio_input *input = opaque;
	bool live;

	flush(input);
	pthread_mutex_lock(&input->dev.pci.lock);
	live = virtio_device_is_live(&input->dev);
	pthread_mutex_unlock(&input->dev.pci.lock);
	if (live == input->told_active)
		return;
	input->told_active = live;
	if (input->active)
		input->active(input->opaque, live);
}

/* ---- operations of the device ---- */

static void tablet_notify(struct virtio_device *dev, unsigned index)
{
	struct virtqueue_chain chain;
	bool taken = false;

	loop_idle_schedule(from_device(dev)->idle); /* sends what waited for buffers */
	if (index == QUEUE_EVENTS)
		return;
	/* LEDs and the like: we have none. The ring's size bounds a turn. */
	for (unsigned i = 0; i < QUEUE_SIZE; i++) {
		if (virtio_device_pop(dev, index, &chain) != 1)
			break;
		virtio_device_push(dev, index, chain.head, 0);
		taken = true;
	}
	if (!taken)
		return;
	virtio_device_interrupt(dev, index);
	virtio_device_serve_again(dev, index);
}

static void tablet_live(struct virtio_device *dev)
{
	loop_idle_schedule(from_device(dev)->idle); /* tells of it, without the lock */
}

static void tablet_reset(struct virtio_device *dev)
{
	struct virtio_input *input = from_device(dev);

	memset(dev->config, 0, sizeof(dev->config));
	input->sent = (struct tablet_state){ .x = -1, .y = -1 };
	input->wanted.wheel = 0;
	loop_idle_schedule(input->idle);
}

static const struct virtio_device_ops tablet_ops = {
	.queue_notify = tablet_notify,
	.config_write = tablet_config_write,
	.live = tablet_live,
	.reset = tablet_reset,
};

/* ---- what the viewer does ---- */

/* Guests scale back by size / (AXIS_MAX + 1) or by (size - 1) / AXIS_MAX, and some round. So it is the
 * first value that gives this pixel either way, and a quarter of a pixel more where that still does. */
static int32_t scale(int32_t pixel, uint32_t size)
{
	uint64_t first, last, at;

	if (pixel <= 0 || size < 2)
		return 0;
	at = MIN((uint64_t)pixel, size - 1u);
	first = DIV_ROUND_UP(at * AXIS_MAX, size - 1u);
	last = DIV_ROUND_UP((at + 1) * (AXIS_MAX + 1), size) - 1;
	return (int32_t)MAX(first, MIN(first + AXIS_MAX / size / 4, last));
}

void virtio_input_position(
	struct virtio_input *input, int32_t x, int32_t y, uint32_t width, uint32_t height)
{
	/* A click belongs to the place where it was. */
	if (input->wanted.buttons != input->sent.buttons || input->wanted.wheel)
		flush(input);
	input->wanted.x = scale(x, width);
	input->wanted.y = scale(y, height);
	loop_idle_schedule(input->idle);
}

void virtio_input_button(struct virtio_input *input, enum input_button button, bool down)
{
	uint32_t bit = 0;

	if (button == INPUT_BUTTON_UP || button == INPUT_BUTTON_DOWN) {
		if (down && button == INPUT_BUTTON_UP)
			input->wanted.wheel = MIN(input->wanted.wheel + 1, WHEEL_MAX);
		else if (down)
			input->wanted.wheel = MAX(input->wanted.wheel - 1, -WHEEL_MAX);
		loop_idle_schedule(input->idle);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(buttons); i++)
		if (buttons[i].button == button)
			bit = 1u << i;
	/* The press must be seen before the release undoes it. */
	if ((input->wanted.buttons ^ input->sent.buttons) & bit)
		flush(input);
	if (down)
		input->wanted.buttons |= bit;
	else
		input->wanted.buttons &= ~bit;
	loop_idle_schedule(input->idle);
}

/* ---- making and ending ---- */

int virtio_input_create(struct virtio_input **out, struct pci_host *host, struct pci_bus *bus,
	virtio_input_active_fn *active, void *opaque)
{
	struct virtio_input *input = calloc(1, sizeof(*input));
	int err;

	if (!input)
		return -ENOMEM;
	input->active = active;
	input->opaque = opaque;
	input->wanted = input->sent = (struct tablet_state){ .x = -1, .y = -1 };
	err = virtio_device_init(&input->dev, &tablet_ops, "virtio-tablet", host, VIRTIO_ID_INPUT,
		CLASS_INPUT_OTHER, QUEUE_COUNT, QUEUE_SIZE);
	if (err)
		goto fail;
	input->dev.config_size = sizeof(struct virtio_input_config);
	err = -ENOMEM;
	input->idle = loop_idle_add(host->loop, idle, input);
	if (!input->idle)
		goto fail;
	err = pci_bus_plug(bus, &input->dev.pci, 0, 0);
	if (err)
		goto fail;
	*out = input;
	return 0;
fail:
	virtio_input_destroy(input);
	return err;
}

void virtio_input_destroy(struct virtio_input *input)
{
	if (!input)
		return;
	virtio_device_finish(&input->dev);
	loop_idle_remove(input->idle);
	free(input);
}
