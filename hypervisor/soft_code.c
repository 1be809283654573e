/* SPDX-License-Identifier: MIT */
/* Blocks of decoded code: found by guest-physical address and mode, chained within a page, dropped
 * when somebody writes to what they were decoded from. Each CPU has its own. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/util.h"
#include "hypervisor/soft_internal.h"
#include "hypervisor/soft_ops.h"

#define ARENA_BYTES (64u << 20)
#define HASH_SIZE   (1u << 15)
#define PAGES_SIZE  (1u << 12)
/* The longest instruction. */
#define INSN_MAX   15
#define LINE_SHIFT 6
/* Room for the op that leads to the next block, and the one that STI takes along. */
#define OPS_ROOM 2

const struct soft_op soft_op_none = { .seg = SOFT_SS };

struct page_block {
	struct soft_block *block;
	struct page_block *next;
};

/* A page that blocks were decoded from. */
struct soft_code_page {
	uint64_t gpa;
	struct soft_code_page *next;
	struct page_block *blocks;
	uint64_t lines; /* a bit for 64 bytes: there is code */
};

/* ---- life ---- */

int soft_code_create(struct soft_cpu *cpu)
{
	struct soft_code *code = calloc(1, sizeof(*code));

	if (!code)
		return -ENOMEM;
	cpu->code = code;
	pthread_mutex_init(&code->lock, NULL);
	code->hash = calloc(HASH_SIZE, sizeof(*code->hash));
	code->pages = calloc(PAGES_SIZE, sizeof(*code->pages));
	code->arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (code->arena == MAP_FAILED)
		code->arena = NULL;
	cpu->jit.arena = code->arena;
	soft_jit_create(cpu);
	return code->hash && code->pages && code->arena ? 0 : -ENOMEM;
}

void soft_code_destroy(struct soft_cpu *cpu)
{
	struct soft_code *code = cpu->code;

	if (!code)
		return;
	soft_jit_destroy(cpu);
	if (code->arena)
		munmap(code->arena, ARENA_BYTES);
	free(code->hash);
	free(code->pages);
	pthread_mutex_destroy(&code->lock);
	free(code);
	cpu->code = NULL;
}

static void *take(struct soft_code *code, size_t size)
{
	void *at = code->arena + code->used;

	code->used += ALIGN_UP(size, (size_t)16);
	return at;
}

