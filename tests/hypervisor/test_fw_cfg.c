/* SPDX-License-Identifier: MIT */
/* fw_cfg by ports and by DMA, with descriptors of all kinds; and the debug port. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>

#include "hypervisor/debug_port.h"
#include "hypervisor/fw_cfg.h"
#include "tests/hypervisor/legacy_fixture.h"

enum {
	DESCRIPTOR = 0x1000,
	BUFFER = 0x2000,
	READ = 2,
	SKIP = 4,
	SELECT = 8,
	WRITE = 16,
	ERROR = 1
};

struct fixture {
	struct legacy_pc pc;
	struct fw_cfg *fw;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	legacy_init(&f->pc);
	assert_int_equal(fw_cfg_create(&f->fw, &f->pc.host), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fw_cfg_destroy(f->fw);
	legacy_finish(&f->pc);
	free(f);
	return 0;
}

static void select_key(struct fixture *f, uint16_t key)
{
	bus_write(f->pc.host.ports, 0x510, key, 2);
}

static void read_bytes(struct fixture *f, uint8_t *out, size_t size)
{
	for (size_t i = 0; i < size; i++)
		out[i] = in8(&f->pc, 0x511);
}

/* Runs one descriptor; the control word that the device leaves. */
static uint32_t dma_at(
	struct fixture *f, uint64_t gpa, uint32_t control, uint32_t length, uint64_t address)
{
	struct {
		uint32_t control;
		uint32_t length;
		uint64_t address;
	} access = { htobe32(control), htobe32(length), htobe64(address) };
	uint32_t result = 0;

	guest_write(f->pc.host.memory, gpa, &access, sizeof(access));
	bus_write(f->pc.host.ports, 0x514, htobe32((uint32_t)(gpa >> 32)), 4);
	bus_write(f->pc.host.ports, 0x518, htobe32((uint32_t)gpa), 4);
	guest_read(f->pc.host.memory, gpa, &result, sizeof(result));
	return be32toh(result);
}

static uint32_t dma(struct fixture *f, uint32_t control, uint32_t length, uint64_t address)
{
	return dma_at(f, DESCRIPTOR, control, length, address);
}

static void test_ports(void **state)
{
	struct fixture *f = *state;
	uint8_t got[8];

	read_bytes(f, got, 6);
	assert_memory_equal(got, "QEMU\0\0", 6); /* selected at reset; zeroes behind the end */
	select_key(f, FW_CFG_ID);
	read_bytes(f, got, 5);
	assert_memory_equal(got, "\3\0\0\0\0", 5);
	assert_int_equal(fw_cfg_add_u16(f->fw, FW_CFG_NB_CPUS, 0x1234), 0);
	assert_int_equal(fw_cfg_add_u32(f->fw, FW_CFG_IRQ0_OVERRIDE, 1), 0);
	select_key(f, FW_CFG_NB_CPUS | 0x4000); /* the write bit means nothing */
	read_bytes(f, got, 3);
	assert_memory_equal(got, "\x34\x12\0", 3);
	select_key(f, FW_CFG_IRQ0_OVERRIDE);
	assert_int_equal(in8(&f->pc, 0x511), 1);
	for (unsigned key = 0x60; key < 0x10000; key += 0x333) {
		select_key(f, (uint16_t)key);
		assert_int_equal(in8(&f->pc, 0x511), 0);
	}
	assert_int_equal(bus_read(f->pc.host.ports, 0x510, 2), 0);
	out8(&f->pc, 0x511, 0x55);
	fw_cfg_reset(f->fw);
	assert_int_equal(in8(&f->pc, 0x511), 'Q');
	assert_int_equal(bus_read(f->pc.host.ports, 0x514, 4), htobe32(0x51454d55));
	assert_int_equal(bus_read(f->pc.host.ports, 0x518, 4), htobe32(0x20434647));
}

