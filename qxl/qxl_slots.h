/* SPDX-License-Identifier: MIT */
/*
 * Memory slots: how a QXLPHYSICAL (slot id, generation, offset) becomes device memory. Only the
 * device's own BARs can lie in a slot. What is found there may change at any time: it is copied out
 * once, and the copy is checked.
 */
#ifndef QXL_QXL_SLOTS_H
#define QXL_QXL_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QXL_SLOT_COUNT      8
#define QXL_SLOT_GENERATION 0 /* the only one there is, as in QEMU */
/* A chain of chunks that has more of them is taken for a loop. */
#define QXL_CHUNKS_MAX 16384

struct qxl_slot {
	bool active;
	uint8_t *host;
	uint64_t size;
	uint64_t delta; /* the offset that the slot's first byte has */
};

struct qxl_slots {
	struct qxl_slot slot[QXL_SLOT_COUNT];
};

/* The bytes [address, address + size); NULL when any of them is not in the address's slot. */
uint8_t *qxl_slots_map(const struct qxl_slots *slots, uint64_t address, uint64_t size);
/* Copies bytes out. 0 or -EFAULT. */
int qxl_slots_read(const struct qxl_slots *slots, uint64_t address, void *out, size_t size);
/* Copies memory that the guest may be writing: what was read stays as it was read. */
void qxl_copy_once(void *out, const void *shared, size_t size);

/* Reads the payload of a QXLDataChunk chain from its start on. */
struct qxl_chain {
	const struct qxl_slots *slots;
	const uint8_t *at; /* within the present chunk */
	uint32_t left;
	uint64_t next; /* address of the next chunk; 0: none */
	uint32_t chunks;
};

/* `address` is the first chunk's header. 0 or -EFAULT. */
int qxl_chain_begin(struct qxl_chain *chain, const struct qxl_slots *slots, uint64_t address);
/* A "chain" of `size` raw bytes without a header. 0 or -EFAULT. */
int qxl_chain_begin_raw(
	struct qxl_chain *chain, const struct qxl_slots *slots, uint64_t address, uint32_t size);
/* Copies (out may be NULL: skips) the next bytes. -EFAULT: a chunk is not there; -EINVAL: the chain
 * ends before, or loops. */
int qxl_chain_read(struct qxl_chain *chain, void *out, uint64_t size);

#endif
