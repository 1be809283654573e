/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a split virtqueue (Virtual I/O Device 1.2, section 2.7). The driver is
 * hostile: every word of a ring is read once, checked, and used as the copy.
 */
#ifndef HYPERVISOR_VIRTQUEUE_H
#define HYPERVISOR_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor/memory.h"

/* The largest ring offered, hence the longest chain taken (2.7.5.3.1: a chain is never longer than
 * the queue's size). A power of two. */
#define VIRTQUEUE_MAX_SIZE 256

/* One ring. Embedded in the device; its device's lock guards it. Zeroed with size_max set is the
 * state after a reset. */
struct virtqueue {
	struct guest_memory *memory;
	uint16_t size_max; /* what the device offers */
	/* As the driver wrote them, before it is enabled. */
	uint16_t size;
	uint64_t desc_gpa;
	uint64_t avail_gpa; /* the "driver area" */
	uint64_t used_gpa; /* the "device area" */
	bool event_idx; /* VIRTIO_F_EVENT_IDX was negotiated */
	bool indirect; /* VIRTIO_F_INDIRECT_DESC was negotiated */
	bool enabled;
	/* What was wrong with the ring, a constant sentence; NULL: nothing. Latched until a reset. */
	const char *broken;
	uint16_t next_avail; /* free-running index of the next entry to take */
	uint16_t next_used; /* free-running index of the next entry to give back */
	uint16_t signalled_used; /* next_used when the driver was last asked about */
};

struct virtqueue_segment {
	uint64_t gpa; /* gpa + size does not wrap; whether memory is there is not checked yet */
	uint32_t size;
};

/* A descriptor chain, copied out of the ring: first what the device reads, then what it writes. */
struct virtqueue_chain {
	uint16_t head; /* its name when it is given back */
	uint16_t out_count;
	uint16_t in_count;
	uint64_t out_bytes; /* sum over the first out_count segments: device-readable */
	uint64_t in_bytes; /* sum over the in_count segments behind: device-writable */
	struct virtqueue_segment segments[VIRTQUEUE_MAX_SIZE];
};

/* Back to the state after a device reset; memory and size_max stay. */
void virtqueue_reset(struct virtqueue *queue);
/* Checks size, alignment and presence of the three areas and enables the ring. -EPROTO (and broken
 * is set) when the driver's values are bad. */
int virtqueue_enable(struct virtqueue *queue);

/* Takes the next chain. 1: taken; 0: none there, and the driver has been asked to notify about the
 * next one; -EPROTO: the ring is bad, now or before (broken says how). */
int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain);
/* How many chains wait, 0 to size, or -EPROTO; the driver is asked to notify about the next one. */
int virtqueue_pending(struct virtqueue *queue);
/* Gives a chain back; `written` bytes of its writable part were filled. -EPROTO as above. */
int virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);
/* Whether the driver wants an interrupt for what was pushed since the last call that was told so
 * (2.7.7, 2.7.10). */
bool virtqueue_wants_interrupt(struct virtqueue *queue);

/* Copies from the readable part at byte `offset`, or to the writable part. -EFAULT when the range
 * is outside of the part or of guest memory. */
int virtqueue_chain_read(struct guest_memory *memory, const struct virtqueue_chain *chain,
	uint64_t offset, void *out, size_t size);
int virtqueue_chain_write(struct guest_memory *memory, const struct virtqueue_chain *chain,
	uint64_t offset, const void *bytes, size_t size);

#endif