static void mark(struct soft_cpu *cpu, uint64_t gpa, bool on)
{
	uint8_t *map = &cpu->engine->code_map[(gpa & SOFT_PHYS_MASK) / SOFT_PAGE];
	uint8_t bit = (uint8_t)(1u << cpu->index);

	if (on)
		__atomic_fetch_or(map, bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(map, (uint8_t)~bit, __ATOMIC_SEQ_CST);
}

void soft_code_flush(struct soft_cpu *cpu)
{
	struct soft_code *code = cpu->code;

	for (uint32_t i = 0; i < PAGES_SIZE; i++)
		for (struct soft_code_page *page = code->pages[i]; page; page = page->next)
			mark(cpu, page->gpa, false);
	memset(code->hash, 0, HASH_SIZE * sizeof(*code->hash));
	memset(code->pages, 0, PAGES_SIZE * sizeof(*code->pages));
	memset(code->jumps, 0, sizeof(code->jumps));
	memset(code->code_pages, 0, sizeof(code->code_pages));
	code->pending = NULL;
	code->used = 0;
	soft_jit_flush(cpu);
}

void soft_code_new_key(struct soft_cpu *cpu, bool new_generation)
{
	struct soft_code *code = cpu->code;

	if (new_generation)
		code->generation++;
	code->key = (code->generation + 1) << 8 | (uint64_t)(cpu->cpl == 3) << 7 | cpu->mode;
	cpu->jit.key = code->key;
}

/* ---- invalidation ---- */

static uint32_t hash_of(uint64_t gpa, uint32_t mode)
{
	return (uint32_t)((gpa ^ (gpa >> 13) ^ ((uint64_t)mode << 9)) % HASH_SIZE);
}

static struct soft_code_page **page_slot(struct soft_code *code, uint64_t gpa)
{
	struct soft_code_page **slot = &code->pages[(gpa / SOFT_PAGE) % PAGES_SIZE];

	while (*slot && (*slot)->gpa != gpa)
		slot = &(*slot)->next;
	return slot;
}

/* The block may be running: its remaining ops become ways out. */
static void kill_block(struct soft_cpu *cpu, struct soft_block *block)
{
	struct soft_code *code = cpu->code;
	struct soft_block **slot = &code->hash[hash_of(block->gpa, block->mode)];

	if (block->stale)
		return;
	block->stale = true;
	while (*slot && *slot != block)
		slot = &(*slot)->hash_next;
	if (*slot)
		*slot = block->hash_next;
	for (struct soft_link *link = block->incoming; link; link = link->next) {
		soft_jit_unlink(cpu, link);
		link->to = NULL;
	}
	block->incoming = NULL;
	for (unsigned i = 0; i < block->count; i++)
		block->ops[i].fn = soft_op_stale;
	soft_jit_kill(cpu, block);
}

/* Bits of the 64-byte lines that [first, last] of a page touches. */
static uint64_t lines_of(unsigned first, unsigned last)
{
	unsigned low = first >> LINE_SHIFT, high = last >> LINE_SHIFT;

	return (~UINT64_C(0) << low) & (~UINT64_C(0) >> (63 - high));
}

/* The part of the page that the block was decoded from. */
static void extent(const struct soft_block *block, uint64_t page, unsigned *first, unsigned *last)
{
	uint64_t end = (block->gpa & 0xfff) + block->bytes - 1;

	if ((block->gpa & SOFT_PAGE_MASK) == page) {
		*first = (unsigned)(block->gpa & 0xfff);
		*last = (unsigned)MIN(end, (uint64_t)(SOFT_PAGE - 1));
	} else {
		*first = 0;
		*last = (unsigned)(end - SOFT_PAGE);
	}
}

/* Drops the blocks that [first, last] of the page touches. */
static void drop(struct soft_cpu *cpu, uint64_t gpa, unsigned first, unsigned last)
{
	struct soft_code *code = cpu->code;
	struct soft_code_page **slot = page_slot(code, gpa), *page = *slot;
	struct page_block **at;

	if (!page || !(page->lines & lines_of(first, last)))
		return;
	page->lines = 0;
	for (at = &page->blocks; *at;) {
		struct soft_block *block = (*at)->block;
		unsigned begin, end;

		extent(block, gpa, &begin, &end);
		if (!block->stale && begin <= last && end >= first)
			kill_block(cpu, block);
		if (block->stale) {
			*at = (*at)->next;
			continue;
		}
		page->lines |= lines_of(begin, end);
		at = &(*at)->next;
	}
	if (page->blocks)
		return;
	*slot = page->next;
	mark(cpu, gpa, false);
	soft_tlb_protect(cpu, gpa);
}

void soft_code_written(struct soft_cpu *cpu, uint64_t gpa, unsigned size)
{
	unsigned first = (unsigned)(gpa & 0xfff);

	drop(cpu, gpa & SOFT_PAGE_MASK, first, first + size - 1);
}

void soft_code_post(struct soft_cpu *cpu, uint64_t gpa)
{
	struct soft_code *code = cpu->code;

	gpa &= SOFT_PAGE_MASK;
	pthread_mutex_lock(&code->lock);
	if (code->written_count == ARRAY_SIZE(code->written))
		code->written_all = true;
	else if (!code->written_count || code->written[code->written_count - 1] != gpa)
		code->written[code->written_count++] = gpa;
	pthread_mutex_unlock(&code->lock);
	soft_cpu_request(cpu, SOFT_REQUEST_CODE);
}

void soft_code_serve(struct soft_cpu *cpu)
{
	struct soft_code *code = cpu->code;
	uint64_t pages[ARRAY_SIZE(code->written)];
	unsigned count;
	bool all;

	pthread_mutex_lock(&code->lock);
	count = code->written_count;
	all = code->written_all;
	memcpy(pages, code->written, sizeof(pages));
	code->written_count = 0;
	code->written_all = false;
	pthread_mutex_unlock(&code->lock);
	if (all)
		soft_code_flush(cpu);
	for (unsigned i = 0; !all && i < count; i++)
		drop(cpu, pages[i], 0, SOFT_PAGE - 1);
}

/* ---- making blocks ---- */

void soft_code_protect(struct soft_cpu *cpu)
{
	if (__atomic_load_n(&cpu->request, __ATOMIC_SEQ_CST) & SOFT_REQUEST_PROTECT) {
		soft_tlb_protect_all(cpu);
		__atomic_fetch_and(
			&cpu->request, ~(uint32_t)SOFT_REQUEST_PROTECT, __ATOMIC_SEQ_CST);
	}
}

/* From now on stores to the page are noticed, those of other CPUs too: waits until they know. */
static void watch_page(struct soft_cpu *cpu, uint64_t gpa)
{
	struct soft_engine *soft = cpu->engine;
	uint8_t *map = &soft->code_map[(gpa & SOFT_PHYS_MASK) / SOFT_PAGE];
	uint8_t before = __atomic_load_n(map, __ATOMIC_SEQ_CST);

	if (before & (1u << cpu->index))
		return;
	mark(cpu, gpa, true);
	soft_tlb_protect(cpu, gpa);
	if (before)
		return;
	for (unsigned i = 0; i < soft->base.cpus; i++)
		if (i != cpu->index)
			soft_cpu_request(soft->cpus[i], SOFT_REQUEST_PROTECT);
	for (unsigned i = 0; i < soft->base.cpus; i++) {
		struct soft_cpu *other = soft->cpus[i];

		while (i != cpu->index && __atomic_load_n(&other->in_guest, __ATOMIC_SEQ_CST) &&
			(__atomic_load_n(&other->request, __ATOMIC_SEQ_CST) &
				SOFT_REQUEST_PROTECT)) {
			soft_code_protect(cpu);
			sched_yield();
		}
	}
}

static void add_to_page(struct soft_code *code, uint64_t gpa, struct soft_block *block)
{
	struct soft_code_page **slot = page_slot(code, gpa), *page = *slot;
	struct page_block *entry = take(code, sizeof(*entry));
	unsigned first, last;

	if (!page) {
		page = *slot = take(code, sizeof(*page));
		*page = (struct soft_code_page){ .gpa = gpa };
	}
	*entry = (struct page_block){ .block = block, .next = page->blocks };
	page->blocks = entry;
	extent(block, gpa, &first, &last);
	page->lines |= lines_of(first, last);
}

struct fetch {
	const uint8_t *page; /* host memory of the block's page */
	uint64_t gpa; /* of the block */
	uint64_t linear;
	uint64_t gpa2; /* of the page after, when the first instruction needs it */
	bool crosses;
	uint8_t bytes[2 * INSN_MAX];
};

/* What is read where no memory is. */
static const uint8_t nothing[SOFT_PAGE] = { [0 ... SOFT_PAGE - 1] = 0xff };

/* Decodes the instruction at `at`. The last bytes of a page are copied: the page after follows them
 * only for a block's first instruction. */
static bool decode_one(struct soft_cpu *cpu, struct fetch *fetch, struct soft_decoder *decoder,
	unsigned offset, bool first)
{
	unsigned left = SOFT_PAGE - offset;
	struct soft_op *op = decoder->op;

	decoder->start = fetch->page + offset;
	decoder->end = decoder->start + MIN(left, (unsigned)INSN_MAX);
	soft_decode(decoder);
	if (!decoder->out || left >= INSN_MAX)
		return true;
	if (!first)
		return false;
	memcpy(fetch->bytes, fetch->page + offset, left);
	{
		const uint8_t *page = soft_fetch_page(
			cpu, (fetch->linear & SOFT_PAGE_MASK) + SOFT_PAGE, &fetch->gpa2);

		watch_page(cpu, fetch->gpa2);
		memcpy(fetch->bytes + left, page ? page : nothing, INSN_MAX);
	}
	fetch->crosses = true;
	decoder->op = op;
	decoder->start = fetch->bytes;
	decoder->end = fetch->bytes + INSN_MAX;
	soft_decode(decoder);
	return true;
}

/* The flags of the ops before that nobody sees: those that are all set again before anybody looks. */
static void drop_unseen_flags(
	struct soft_op *ops, const uint8_t *uses, soft_fn *const *quiet, unsigned count)
{
	bool seen = true;

	for (unsigned i = count; i > 0; i--) {
		if (uses[i - 1] == SOFT_FLAGS_SET) {
			if (!seen && quiet[i - 1])
				ops[i - 1].fn = quiet[i - 1];
			seen = false;
		} else if (uses[i - 1] == SOFT_FLAGS_USED) {
			seen = true;
		}
	}
}

/* Decodes ops up to the end of the block. The bytes that they took. */
static unsigned decode_ops(struct soft_cpu *cpu, struct fetch *fetch, struct soft_decoder *decoder,
	struct soft_op *ops, struct soft_insn *insns, unsigned *count)
{
	unsigned begin = (unsigned)(fetch->gpa & 0xfff), at = begin, n = 0;
	unsigned most = decoder->mode & SOFT_MODE_STEP ? 1 : SOFT_BLOCK_OPS;
	soft_fn *quiet[SOFT_BLOCK_OPS + OPS_ROOM];
	uint8_t uses[SOFT_BLOCK_OPS + OPS_ROOM];
	bool keep_on = false;

	do {
		struct soft_op *op = decoder->op = &ops[n];

		decoder->previous = n ? &ops[n - 1] : NULL;
		if (!decode_one(cpu, fetch, decoder, at, n == 0)) {
			decoder->ends = false;
			break;
		}
		op->ip = (uint16_t)(at - begin);
		at += (unsigned)(decoder->at - decoder->start);
		op->next = (uint16_t)(at - begin);
		if (op->base == SOFT_RIP && __builtin_add_overflow(op->disp, op->next, &op->disp))
			op->fn = soft_op_undefined; /* at the end of the 32 bits: not worth more */
		uses[n] = op->fn == soft_op_undefined ? (uint8_t)SOFT_FLAGS_USED
						      : decoder->flags_use;
		quiet[n] = decoder->quiet;
		insns[n] = (struct soft_insn){ .map = decoder->map,
			.opcode = decoder->opcode,
			.modrm = decoder->modrm_read ? decoder->modrm : 0,
			.rep = decoder->rep,
			.osize = decoder->osize,
			.o_prefix = decoder->o_prefix };
		n++;
		keep_on = op->fn == soft_op_sti && !(decoder->mode & SOFT_MODE_STEP);
	} while (!decoder->ends && !fetch->crosses && at < SOFT_PAGE && (n < most || keep_on) &&
		n <= SOFT_BLOCK_OPS);
	drop_unseen_flags(ops, uses, quiet, n);
	if (!decoder->ends || n == 0)
		ops[n++] = (struct soft_op){ .fn = soft_op_follow,
			.ip = (uint16_t)(at - begin),
			.next = (uint16_t)(at - begin) };
	*count = n;
	return at - begin;
}

static struct soft_block *make_block(struct soft_cpu *cpu, struct fetch *fetch, uint32_t mode)
{
	struct soft_op ops[SOFT_BLOCK_OPS + OPS_ROOM + 1];
	struct soft_insn insns[SOFT_BLOCK_OPS + OPS_ROOM + 1] = { 0 };
	struct soft_code *code = cpu->code;
	struct soft_decoder decoder = { .tables = cpu->engine->tables, .mode = mode };
	struct soft_block *block;
	unsigned count, bytes;
	uint32_t hash;

	if (code->used + 65536 > ARENA_BYTES)
		soft_code_flush(cpu);
	watch_page(cpu, fetch->gpa & SOFT_PAGE_MASK);
	bytes = decode_ops(cpu, fetch, &decoder, ops, insns, &count);
	block = take(code, sizeof(*block) + count * sizeof(ops[0]));
	*block = (struct soft_block){
		.gpa = fetch->gpa,
		.mode = mode,
		.bytes = (uint16_t)bytes,
		.count = (uint16_t)count,
		.crosses = fetch->crosses,
		.gpa2 = fetch->gpa2,
	};
	memcpy(block->ops, ops, count * sizeof(ops[0]));
	/* One that leads to a known place knows its block. */
	if (!decoder.ends || decoder.links)
		block->ops[count - 1].imm = (uintptr_t)block;
	if (soft_jit_wants(cpu, block)) {
		struct soft_insn *kept = take(code, count * sizeof(*kept));

		memcpy(kept, insns, count * sizeof(*kept));
		block->insns = kept;
		block->first = block->ops[0];
		block->ops[0].fn = soft_jit_count;
	}
	hash = hash_of(block->gpa, mode);
	block->hash_next = code->hash[hash];
	code->hash[hash] = block;
	add_to_page(code, fetch->gpa & SOFT_PAGE_MASK, block);
	if (fetch->crosses)
		add_to_page(code, fetch->gpa2, block);
	return block;
}

/* ---- finding them ---- */

static uint32_t page_hash(uint64_t linear)
{
	uint64_t page = linear / SOFT_PAGE;

	return (uint32_t)((page ^ page >> 16 ^ page >> 32) & 0xffff);
}

static void note_page(struct soft_code *code, uint64_t linear)
{
	uint32_t hash = page_hash(linear);

	code->code_pages[hash / 64] |= UINT64_C(1) << (hash % 64);
}

bool soft_code_was_at(const struct soft_cpu *cpu, uint64_t linear)
{
	uint32_t hash = page_hash(linear);

	return cpu->code->code_pages[hash / 64] & UINT64_C(1) << (hash % 64);
}

static struct soft_block *search(struct soft_cpu *cpu, uint64_t gpa, uint32_t mode, uint64_t linear)
{
	struct soft_block *block = cpu->code->hash[hash_of(gpa, mode)];

	for (; block; block = block->hash_next) {
		uint64_t gpa2;

		if (block->gpa != gpa || block->mode != mode)
			continue;
		if (!block->crosses)
			return block;
		soft_fetch_page(cpu, (linear & SOFT_PAGE_MASK) + SOFT_PAGE, &gpa2);
		if (gpa2 == block->gpa2)
			return block;
	}
	return NULL;
}

/* The way the last block was left now leads straight to this one, when no translation is between. */
static void chain(struct soft_cpu *cpu, struct soft_block *block, uint64_t linear)
{
	struct soft_code *code = cpu->code;
	struct soft_link *link = code->pending;
	const struct soft_block *from = code->pending_from;

	code->pending = NULL;
	if (!link || code->pending_target != linear || link->to || from->stale ||
		from->mode != block->mode || block->crosses ||
		((from->gpa ^ block->gpa) & SOFT_PAGE_MASK) ||
		((code->pending_linear ^ linear) & SOFT_PAGE_MASK) || from->crosses ||
		(block->mode & SOFT_MODE_LIMIT))
		return;
	link->to = block;
	link->next = block->incoming;
	block->incoming = link;
	soft_jit_link(cpu, link);
}

/* Out by a link that is not chained (yet). */
static inline struct soft_block *leave(struct soft_cpu *cpu, const struct soft_op *op, unsigned n)
{
	struct soft_code *code = cpu->code;
	struct soft_block *block = (struct soft_block *)op->imm;
	uint64_t target = cpu->regs[SOFT_RIP] + cpu->segs[SOFT_CS].base;
	uint64_t moved = op->next + (n == 0 ? (uint64_t)(int64_t)op->disp : 0);
	const struct soft_jump *jump = soft_jump_at(code, target);

	code->pending = &block->links[n];
	code->pending_from = block;
	code->pending_target = target;
	code->pending_linear = target - moved;
	if (soft_requested(cpu) || jump->linear != target || jump->key != code->key ||
		jump->block->stale)
		return NULL;
	chain(cpu, jump->block, target);
	return jump->block;
}

SOFT_OP_FUNCTION(soft_leave0)
{
	struct soft_block *block = leave(cpu, op, 0);

	if (!block)
		return NULL;
	SOFT_GO(block->ops);
}

SOFT_OP_FUNCTION(soft_leave1)
{
	struct soft_block *block = leave(cpu, op, 1);

	if (!block)
		return NULL;
	SOFT_GO(block->ops);
}

/* Outside of 64-bit mode: whether code at RIP ends within CS. */
static bool inside_limit(const struct soft_cpu *cpu, const struct soft_block *block)
{
	return cpu->long64 || cpu->regs[SOFT_RIP] + block->bytes - 1 <= cpu->segs[SOFT_CS].limit;
}

struct soft_block *soft_code_find(struct soft_cpu *cpu, bool step)
{
	struct soft_code *code = cpu->code;
	uint32_t mode = cpu->mode | (step ? SOFT_MODE_STEP : 0);
	uint64_t rip = cpu->regs[SOFT_RIP], linear = rip + cpu->segs[SOFT_CS].base;
	struct soft_jump *jump;
	struct soft_block *block;
	struct fetch fetch;

	cpu->op = &soft_op_none;
	if (!cpu->long64)
		linear = (uint32_t)linear;
	if (unlikely(cpu->long64 ? !soft_canonical(rip) : rip > cpu->segs[SOFT_CS].limit))
		soft_raise_error(cpu, SOFT_GP, 0);
	jump = soft_jump_at(code, linear);
	if (!step && jump->linear == linear && jump->key == code->key && !jump->block->stale)
		return jump->block;
	fetch.linear = linear;
	fetch.crosses = false;
	fetch.gpa2 = 0;
	fetch.page = soft_fetch_page(cpu, linear, &fetch.gpa);
	fetch.gpa += linear & 0xfff;
	if (!fetch.page)
		fetch.page = nothing;
	block = jump->linear == linear ? jump->block : NULL;
	/* After a flush what was there before, mostly, is there again. */
	if (!block || block->stale || block->gpa != fetch.gpa || block->mode != mode ||
		block->crosses)
		block = search(cpu, fetch.gpa, mode, linear);
	if (!block)
		block = make_block(cpu, &fetch, mode);
	if (unlikely(!inside_limit(cpu, block))) {
		/* One instruction at a time, up to the one that is not all there. */
		if (step)
			soft_raise_error(cpu, SOFT_GP, 0);
		return soft_code_find(cpu, true);
	}
	note_page(code, linear);
	if (block->crosses)
		note_page(code, linear + SOFT_PAGE);
	chain(cpu, block, linear);
	if (!step && !(mode & SOFT_MODE_LIMIT))
		*jump = (struct soft_jump){ .linear = linear, .key = code->key, .block = block };
	return block;
}
