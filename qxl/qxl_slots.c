/* SPDX-License-Identifier: MIT */
/* Translation of the guest's addresses, and the reader of chunk chains. */
#include "qxl/qxl_slots.h"

#include <errno.h>
#include <string.h>

#include <spice/qxl_dev.h>

#include "core/util.h"

#define OFFSET_MASK ((UINT64_C(1) << 48) - 1)

uint8_t *qxl_slots_map(const struct qxl_slots *slots, uint64_t address, uint64_t size)
{
	uint32_t id = (uint32_t)(address >> 56);
	uint64_t offset = address & OFFSET_MASK;
	const struct qxl_slot *slot;

	if (id >= QXL_SLOT_COUNT || (address >> 48 & 0xff) != QXL_SLOT_GENERATION)
		return NULL;
	slot = &slots->slot[id];
	if (!slot->active || offset < slot->delta)
		return NULL;
	offset -= slot->delta;
	if (offset > slot->size || size > slot->size - offset)
		return NULL;
	return slot->host + offset;
}

void qxl_copy_once(void *out, const void *shared, size_t size)
{
	memcpy(out, shared, size);
	/* The compiler must not read `shared` again in place of the copy. */
	__asm__ volatile("" ::: "memory");
}

int qxl_slots_read(const struct qxl_slots *slots, uint64_t address, void *out, size_t size)
{
	const uint8_t *shared = qxl_slots_map(slots, address, size);

	if (!shared)
		return -EFAULT;
	qxl_copy_once(out, shared, size);
	return 0;
}

static int enter_chunk(struct qxl_chain *chain, uint64_t address)
{
	QXLDataChunk chunk;
	const uint8_t *data;

	if (++chain->chunks > QXL_CHUNKS_MAX)
		return -EINVAL;
	if (qxl_slots_read(chain->slots, address, &chunk, sizeof(chunk)))
		return -EFAULT;
	/* With the header before it, so that an address cannot wrap from slot to slot. */
	data = qxl_slots_map(chain->slots, address, sizeof(chunk) + (uint64_t)chunk.data_size);
	if (!data)
		return -EFAULT;
	chain->at = data + sizeof(chunk);
	chain->left = chunk.data_size;
	chain->next = chunk.next_chunk;
	return 0;
}

int qxl_chain_begin(struct qxl_chain *chain, const struct qxl_slots *slots, uint64_t address)
{
	*chain = (struct qxl_chain){ .slots = slots };
	return enter_chunk(chain, address);
}

int qxl_chain_begin_raw(
	struct qxl_chain *chain, const struct qxl_slots *slots, uint64_t address, uint32_t size)
{
	*chain = (struct qxl_chain){ .slots = slots, .left = size };
	chain->at = qxl_slots_map(slots, address, size);
	return chain->at ? 0 : -EFAULT;
}

int qxl_chain_read(struct qxl_chain *chain, void *out, uint64_t size)
{
	uint8_t *to = out;
	int err;

	while (size > 0) {
		uint32_t piece = (uint32_t)MIN((uint64_t)chain->left, size);

		if (piece == 0) {
			if (!chain->next)
				return -EINVAL;
			err = enter_chunk(chain, chain->next);
			if (err)
				return err;
			continue;
		}
		if (to) {
			qxl_copy_once(to, chain->at, piece);
			to += piece;
		}
		chain->at += piece;
		chain->left -= piece;
		size -= piece;
	}
	return 0;
}
