/* SPDX-License-Identifier: MIT */
/* The AML writer. Numbers in brackets are sections of ACPI 6.x. */
#include "hypervisor/aml.h"

#include <string.h>

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f,
	OP_EXTENDED = 0x5b,
	OP_EXT_REGION = 0x80,
	OP_EXT_FIELD = 0x81,
	OP_EXT_DEVICE = 0x82,
	OP_EXT_PROCESSOR = 0x83,
	OP_IF = 0xa0,

	METHOD_SERIALIZED = 0x08,
	REGION_PCI_CONFIG = 2,
	FIELD_BYTE_ACCESS = 1,

	/* resource descriptors [6.4.2, 6.4.3] */
	RES_IRQ = 0x22,
	RES_IO = 0x47,
	RES_END = 0x79,
	RES_DWORD_ADDRESS = 0x87,
	RES_WORD_ADDRESS = 0x88,
	RES_INTERRUPT = 0x89,
	RES_QWORD_ADDRESS = 0x8a,
	RES_MEMORY = 0,
	RES_IO_RANGE = 1,
	RES_BUS = 2,
	RES_FIXED = 0x0c, /* both ends */
	RES_ENTIRE_IO = 3,
	RES_CACHEABLE = 0x02,
	RES_WRITABLE = 0x01,

	NAME_SEGMENT = 4,
};

static void put(struct aml *aml, const void *bytes, size_t size)
{
	if (!aml->failed && buf_append(&aml->bytes, bytes, size) != 0)
		aml->failed = true;
}

static void put_le(struct aml *aml, uint64_t value, unsigned size)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	put(aml, bytes, size);
}

static void put_byte(struct aml *aml, unsigned byte)
{
	put_le(aml, byte, 1);
}

bool aml_ok(const struct aml *aml)
{
	return !aml->failed && aml->depth == 0;
}

void aml_finish(struct aml *aml)
{
	buf_finish(&aml->bytes);
}

/* ---- terms ---- */

/* NameString [20.2.2] */
void aml_path(struct aml *aml, const char *path)
{
	char segments[AML_DEPTH_MAX][NAME_SEGMENT];
	unsigned count = 0;

	if (*path == '\\')
		put_byte(aml, (uint8_t)*path++);
	while (*path) {
		size_t length = strcspn(path, ".");

		if (length > NAME_SEGMENT || count == AML_DEPTH_MAX) {
			aml->failed = true;
			return;
		}
		memset(segments[count], '_', NAME_SEGMENT);
		memcpy(segments[count++], path, length);
		path += length;
		path += *path == '.';
	}
	if (count == 0)
		put_byte(aml, OP_ZERO);
	else if (count == 2)
		put_byte(aml, OP_DUAL_NAME);
	else if (count > 2) {
		put_byte(aml, OP_MULTI_NAME);
		put_byte(aml, count);
	}
	put(aml, segments, count * NAME_SEGMENT);
}

static unsigned encode_int(uint8_t *out, uint64_t value)
{
	unsigned size = value <= UINT8_MAX ? 1
		: value <= UINT16_MAX      ? 2
		: value <= UINT32_MAX      ? 4
					   : 8;

	if (value <= 1) {
		out[0] = value ? OP_ONE : OP_ZERO;
		return 1;
	}
	out[0] = size == 1 ? OP_BYTE : size == 2 ? OP_WORD : size == 4 ? OP_DWORD : OP_QWORD;
	for (unsigned i = 0; i < size; i++)
		out[1 + i] = (uint8_t)(value >> 8 * i);
	return 1 + size;
}

void aml_int(struct aml *aml, uint64_t value)
{
	uint8_t bytes[9];

	put(aml, bytes, encode_int(bytes, value));
}

void aml_string(struct aml *aml, const char *text)
{
	put_byte(aml, OP_STRING);
	put(aml, text, strlen(text) + 1);
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits and four hex digits, the bytes in big-endian order [19.6.34] */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t value = 0;

	if (strlen(id) != 7) {
		aml->failed = true;
		return;
	}
	for (unsigned i = 0; i < 3; i++)
		value |= (uint32_t)(id[i] - '@') << (26 - 5 * i);
	for (unsigned i = 0; i < 4; i++)
		value |= hex_digit(id[3 + i]) << (12 - 4 * i);
	aml_int(aml, __builtin_bswap32(value));
}

void aml_operator(struct aml *aml, enum aml_op op)
{
	put_byte(aml, op);
}

void aml_name(struct aml *aml, const char *name)
{
	put_byte(aml, OP_NAME);
	aml_path(aml, name);
}

/* ---- packages ---- */

static void begin(struct aml *aml, bool is_template)
{
	if (aml->depth == AML_DEPTH_MAX) {
		aml->failed = true;
		return;
	}
	aml->open[aml->depth++] =
		(struct aml_open){ .start = aml->bytes.size, .is_template = is_template };
}

/* PkgLength, which counts itself [20.2.4] */
static unsigned encode_length(uint8_t *out, size_t length)
{
	unsigned more = 0;

	if (length + 1 < 64) {
		out[0] = (uint8_t)(length + 1);
		return 1;
	}
	for (more = 1; more < 3 && length + 1 + more >= (size_t)1 << (4 + 8 * more);)
		more++;
	length += 1 + more;
	out[0] = (uint8_t)(more << 6 | (length & 15));
	for (unsigned i = 0; i < more; i++)
		out[1 + i] = (uint8_t)(length >> (4 + 8 * i));
	return 1 + more;
}

static void insert(struct aml *aml, size_t at, const uint8_t *bytes, size_t size)
{
	size_t behind = aml->bytes.size - at;
	uint8_t *place;

	put(aml, bytes, size); /* makes room */
	if (aml->failed)
		return;
	place = buf_bytes(&aml->bytes) + at;
	memmove(place + size, place, behind);
	memcpy(place, bytes, size);
}