static void test_directory(void **state)
{
	struct fixture *f = *state;
	char name[80];
	uint8_t got[4 + 64 * 64];

	assert_int_equal(fw_cfg_add_file(f->fw, "opt/b", "bb", 2), 0);
	assert_int_equal(fw_cfg_add_file(f->fw, "etc/a", "aaa", 3), 0);
	assert_int_equal(fw_cfg_add_file(f->fw, "opt/c", "c", 1), 0);
	assert_int_equal(fw_cfg_add_file(f->fw, "opt/b", "BBBB", 4), 0);
	select_key(f, FW_CFG_FILE_DIR);
	read_bytes(f, got, 4 + 3 * 64 + 1);
	assert_memory_equal(got, "\0\0\0\3\0\0\0\3\0\x20\0\0etc/a", 17);
	assert_memory_equal(got + 4 + 64, "\0\0\0\4\0\x21\0\0opt/b", 13);
	assert_memory_equal(got + 4 + 128, "\0\0\0\1\0\x22\0\0opt/c", 13);
	select_key(f, 0x21);
	read_bytes(f, got, 5);
	assert_memory_equal(got, "BBBB\0", 5);

	assert_int_equal(fw_cfg_add_file(f->fw, "", "", 0), -EINVAL);
	memset(name, 'x', sizeof(name));
	name[56] = '\0';
	assert_int_equal(fw_cfg_add_file(f->fw, name, "", 0), -EINVAL);
	name[55] = '\0';
	assert_int_equal(fw_cfg_add_file(f->fw, name, "", 0), 0);
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		assert_int_equal(fw_cfg_add_file(f->fw, name, name, 4), 0);
	}
	assert_int_equal(fw_cfg_add_file(f->fw, "one too many", "", 0), -ENOSPC);
	assert_int_equal(fw_cfg_add(f->fw, FW_CFG_FILE_FIRST, "", 0), -EINVAL);
	assert_int_equal(fw_cfg_add(f->fw, FW_CFG_LOCAL | 0x1000, "", 0), -EINVAL);
	select_key(f, FW_CFG_FILE_DIR);
	read_bytes(f, got, sizeof(got));
	assert_memory_equal(got, "\0\0\0\x40", 4);
	for (unsigned i = 1; i < 64; i++)
		assert_true(strcmp((char *)got + 12 + 64 * (i - 1), (char *)got + 12 + 64 * i) < 0);
}

static void test_dma(void **state)
{
	struct fixture *f = *state;
	uint8_t *ram = f->pc.ram.host;

	fw_cfg_add_borrowed(f->fw, FW_CFG_KERNEL_DATA, "0123456789", 10);
	memset(ram + BUFFER, 0xee, 64);
	assert_int_equal(dma(f, FW_CFG_KERNEL_DATA << 16 | SELECT | READ, 4, BUFFER), 0);
	assert_memory_equal(ram + BUFFER, "0123\xee", 5);
	assert_int_equal(dma(f, SKIP, 3, 0), 0);
	assert_int_equal(dma(f, READ, 6, BUFFER), 0);
	assert_memory_equal(ram + BUFFER, "789\0\0\0\xee", 7);
	/* Skipping far behind the end, over and over, stays behind it. */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(dma(f, SKIP, UINT32_MAX, 0), 0);
	assert_int_equal(dma(f, READ, 2, BUFFER), 0);
	assert_memory_equal(ram + BUFFER, "\0\0", 2);
	assert_int_equal(dma(f, FW_CFG_KERNEL_DATA << 16 | SELECT, 0, 0), 0);
	assert_int_equal(in8(&f->pc, 0x511), '0');
	/* An item that is not there is empty. */
	memset(ram + BUFFER, 0xee, 64);
	assert_int_equal(dma(f, 0x3fffu << 16 | SELECT | READ, 5000, BUFFER), 0);
	assert_int_equal(ram[BUFFER + 4999], 0);
	/* An 8-byte write does the same as two of 4. */
	dma(f, FW_CFG_KERNEL_DATA << 16 | SELECT, 0, 0);
	ram[DESCRIPTOR + 3] = READ;
	ram[DESCRIPTOR + 7] = 1;
	memcpy(ram + DESCRIPTOR + 8, (uint64_t[]){ htobe64(BUFFER) }, 8);
	bus_write(f->pc.host.ports, 0x514, htobe64(DESCRIPTOR), 8);
	assert_int_equal(ram[BUFFER], '0');
}

