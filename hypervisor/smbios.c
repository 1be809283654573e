/* SPDX-License-Identifier: MIT */
/* SMBIOS 2.8 (DMTF DSP0134 2.8). Numbers in brackets are its sections. */
#include "hypervisor/smbios.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "core/wire.h"

enum {
	ANCHOR_SIZE = 31,
	ANCHOR_INTERMEDIATE = 16, /* where the second part begins, with a checksum of its own */
	ANCHOR_TABLE_ADDRESS = 24,
	STRINGS_MAX = 4,

	HANDLE_MEMORY_ARRAY = 0x1000,
	NO_HANDLE = 0xffff,
	NO_ERROR_HANDLE = 0xfffe,
	STATE_SAFE = 3,
};

struct builder {
	struct wire_writer w;
	struct buf tables;
	size_t start; /* of the structure at hand */
	uint16_t count;
	size_t largest;
	const char *strings[STRINGS_MAX];
	unsigned string_count;
};

static void begin(struct builder *b, uint8_t type, uint8_t length, uint16_t handle)
{
	b->start = b->tables.size;
	b->string_count = 0;
	wire_write_u8(&b->w, type);
	wire_write_u8(&b->w, length);
	wire_write_u16(&b->w, handle);
}

/* Writes the number of a string; the text comes behind the structure [6.1.3] and must stay till
 * end(). */
static void write_string(struct builder *b, const char *text)
{
	b->strings[b->string_count++] = text;
	wire_write_u8(&b->w, (uint8_t)b->string_count);
}

static void end(struct builder *b)
{
	for (unsigned i = 0; i < b->string_count; i++)
		wire_write_bytes(&b->w, b->strings[i], strlen(b->strings[i]) + 1);
	if (b->string_count == 0)
		wire_write_u8(&b->w, 0);
	wire_write_u8(&b->w, 0);
	b->count++;
	b->largest = MAX(b->largest, b->tables.size - b->start);
}

/* BIOS information [7.1] */
static void add_firmware(struct builder *b)
{
	enum { NO_CHARACTERISTICS = 0x08, VIRTUAL_MACHINE = 0x10, TARGETED_CONTENT = 0x04 };

	begin(b, 0, 0x18, 0x0000);
	write_string(b, "spicebox");
	write_string(b, SPICEBOX_VERSION);
	wire_write_u16(&b->w, 0xe800);
	write_string(b, "01/01/2026");
	wire_write_u8(&b->w, 3); /* 256 KiB */
	wire_write_u64(&b->w, NO_CHARACTERISTICS);
	wire_write_u8(&b->w, 0);
	wire_write_u8(&b->w, VIRTUAL_MACHINE | TARGETED_CONTENT);
	wire_write_u32(&b->w, 0xffff0000); /* release 0.0, no embedded controller */
	end(b);
}

/* The UUID's first three fields are little-endian here [7.2.1]. */
static void write_uuid(struct builder *b, const uint8_t uuid[16])
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

	for (unsigned i = 0; i < 16; i++)
		wire_write_u8(&b->w, uuid[order[i]]);
}

/* System information [7.2] and enclosure [7.4] */
static void add_system(struct builder *b, const struct smbios_config *config)
{
	begin(b, 1, 0x1b, 0x0100);
	write_string(b, "spicebox");
	write_string(b, "spicebox PC (i440FX + PIIX)");
	write_string(b, SPICEBOX_VERSION);
	wire_write_u8(&b->w, 0); /* no serial number */
	write_uuid(b, config->uuid);
	wire_write_u8(&b->w, 6); /* woken by the power switch */
	wire_write_u8(&b->w, 0);
	write_string(b, "Virtual Machine");
	end(b);

	begin(b, 3, 0x16, 0x0300);
	write_string(b, "spicebox");
	wire_write_u8(&b->w, 1); /* type: other */
	write_string(b, SPICEBOX_VERSION);
	wire_write_zero(&b->w, 2);
	wire_write_u8(&b->w, STATE_SAFE); /* boot-up, power supply, thermal */
	wire_write_u8(&b->w, STATE_SAFE);
	wire_write_u8(&b->w, STATE_SAFE);
	wire_write_u8(&b->w, 2); /* security: unknown */
	wire_write_zero(&b->w, 9);
	end(b);
}