void aml_end(struct aml *aml)
{
	uint8_t bytes[16];
	struct aml_open open;
	size_t length;
	unsigned n;

	if (aml->depth == 0)
		aml->failed = true;
	if (aml->failed)
		return;
	open = aml->open[--aml->depth];
	if (open.is_template) {
		put_byte(aml, RES_END);
		put_byte(aml, 0); /* no checksum */
		n = encode_int(bytes, aml->bytes.size - open.start);
		insert(aml, open.start, bytes, n);
	}
	length = aml->bytes.size - open.start;
	n = encode_length(bytes, length);
	insert(aml, open.start, bytes, n);
}

void aml_scope(struct aml *aml, const char *path)
{
	put_byte(aml, OP_SCOPE);
	begin(aml, false);
	aml_path(aml, path);
}

void aml_device(struct aml *aml, const char *name)
{
	put_byte(aml, OP_EXTENDED);
	put_byte(aml, OP_EXT_DEVICE);
	begin(aml, false);
	aml_path(aml, name);
}

void aml_method(struct aml *aml, const char *name, unsigned args, bool serialized)
{
	put_byte(aml, OP_METHOD);
	begin(aml, false);
	aml_path(aml, name);
	put_byte(aml, args | (serialized ? METHOD_SERIALIZED : 0));
}

void aml_package(struct aml *aml, uint8_t count)
{
	put_byte(aml, OP_PACKAGE);
	begin(aml, false);
	put_byte(aml, count);
}

void aml_if(struct aml *aml)
{
	put_byte(aml, OP_IF);
	begin(aml, false);
}

void aml_resources(struct aml *aml)
{
	put_byte(aml, OP_BUFFER);
	begin(aml, true);
}

/* ---- objects ---- */

void aml_processor(struct aml *aml, const char *name, uint8_t id)
{
	put_byte(aml, OP_EXTENDED);
	put_byte(aml, OP_EXT_PROCESSOR);
	begin(aml, false);
	aml_path(aml, name);
	put_byte(aml, id);
	put_le(aml, 0, 4); /* no throttling registers */
	put_byte(aml, 0);
	aml_end(aml);
}

void aml_pci_config_bytes(struct aml *aml, const char *region, uint8_t offset,
	const char *const *names, uint8_t count)
{
	put_byte(aml, OP_EXTENDED);
	put_byte(aml, OP_EXT_REGION);
	aml_path(aml, region);
	put_byte(aml, REGION_PCI_CONFIG);
	aml_int(aml, offset);
	aml_int(aml, count);
	put_byte(aml, OP_EXTENDED);
	put_byte(aml, OP_EXT_FIELD);
	begin(aml, false);
	aml_path(aml, region);
	put_byte(aml, FIELD_BYTE_ACCESS); /* no lock, the rest preserved */
	for (unsigned i = 0; i < count; i++) {
		aml_path(aml, names[i]);
		put_byte(aml, 8); /* bits */
	}
	aml_end(aml);
}

/* ---- resources ---- */

void aml_res_io(struct aml *aml, uint16_t port, uint8_t size)
{
	put_byte(aml, RES_IO);
	put_byte(aml, 1); /* decodes 16 bits */
	put_le(aml, port, 2);
	put_le(aml, port, 2);
	put_byte(aml, 1);
	put_byte(aml, size);
}

void aml_res_irq(struct aml *aml, unsigned irq)
{
	put_byte(aml, RES_IRQ);
	put_le(aml, UINT64_C(1) << irq, 2);
}

void aml_res_interrupts(struct aml *aml, const uint32_t *gsis, uint8_t count)
{
	put_byte(aml, RES_INTERRUPT);
	put_le(aml, 2 + 4u * count, 2);
	put_byte(aml, 0x09); /* consumer, level, active high, shared */
	put_byte(aml, count);
	for (unsigned i = 0; i < count; i++)
		put_le(aml, gsis[i], 4);
}

/* An address space descriptor [6.4.3.5] with fields of `width` bytes. */
static void put_window(struct aml *aml, unsigned width, unsigned type, unsigned flags,
	uint64_t first, uint64_t last)
{
	put_byte(aml,
		width == 2           ? RES_WORD_ADDRESS
			: width == 4 ? RES_DWORD_ADDRESS
				     : RES_QWORD_ADDRESS);
	put_le(aml, 3 + 5 * width, 2);
	put_byte(aml, type);
	put_byte(aml, RES_FIXED); /* produced, decoded positively */
	put_byte(aml, flags);
	put_le(aml, 0, width); /* granularity */
	put_le(aml, first, width);
	put_le(aml, last, width);
	put_le(aml, 0, width); /* translation */
	put_le(aml, last - first + 1, width);
}

void aml_res_bus_numbers(struct aml *aml, uint16_t first, uint16_t last)
{
	put_window(aml, 2, RES_BUS, 0, first, last);
}

void aml_res_io_window(struct aml *aml, uint16_t first, uint16_t last)
{
	put_window(aml, 2, RES_IO_RANGE, RES_ENTIRE_IO, first, last);
}

void aml_res_memory_window(struct aml *aml, uint32_t first, uint32_t last, bool cacheable)
{
	put_window(aml, 4, RES_MEMORY, RES_WRITABLE | (cacheable ? RES_CACHEABLE : 0), first, last);
}

void aml_res_memory_window64(struct aml *aml, uint64_t first, uint64_t last, bool cacheable)
{
	put_window(aml, 8, RES_MEMORY, RES_WRITABLE | (cacheable ? RES_CACHEABLE : 0), first, last);
}