static void test_bad_dma(void **state)
{
	struct fixture *f = *state;

	fw_cfg_add_borrowed(f->fw, FW_CFG_KERNEL_DATA, "0123456789", 10);
	select_key(f, FW_CFG_KERNEL_DATA);
	assert_int_equal(dma(f, READ, 4, LEGACY_RAM - 2), ERROR);
	assert_int_equal(dma(f, READ, 4, UINT64_MAX - 1), ERROR);
	assert_int_equal(dma(f, READ, UINT32_MAX, BUFFER), ERROR);
	assert_int_equal(dma(f, SKIP, UINT32_MAX, UINT64_MAX), ERROR);
	/* The descriptor itself lies nowhere, or half outside, or over the buffer. */
	dma_at(f, LEGACY_RAM, READ, 4, BUFFER);
	dma_at(f, LEGACY_RAM - 8, READ, 4, BUFFER);
	dma_at(f, UINT64_MAX - 3, READ, 4, BUFFER);
	assert_int_equal(dma(f, FW_CFG_KERNEL_DATA << 16 | SELECT | READ, 10, DESCRIPTOR), 0);
	bus_write(f->pc.host.ports, 0x514, 0x12345678, 2); /* odd sizes do nothing */
	bus_write(f->pc.host.ports, 0x51a, 0x12345678, 2);
	assert_int_equal(bus_read(f->pc.host.ports, 0x515, 1), 'E');
}

static void test_write(void **state)
{
	struct fixture *f = *state;
	char got[8] = "";

	fw_cfg_add_file(f->fw, "opt/fixed", "abc", 3);
	fw_cfg_add_file_writable(f->fw, "opt/free", "abcdef", 6);
	memcpy(f->pc.ram.host + BUFFER, "XYZ", 3);
	assert_int_equal(dma(f, 0x20 << 16 | SELECT | WRITE, 3, BUFFER), ERROR);
	assert_int_equal(dma(f, FW_CFG_SIGNATURE << 16 | SELECT | WRITE, 3, BUFFER), ERROR);
	assert_int_equal(dma(f, 0x3fffu << 16 | SELECT | WRITE, 0, BUFFER), ERROR);
	assert_int_equal(dma(f, 0x21 << 16 | SELECT | WRITE, 3, BUFFER), 0);
	assert_int_equal(dma(f, WRITE, 4, BUFFER), ERROR);
	assert_int_equal(dma(f, WRITE, 3, LEGACY_RAM), ERROR);
	assert_int_equal(dma(f, SKIP, 1, 0), 0);
	assert_int_equal(dma(f, WRITE, 1, BUFFER), 0);
	assert_int_equal(fw_cfg_file_read(f->fw, "opt/free", 0, got, sizeof(got)), 6);
	assert_string_equal(got, "XYZdXf");
	assert_int_equal(fw_cfg_file_read(f->fw, "opt/free", 5, got, 8), 1);
	assert_int_equal(fw_cfg_file_read(f->fw, "opt/free", 50, got, 8), 0);
	assert_int_equal(fw_cfg_file_read(f->fw, "opt/none", 0, got, 8), -ENOENT);
	assert_int_equal(fw_cfg_file_read(f->fw, "opt/fixed", 0, got, 8), 3);
	assert_memory_equal(got, "abc", 3);
}

struct listener {
	struct byte_port port;
	char text[16];
	size_t used;
};

static size_t listen(struct byte_port *port, const uint8_t *bytes, size_t size)
{
	struct listener *l = container_of(port, struct listener, port);

	l->text[l->used++] = (char)bytes[0];
	return size;
}

static void test_debug_port(void **state)
{
	struct fixture *f = *state;
	static const struct byte_port_ops ops = { .write = listen };
	struct listener l = { .port.ops = &ops };
	struct debug_port *port;

	assert_int_equal(in8(&f->pc, 0x402), 0xff);
	assert_int_equal(debug_port_create(&port, &f->pc.host, &l.port), 0);
	assert_int_equal(in8(&f->pc, 0x402), 0xe9);
	out8(&f->pc, 0x402, 'h');
	out8(&f->pc, 0x402, 'i');
	assert_string_equal(l.text, "hi");
	debug_port_destroy(port);
	/* Without a listener lines go to the log, however long they are. */
	assert_int_equal(debug_port_create(&port, &f->pc.host, NULL), 0);
	for (unsigned i = 0; i < 1000; i++)
		out8(&f->pc, 0x402, (uint8_t)(i % 256 == '\n' ? 'x' : i));
	debug_port_destroy(port);
	assert_int_equal(in8(&f->pc, 0x402), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dma, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_dma, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_debug_port, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