/* Processor information [7.5]: all vCPUs are cores of one socket. */
static void add_processor(struct builder *b, const struct smbios_config *config)
{
	uint8_t cores = (uint8_t)MIN(config->cpus, 255);

	begin(b, 4, 0x2a, 0x0400);
	write_string(b, "CPU 0");
	wire_write_u8(&b->w, 3); /* central processor */
	wire_write_u8(&b->w, 1); /* family: other */
	write_string(b, "spicebox");
	wire_write_u64(&b->w, 0);
	write_string(b, "virtual");
	wire_write_u8(&b->w, 0);
	wire_write_u16(&b->w, 0);
	wire_write_u16(&b->w, 2000); /* MHz, maximum and current; 0 would look broken */
	wire_write_u16(&b->w, 2000);
	wire_write_u8(&b->w, 0x41); /* populated, enabled */
	wire_write_u8(&b->w, 1); /* upgrade: other */
	for (unsigned i = 0; i < 3; i++)
		wire_write_u16(&b->w, NO_HANDLE); /* caches */
	wire_write_zero(&b->w, 3);
	wire_write_u8(&b->w, cores);
	wire_write_u8(&b->w, cores);
	wire_write_u8(&b->w, cores);
	wire_write_u16(&b->w, 0x0004); /* 64-bit capable */
	wire_write_u16(&b->w, 1);
	end(b);
}

/* Physical memory array [7.17] and one device in it [7.18] */
static void add_memory(struct builder *b, uint64_t bytes)
{
	enum { EXTENDED_KIB = 0x80000000, EXTENDED_MIB = 0x7fff };
	uint64_t kib = bytes >> 10, mib = bytes >> 20;

	begin(b, 16, 0x17, HANDLE_MEMORY_ARRAY);
	wire_write_u8(&b->w, 1); /* location: other */
	wire_write_u8(&b->w, 3); /* system memory */
	wire_write_u8(&b->w, 3); /* no error correction */
	wire_write_u32(&b->w, (uint32_t)MIN(kib, EXTENDED_KIB));
	wire_write_u16(&b->w, NO_ERROR_HANDLE);
	wire_write_u16(&b->w, 1);
	wire_write_u64(&b->w, kib >= EXTENDED_KIB ? bytes : 0);
	end(b);

	begin(b, 17, 0x28, 0x1100);
	wire_write_u16(&b->w, HANDLE_MEMORY_ARRAY);
	wire_write_u16(&b->w, NO_ERROR_HANDLE);
	wire_write_u32(&b->w, 0xffffffff); /* widths: unknown */
	wire_write_u16(&b->w, (uint16_t)MIN(mib, EXTENDED_MIB));
	wire_write_u8(&b->w, 9); /* DIMM */
	wire_write_u8(&b->w, 0);
	write_string(b, "DIMM 0");
	wire_write_u8(&b->w, 0);
	wire_write_u8(&b->w, 7); /* RAM */
	wire_write_u16(&b->w, 2);
	wire_write_u16(&b->w, 0);
	write_string(b, "spicebox");
	wire_write_zero(&b->w, 4);
	wire_write_u32(&b->w, mib >= EXTENDED_MIB ? (uint32_t)mib : 0);
	wire_write_zero(&b->w, 8);
	end(b);
}

