/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables (ACPI 6.x section 5.2; FADT revision 3 as of ACPI 2.0). They are laid out once, with
 * notes of what depends on their place: pointers and checksums. The notes become commands for the
 * firmware (QEMU's table loader), or are carried out here when there is no firmware.
 */
#include "hypervisor/acpi_tables.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "core/wire.h"
#include "hypervisor/acpi_internal.h"
#include "hypervisor/pm.h"
#include "hypervisor/rtc.h"

enum {
	HEADER_SIZE = 36,
	HEADER_LENGTH = 4, /* offsets in a table's header */
	HEADER_CHECKSUM = 9,
	FACS_SIZE = 64,
	FACS_ALIGN = 64,
	RSDP_SIZE = 36,
	RSDP_V1_SIZE = 20,
	RSDP_CHECKSUM = 8,
	RSDP_RSDT = 16,
	RSDP_XSDT = 24,
	RSDP_CHECKSUM2 = 32,
	RSDP_ALIGN = 16,
	FADT_FACS = 36,
	FADT_DSDT = 40,
	FADT_X_DSDT = 140,

	LOCAL_APIC_BASE = 0xfee00000,
	IO_APIC_BASE = 0xfec00000,

	RESET_PORT = 0xcf9,
	RESET_VALUE = 0x06,

	POINTERS_MAX = 16,
	SUMS_MAX = 8,

	/* table loader commands */
	COMMAND_ALLOCATE = 1,
	COMMAND_POINTER = 2,
	COMMAND_CHECKSUM = 3,
	COMMAND_SIZE = 128,
	ZONE_HIGH = 1,
	ZONE_F_SEGMENT = 2,
};

/* Base address of the 64-bit PCI window: aligned to this, for BARs of up to its size. */
#define WINDOW64_ALIGN (UINT64_C(64) << 30)
#define WINDOW64_END   (UINT64_C(1) << 39) /* what every CPU with long mode addresses */

static const char tables_file[] = "etc/acpi/tables";
static const char rsdp_file[] = "etc/acpi/rsdp";

/* A field that holds an offset in the tables, to which their address is to be added. */
struct pointer {
	bool in_rsdp;
	uint32_t offset;
	uint8_t size;
};

/* A byte that makes the bytes from start to start + length sum up to zero. */
struct checksum {
	bool in_rsdp;
	uint32_t offset;
	uint32_t start;
	uint32_t length;
};

struct layout {
	struct buf tables;
	uint8_t rsdp[RSDP_SIZE];
	struct pointer pointers[POINTERS_MAX]; /* in the order in which they are to be filled */
	unsigned pointer_count;
	struct checksum sums[SUMS_MAX];
	unsigned sum_count;
};

void acpi_config_init(
	struct acpi_config *config, uint32_t cpus, uint64_t ram_below_4g, uint64_t ram_above_4g)
{
	uint64_t base = ALIGN_UP((UINT64_C(4) << 30) + ram_above_4g, WINDOW64_ALIGN);

	*config = (struct acpi_config){
		.cpus = cpus,
		.ram_below_4g = ram_below_4g,
		.ram_above_4g = ram_above_4g,
		.pci_window64 = base,
		.pci_window64_size = base < WINDOW64_END ? WINDOW64_END - base : WINDOW64_ALIGN,
	};
}

/* ---- layout ---- */

static void note_pointer(struct layout *layout, bool in_rsdp, size_t offset, uint8_t size)
{
	layout->pointers[layout->pointer_count++] =
		(struct pointer){ .in_rsdp = in_rsdp, .offset = (uint32_t)offset, .size = size };
}

static void note_sum(
	struct layout *layout, bool in_rsdp, size_t offset, size_t start, size_t length)
{
	layout->sums[layout->sum_count++] = (struct checksum){ .in_rsdp = in_rsdp,
		.offset = (uint32_t)offset,
		.start = (uint32_t)start,
		.length = (uint32_t)length };
}

/* Writes a table's header [5.2.6]; its length comes with end_table(). Returns where it starts. */
static size_t begin_table(struct wire_writer *w, const char *signature, uint8_t revision)
{
	size_t start = w->buf->size;

	wire_write_bytes(w, signature, 4);
	wire_write_u32(w, 0);
	wire_write_u8(w, revision);
	wire_write_u8(w, 0);
	wire_write_bytes(w, "SPICEB", 6);
	wire_write_bytes(w, "SPICEBOX", 8);
	wire_write_u32(w, 1);
	wire_write_bytes(w, "SBOX", 4);
	wire_write_u32(w, 1);
	return start;
}

static void end_table(struct layout *layout, struct wire_writer *w, size_t start)
{
	size_t length = w->buf->size - start;

	wire_patch_u32(w, start + HEADER_LENGTH, (uint32_t)length);
	note_sum(layout, false, start + HEADER_CHECKSUM, start, length);
	wire_write_zero(w, ALIGN_UP(w->buf->size, (size_t)8) - w->buf->size);
}

/* Firmware ACPI control structure [5.2.10]; first, as it must be aligned. */
static void add_facs(struct wire_writer *w)
{
	wire_write_bytes(w, "FACS", 4);
	wire_write_u32(w, FACS_SIZE);
	wire_write_zero(w, FACS_SIZE - 8 - 32);
	wire_write_u8(w, 1); /* version */
	wire_write_zero(w, 31);
}

static void add_dsdt(struct layout *layout, struct wire_writer *w, const struct acpi_config *config)
{
	size_t start = begin_table(w, "DSDT", 2);

	if (acpi_dsdt_append(config, w->buf) != 0)
		w->failed = true;
	end_table(layout, w, start);
}

/* Generic address structure [5.2.3.2] in I/O space. */
static void write_port(struct wire_writer *w, uint8_t bits, uint8_t access, uint64_t port)
{
	wire_write_u8(w, 1);
	wire_write_u8(w, bits);
	wire_write_u8(w, 0);
	wire_write_u8(w, access); /* 1 byte, 2 word, 3 dword */
	wire_write_u64(w, port);
}

static uint32_t fadt_flags(const struct acpi_config *config)
{
	enum {
		WBINVD = 1 << 0,
		PROC_C1 = 1 << 2,
		NO_SLEEP_BUTTON = 1 << 5,
		NO_RTC_WAKE = 1 << 6,
		RESET_REGISTER = 1 << 10,
		FORCE_APIC_CLUSTER = 1 << 18,
	};

	return WBINVD | PROC_C1 | NO_SLEEP_BUTTON | NO_RTC_WAKE | RESET_REGISTER |
		(config->cpus > 8 ? FORCE_APIC_CLUSTER : 0);
}

/* The power management blocks, in their 32-bit form. */
static void write_fadt_blocks(struct wire_writer *w)
{
	wire_write_u32(w, PM_BASE + PM_EVENT_OFFSET);
	wire_write_u32(w, 0);
	wire_write_u32(w, PM_BASE + PM_CONTROL_OFFSET);
	wire_write_u32(w, 0);
	wire_write_u32(w, 0); /* PM2 control */
	wire_write_u32(w, PM_BASE + PM_TIMER_OFFSET);
	wire_write_u32(w, PM_GPE0_BASE);
	wire_write_u32(w, 0);
	wire_write_u8(
		w, 4); /* lengths: PM1 event, PM1 control, PM2 control, PM timer, GPE0, GPE1 */
	wire_write_u8(w, 2);
	wire_write_u8(w, 0);
	wire_write_u8(w, 4);
	wire_write_u8(w, PM_GPE0_SIZE);
	wire_write_u8(w, 0);
	wire_write_u8(w, 0); /* GPE1's base */
}

static void write_fadt_extended_blocks(struct wire_writer *w)
{
	write_port(w, 32, 2, PM_BASE + PM_EVENT_OFFSET);
	wire_write_zero(w, 12);
	write_port(w, 16, 2, PM_BASE + PM_CONTROL_OFFSET);
	wire_write_zero(w, 12);
	wire_write_zero(w, 12);
	write_port(w, 32, 3, PM_BASE + PM_TIMER_OFFSET);
	write_port(w, PM_GPE0_SIZE * 8, 1, PM_GPE0_BASE);
	wire_write_zero(w, 12);
}

/* Fixed ACPI description table [5.2.9]. Returns where it starts. */
static size_t add_fadt(struct layout *layout, struct wire_writer *w,
	const struct acpi_config *config, uint32_t facs, uint32_t dsdt)
{
	enum { LEGACY_DEVICES = 1, HAS_8042 = 2 };
	size_t start = begin_table(w, "FACP", 3);

	wire_write_u32(w, facs);
	wire_write_u32(w, dsdt);
	wire_write_u8(w, 0);
	wire_write_u8(w, 1); /* preferred profile: desktop */
	wire_write_u16(w, PM_SCI_GSI);
	wire_write_u32(w, PM_SMI_PORT);
	wire_write_u8(w, PM_ACPI_ENABLE);
	wire_write_u8(w, PM_ACPI_DISABLE);
	wire_write_u8(w, 0); /* no S4BIOS */
	wire_write_u8(w, 0); /* no P-states by SMI */
	write_fadt_blocks(w);
	wire_write_u8(w, 0); /* no C-states by SMI */
	wire_write_u16(w, 0xfff); /* C2, C3: too slow to exist */
	wire_write_u16(w, 0xfff);
	wire_write_u16(w, 0); /* WBINVD flushes: no flush sizes */
	wire_write_u16(w, 0);
	wire_write_u8(w, 0); /* no duty cycle */
	wire_write_u8(w, 0);
	wire_write_u8(w, 0); /* no day or month alarm */
	wire_write_u8(w, 0);
	wire_write_u8(w, RTC_CENTURY);
	wire_write_u16(w, LEGACY_DEVICES | HAS_8042);
	wire_write_u8(w, 0);
	wire_write_u32(w, fadt_flags(config));
	write_port(w, 8, 1, RESET_PORT);
	wire_write_u8(w, RESET_VALUE);
	wire_write_zero(w, 3);
	wire_write_u64(w, 0); /* the FACS is below 4 GiB */
	wire_write_u64(w, dsdt);
	write_fadt_extended_blocks(w);
	note_pointer(layout, false, start + FADT_FACS, 4);
	note_pointer(layout, false, start + FADT_DSDT, 4);
	note_pointer(layout, false, start + FADT_X_DSDT, 8);
	end_table(layout, w, start);
	return start;
}

static void write_override(struct wire_writer *w, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	wire_write_u8(w, 2);
	wire_write_u8(w, 10);
	wire_write_u8(w, 0); /* ISA */
	wire_write_u8(w, irq);
	wire_write_u32(w, gsi);
	wire_write_u16(w, flags);
}

/* Multiple APIC description table [5.2.12]. Returns where it starts. */
static size_t add_madt(
	struct layout *layout, struct wire_writer *w, const struct acpi_config *config)
{
	enum { LEVEL_ACTIVE_HIGH = 0x0d, PC_COMPATIBLE = 1 };
	/* What PCI links and the SCI may use: level-triggered, unlike other ISA lines. */
	static const uint8_t level[] = { 5, PM_SCI_GSI, 10, 11 };
	size_t start = begin_table(w, "APIC", 1);

	wire_write_u32(w, LOCAL_APIC_BASE);
	wire_write_u32(w, PC_COMPATIBLE);
	for (uint32_t i = 0; i < config->cpus && i < UINT8_MAX; i++) {
		wire_write_u8(w, 0);
		wire_write_u8(w, 8);
		wire_write_u8(w, (uint8_t)i); /* processor's id in the DSDT, local APIC's id */
		wire_write_u8(w, (uint8_t)i);
		wire_write_u32(w, 1); /* enabled */
	}
	wire_write_u8(w, 1); /* I/O APIC 0 */
	wire_write_u8(w, 12);
	wire_write_u16(w, 0);
	wire_write_u32(w, IO_APIC_BASE);
	wire_write_u32(w, 0);
	write_override(w, 0, 2, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(level); i++)
		write_override(w, level[i], level[i], LEVEL_ACTIVE_HIGH);
	wire_write_u8(w, 4); /* NMI at LINT1 of all processors */
	wire_write_u8(w, 6);
	wire_write_u8(w, 0xff);
	wire_write_u16(w, 0);
	wire_write_u8(w, 1);
	end_table(layout, w, start);
	return start;
}

/* RSDT or XSDT [5.2.7, 5.2.8]: pointers of `width` bytes to the other tables. */
static size_t add_root(struct layout *layout, struct wire_writer *w, const char *signature,
	uint8_t width, const size_t *tables, unsigned count)
{
	size_t start = begin_table(w, signature, 1);

	for (unsigned i = 0; i < count; i++) {
		note_pointer(layout, false, w->buf->size, width);
		wire_write_u32(w, (uint32_t)tables[i]);
		wire_write_zero(w, width - 4);
	}
	end_table(layout, w, start);
	return start;
}

static void put_le(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* Root system description pointer [5.2.5]. */
static void make_rsdp(struct layout *layout, size_t rsdt, size_t xsdt)
{
	uint8_t *rsdp = layout->rsdp;

	memset(rsdp, 0, RSDP_SIZE);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "SPICEB", 6);
	rsdp[15] = 2; /* revision */
	put_le(rsdp + RSDP_RSDT, rsdt, 4);
	put_le(rsdp + 20, RSDP_SIZE, 4);
	put_le(rsdp + RSDP_XSDT, xsdt, 8);
	note_pointer(layout, true, RSDP_RSDT, 4);
	note_pointer(layout, true, RSDP_XSDT, 8);
	note_sum(layout, true, RSDP_CHECKSUM, 0, RSDP_V1_SIZE);
	note_sum(layout, true, RSDP_CHECKSUM2, 0, RSDP_SIZE);
}

static int layout_make(struct layout *layout, const struct acpi_config *config)
{
	struct wire_writer w;
	size_t dsdt, tables[2], rsdt, xsdt;

	*layout = (struct layout){ 0 };
	wire_writer_init(&w, &layout->tables);
	add_facs(&w);
	dsdt = layout->tables.size;
	add_dsdt(layout, &w, config);
	tables[0] = add_fadt(layout, &w, config, 0, (uint32_t)dsdt);
	tables[1] = add_madt(layout, &w, config);
	rsdt = add_root(layout, &w, "RSDT", 4, tables, ARRAY_SIZE(tables));
	xsdt = add_root(layout, &w, "XSDT", 8, tables, ARRAY_SIZE(tables));
	make_rsdp(layout, rsdt, xsdt);
	return w.failed ? -ENOMEM : 0;
}

/* ---- for the firmware ---- */

static void write_file_name(struct wire_writer *w, bool in_rsdp)
{
	const char *name = in_rsdp ? rsdp_file : tables_file;

	wire_write_bytes(w, name, strlen(name));
	wire_write_zero(w, FW_CFG_FILE_NAME_SIZE - strlen(name));
}

static void end_command(struct wire_writer *w)
{
	wire_write_zero(w, ALIGN_UP(w->buf->size, (size_t)COMMAND_SIZE) - w->buf->size);
}

static void write_allocate(struct wire_writer *w, bool rsdp, uint32_t align, uint8_t zone)
{
	wire_write_u32(w, COMMAND_ALLOCATE);
	write_file_name(w, rsdp);
	wire_write_u32(w, align);
	wire_write_u8(w, zone);
	end_command(w);
}

static int write_commands(const struct layout *layout, struct buf *out)
{
	struct wire_writer w;

	wire_writer_init(&w, out);
	write_allocate(&w, true, RSDP_ALIGN, ZONE_F_SEGMENT);
	write_allocate(&w, false, FACS_ALIGN, ZONE_HIGH);
	for (unsigned i = 0; i < layout->pointer_count; i++) {
		wire_write_u32(&w, COMMAND_POINTER);
		write_file_name(&w, layout->pointers[i].in_rsdp);
		write_file_name(&w, false);
		wire_write_u32(&w, layout->pointers[i].offset);
		wire_write_u8(&w, layout->pointers[i].size);
		end_command(&w);
	}
	for (unsigned i = 0; i < layout->sum_count; i++) {
		wire_write_u32(&w, COMMAND_CHECKSUM);
		write_file_name(&w, layout->sums[i].in_rsdp);
		wire_write_u32(&w, layout->sums[i].offset);
		wire_write_u32(&w, layout->sums[i].start);
		wire_write_u32(&w, layout->sums[i].length);
		end_command(&w);
	}
	return w.failed ? -ENOMEM : 0;
}

int acpi_add_to_fw_cfg(const struct acpi_config *config, struct fw_cfg *fw)
{
	struct layout layout;
	struct buf commands = { 0 };
	int rc = layout_make(&layout, config);

	if (rc == 0)
		rc = write_commands(&layout, &commands);
	if (rc == 0)
		rc = fw_cfg_add_file(
			fw, tables_file, buf_bytes(&layout.tables), layout.tables.size);
	if (rc == 0)
		rc = fw_cfg_add_file(fw, rsdp_file, layout.rsdp, RSDP_SIZE);
	if (rc == 0)
		rc = fw_cfg_add_file(fw, "etc/table-loader", buf_bytes(&commands), commands.size);
	buf_finish(&layout.tables);
	buf_finish(&commands);
	return rc;
}

/* ---- without firmware ---- */

static void carry_out(struct layout *layout, uint64_t tables_gpa)
{
	for (unsigned i = 0; i < layout->pointer_count; i++) {
		const struct pointer *pointer = &layout->pointers[i];
		uint8_t *at = (pointer->in_rsdp ? layout->rsdp : buf_bytes(&layout->tables)) +
			pointer->offset;
		uint32_t offset;

		memcpy(&offset, at, sizeof(offset));
		put_le(at, tables_gpa + le32toh(offset), pointer->size);
	}
	for (unsigned i = 0; i < layout->sum_count; i++) {
		const struct checksum *sum = &layout->sums[i];
		uint8_t *bytes = sum->in_rsdp ? layout->rsdp : buf_bytes(&layout->tables);
		uint8_t total = 0;

		for (uint32_t j = 0; j < sum->length; j++)
			total = (uint8_t)(total + bytes[sum->start + j]);
		bytes[sum->offset] = (uint8_t)(bytes[sum->offset] - total);
	}
}

int acpi_write_to_guest(const struct acpi_config *config, struct guest_memory *memory,
	uint64_t tables_gpa, uint64_t max_size, uint64_t rsdp_gpa)
{
	struct layout layout;
	int rc;

	if (tables_gpa % FACS_ALIGN || rsdp_gpa % RSDP_ALIGN)
		return -EINVAL;
	rc = layout_make(&layout, config);
	if (rc == 0 && layout.tables.size > max_size)
		rc = -ENOSPC;
	if (rc == 0 && tables_gpa + layout.tables.size > UINT64_C(1) << 32)
		rc = -EINVAL;
	if (rc == 0) {
		carry_out(&layout, tables_gpa);
		rc = guest_write(memory, tables_gpa, buf_bytes(&layout.tables), layout.tables.size);
	}
	if (rc == 0)
		rc = guest_write(memory, rsdp_gpa, layout.rsdp, RSDP_SIZE);
	buf_finish(&layout.tables);
	return rc;
}
