/* SPDX-License-Identifier: MIT */
/* Loads an ELF with a PVH entry (Xen's x86/HVM direct boot ABI: docs/misc/pvh.pandoc and
 * xen/include/public/arch-x86/hvm/start_info.h). */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "core/wire.h"
#include "hypervisor/boot_internal.h"

#define NOTE_PHYS32_ENTRY 18
#define START_MAGIC       0x336ec578u
#define SEGMENTS_MAX      64u
#define MAP_OFFSET        64u /* of the memory map, behind the module list */

/* A program header of either class. */
struct segment {
	uint32_t type;
	uint64_t offset;
	uint64_t gpa;
	uint64_t file_size;
	uint64_t memory_size;
	uint64_t align;
};

struct elf_file {
	struct wire_reader reader;
	bool is_64bit;
	uint64_t table;
	uint16_t entry_size;
	uint16_t count;
};

static uint64_t read_word(struct elf_file *elf)
{
	return elf->is_64bit ? wire_read_u64(&elf->reader) : wire_read_u32(&elf->reader);
}

static int read_elf_header(struct elf_file *elf, const struct boot_config *config)
{
	struct wire_reader *reader = &elf->reader;
	uint16_t machine;
	uint8_t ident[EI_NIDENT];

	wire_reader_init(reader, config->kernel, config->kernel_size);
	wire_read_copy(reader, ident, sizeof(ident));
	elf->is_64bit = ident[EI_CLASS] == ELFCLASS64;
	wire_skip(reader, 2); /* type */
	machine = wire_read_u16(reader);
	wire_skip(reader, 4); /* version */
	read_word(elf); /* entry: of the other protocol */
	elf->table = read_word(elf);
	read_word(elf); /* section table */
	wire_skip(reader, 6); /* flags, header's size */
	elf->entry_size = wire_read_u16(reader);
	elf->count = wire_read_u16(reader);
	if (!wire_reader_ok(reader) || ident[EI_DATA] != ELFDATA2LSB ||
		(ident[EI_CLASS] != ELFCLASS64 && ident[EI_CLASS] != ELFCLASS32) ||
		(machine != EM_X86_64 && machine != EM_386) || elf->count > SEGMENTS_MAX ||
		elf->entry_size < (elf->is_64bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return -ENOEXEC;
	return 0;
}

static int read_segment(struct elf_file *elf, unsigned index, struct segment *segment)
{
	struct wire_reader *reader = &elf->reader;
	uint64_t at = elf->table + (uint64_t)index * elf->entry_size;

	if (elf->table > reader->size || at > reader->size)
		return -ENOEXEC;
	wire_seek(reader, (size_t)at);
	segment->type = wire_read_u32(reader);
	if (elf->is_64bit)
		wire_skip(reader, 4); /* flags */
	segment->offset = read_word(elf);
	read_word(elf); /* virtual address */
	segment->gpa = read_word(elf);
	segment->file_size = read_word(elf);
	segment->memory_size = read_word(elf);
	if (!elf->is_64bit)
		wire_skip(reader, 4);
	segment->align = read_word(elf);
	if (!wire_reader_ok(reader) || segment->offset > reader->size ||
		segment->file_size > reader->size - segment->offset)
		return -ENOEXEC;
	return 0;
}

/* Looks for Xen's note 18, whose content is the entry's physical address. */
static bool find_entry(struct elf_file *elf, const struct segment *segment, uint32_t *entry)
{
	struct wire_reader notes;
	size_t align = segment->align == 8 ? 8 : 4;

	wire_reader_init(&notes, elf->reader.data + segment->offset, (size_t)segment->file_size);
	while (wire_reader_left(&notes) >= 12) {
		uint32_t name_size = wire_read_u32(&notes), size = wire_read_u32(&notes);
		uint32_t type = wire_read_u32(&notes);
		const uint8_t *name = wire_read_bytes(&notes, name_size);
		const uint8_t *content;

		wire_seek(&notes, ALIGN_UP(notes.pos, align));
		content = wire_read_bytes(&notes, size);
		if (!content)
			return false;
		if (type == NOTE_PHYS32_ENTRY && name_size == 4 && memcmp(name, "Xen", 4) == 0 &&
			(size == 4 || size == 8)) {
			struct wire_reader value;

			wire_reader_init(&value, content, size);
			*entry = wire_read_u32(&value);
			return size == 4 || wire_read_u32(&value) == 0;
		}
		wire_seek(&notes, ALIGN_UP(notes.pos, align));
	}
	return false;
}

static int clear_memory(const struct boot_config *config, uint64_t gpa, uint64_t size)
{
	static const uint8_t zeros[4096];
	int err = 0;

	for (; !err && size > 0 && !config->ram_is_zero;) {
		size_t piece = (size_t)MIN(size, (uint64_t)sizeof(zeros));

		err = guest_write(config->memory, gpa, zeros, piece);
		gpa += piece;
		size -= piece;
	}
	return err;
}

static int load_segment(
	const struct boot_config *config, const struct segment *segment, char **error)
{
	uint64_t end = segment->gpa + segment->memory_size;
	int err;

	if (segment->memory_size < segment->file_size || end < segment->gpa)
		return boot_fail(error, -ENOEXEC, "the kernel's ELF is broken");
	if (segment->gpa < BOOT_HIGH_GPA)
		return boot_fail(error, -ENOEXEC, "the kernel's ELF wants memory below 1 MiB");
	if (end > config->tables_gpa)
		return boot_fail(error, -E2BIG,
			"the kernel needs at least %llu MiB of memory: give the machine more",
			(unsigned long long)(end >> 20) + 2);
	err = guest_write(config->memory, segment->gpa, config->kernel + segment->offset,
		(size_t)segment->file_size);
	if (!err)
		err = clear_memory(config, segment->gpa + segment->file_size,
			segment->memory_size - segment->file_size);
	return err;
}

static int load_segments(struct elf_file *elf, const struct boot_config *config, uint32_t *entry,
	uint64_t *end, char **error)
{
	bool found = false, loaded = false;

	for (unsigned i = 0; i < elf->count; i++) {
		struct segment segment;
		int err = read_segment(elf, i, &segment);

		if (err)
			return boot_fail(error, err, "the kernel's ELF is cut short or broken");
		if (segment.type == PT_NOTE)
			found = find_entry(elf, &segment, entry) || found;
		if (segment.type != PT_LOAD || segment.memory_size == 0)
			continue;
		err = load_segment(config, &segment, error);
		if (err)
			return err;
		*end = MAX(*end, segment.gpa + segment.memory_size);
		loaded = true;
	}
	if (!found || !loaded)
		return boot_fail(error, -ENOEXEC,
			"the kernel is an ELF without a PVH entry: give a bzImage, or an ELF built "
			"with CONFIG_PVH");
	return 0;
}

static void put_map(const struct boot_config *config, struct wire_writer *writer, unsigned *count)
{
	struct boot_map_entry map[BOOT_MAP_ENTRIES];

	*count = boot_memory_map(config, map);
	for (unsigned i = 0; i < *count; i++) {
		wire_write_u64(writer, map[i].gpa);
		wire_write_u64(writer, map[i].size);
		wire_write_u32(writer, map[i].type);
		wire_write_u32(writer, 0);
	}
}

/* hvm_start_info version 1, then at BOOT_MAP_GPA the module list and the memory map. */
static int put_start_info(const struct boot_config *config, uint64_t initrd_gpa)
{
	struct buf info = { 0 }, lists = { 0 };
	struct wire_writer writer;
	unsigned map_count;
	int err = -ENOMEM;

	wire_writer_init(&writer, &lists);
	wire_write_u64(&writer, initrd_gpa);
	wire_write_u64(&writer, config->initrd_size);
	wire_write_zero(&writer, MAP_OFFSET - 16);
	put_map(config, &writer, &map_count);
	if (writer.failed)
		goto out;
	wire_writer_init(&writer, &info);
	wire_write_u32(&writer, START_MAGIC);
	wire_write_u32(&writer, 1); /* version */
	wire_write_u32(&writer, 0); /* flags */
	wire_write_u32(&writer, config->initrd_size ? 1 : 0);
	wire_write_u64(&writer, config->initrd_size ? BOOT_MAP_GPA : 0);
	wire_write_u64(&writer, BOOT_CMDLINE_GPA);
	wire_write_u64(&writer, config->rsdp_gpa);
	wire_write_u64(&writer, BOOT_MAP_GPA + MAP_OFFSET);
	wire_write_u32(&writer, map_count);
	wire_write_u32(&writer, 0);
	if (writer.failed)
		goto out;
	err = guest_write(config->memory, BOOT_MAP_GPA, buf_bytes(&lists), lists.size);
	if (!err)
		err = guest_write(config->memory, BOOT_INFO_GPA, buf_bytes(&info), info.size);
out:
	buf_finish(&lists);
	buf_finish(&info);
	return err;
}

int boot_load_pvh(const struct boot_config *config, struct engine_start *start, char **error)
{
	struct elf_file elf = { 0 };
	uint64_t end = 0, initrd_gpa;
	int err = read_elf_header(&elf, config);

	if (err)
		return boot_fail(error, err,
			"the kernel is an ELF for another machine than x86, or is broken");
	err = load_segments(&elf, config, &start->eip, &end, error);
	if (!err)
		err = boot_put_initrd(config, end, config->tables_gpa, &initrd_gpa, error);
	if (!err)
		err = boot_put_cmdline(config, BOOT_CMDLINE_MAX, error);
	if (!err)
		err = put_start_info(config, initrd_gpa);
	start->ebx = BOOT_INFO_GPA;
	return err;
}