/* Memory array mapped address [7.20] */
static void add_range(struct builder *b, uint16_t handle, uint64_t first, uint64_t size)
{
	uint64_t last = first + size - 1;
	bool extended = last >> 10 >= UINT32_MAX;

	if (size == 0)
		return;
	begin(b, 19, 0x1f, handle);
	wire_write_u32(&b->w, extended ? UINT32_MAX : (uint32_t)(first >> 10));
	wire_write_u32(&b->w, extended ? UINT32_MAX : (uint32_t)(last >> 10));
	wire_write_u16(&b->w, HANDLE_MEMORY_ARRAY);
	wire_write_u8(&b->w, 1);
	wire_write_u64(&b->w, extended ? first : 0);
	wire_write_u64(&b->w, extended ? last : 0);
	end(b);
}

static void add_tables(struct builder *b, const struct smbios_config *config)
{
	add_firmware(b);
	add_system(b, config);
	add_processor(b, config);
	add_memory(b, config->ram_below_4g + config->ram_above_4g);
	add_range(b, 0x1300, 0, config->ram_below_4g);
	add_range(b, 0x1301, UINT64_C(4) << 30, config->ram_above_4g);
	begin(b, 32, 0x0b, 0x2000); /* boot information [7.33]: no errors */
	wire_write_zero(&b->w, 7);
	end(b);
	begin(b, 127, 0x04, 0x7f00);
	end(b);
}

static uint8_t checksum(const uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

static void put_le(uint8_t *at, uint32_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* Entry point [5.2.1] */
static void make_anchor(const struct builder *b, uint32_t tables_gpa, uint8_t anchor[ANCHOR_SIZE])
{
	memset(anchor, 0, ANCHOR_SIZE);
	memcpy(anchor, "_SM_", 4);
	anchor[5] = ANCHOR_SIZE;
	anchor[6] = 2;
	anchor[7] = 8;
	put_le(anchor + 8, (uint32_t)b->largest, 2);
	memcpy(anchor + 16, "_DMI_", 5);
	put_le(anchor + 22, (uint32_t)b->tables.size, 2);
	put_le(anchor + ANCHOR_TABLE_ADDRESS, tables_gpa, 4);
	put_le(anchor + 28, b->count, 2);
	anchor[30] = 0x28;
	anchor[21] = checksum(anchor + ANCHOR_INTERMEDIATE, ANCHOR_SIZE - ANCHOR_INTERMEDIATE);
	anchor[4] = checksum(anchor, ANCHOR_SIZE);
}

static int build(struct builder *b, const struct smbios_config *config)
{
	*b = (struct builder){ 0 };
	wire_writer_init(&b->w, &b->tables);
	add_tables(b, config);
	return b->w.failed ? -ENOMEM : 0;
}

int smbios_add_to_fw_cfg(const struct smbios_config *config, struct fw_cfg *fw)
{
	struct builder b;
	uint8_t anchor[ANCHOR_SIZE];
	int rc = build(&b, config);

	if (rc == 0) {
		make_anchor(&b, 0, anchor);
		rc = fw_cfg_add_file(fw, "etc/smbios/smbios-anchor", anchor, sizeof(anchor));
	}
	if (rc == 0)
		rc = fw_cfg_add_file(
			fw, "etc/smbios/smbios-tables", buf_bytes(&b.tables), b.tables.size);
	buf_finish(&b.tables);
	return rc;
}

int smbios_write_to_guest(const struct smbios_config *config, struct guest_memory *memory,
	uint64_t anchor_gpa, uint64_t tables_gpa, uint64_t max_size)
{
	struct builder b;
	uint8_t anchor[ANCHOR_SIZE];
	int rc;

	if (anchor_gpa % 16 || tables_gpa > UINT32_MAX)
		return -EINVAL;
	rc = build(&b, config);
	if (rc == 0 && b.tables.size > max_size)
		rc = -ENOSPC;
	if (rc == 0) {
		make_anchor(&b, (uint32_t)tables_gpa, anchor);
		rc = guest_write(memory, tables_gpa, buf_bytes(&b.tables), b.tables.size);
	}
	if (rc == 0)
		rc = guest_write(memory, anchor_gpa, anchor, sizeof(anchor));
	buf_finish(&b.tables);
	return rc;
}
