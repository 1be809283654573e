/* SPDX-License-Identifier: MIT */
/* A vCPU's thread that does anything at any time, beside the loop: nothing waits for ever, and
 * after it all the device works. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/util.h"
#include "tests/qxl/fake_machine.h"

enum { STEPS = 30000 };

struct cpu {
	struct fake_machine *m;
	uint32_t seed;
	atomic_bool done;
};

static uint32_t random_word(struct cpu *cpu)
{
	cpu->seed ^= cpu->seed << 13;
	cpu->seed ^= cpu->seed >> 17;
	cpu->seed ^= cpu->seed << 5;
	return cpu->seed;
}

static void random_header(struct cpu *cpu)
{
	struct fake_machine *m = cpu->m;
	uint32_t r = random_word(cpu);

	m->header->update_area = (QXLRect){ .right = 64, .bottom = (int32_t)(r & 63) };
	m->header->update_surface = r >> 30;
	m->header->mem_slot = (QXLMemSlot){ m->ram_gpa, m->ram_gpa + (64u << 20) };
	m->header->create_surface = (QXLSurfaceCreate){ .width = 64,
		.height = 48,
		.stride = r & 1 ? 256 : -256,
		.format = SPICE_SURFACE_FMT_32_xRGB,
		.mem = (uint64_t)SLOT_RAM << 56 };
	m->header->monitors_config = (uint64_t)SLOT_RAM << 56 | (r & 0xfffff8);
	m->header->int_mask = r >> 8;
}

static void config_write(struct cpu *cpu, uint32_t offset, uint32_t value)
{
	bus_write(cpu->m->host.ports, 0xcf8, 0x80000000u | 2u << 11 | offset, 4);
	bus_write(cpu->m->host.ports, 0xcfc, value, 4);
}

static void random_step(struct cpu *cpu)
{
	struct fake_machine *m = cpu->m;
	uint32_t r = random_word(cpu), v = random_word(cpu);

	switch (r % 16) {
	case 0:
	case 1:
		random_header(cpu);
		guest_out(m, v % 32, v >> 8 & 3);
		break;
	case 2: guest_out(m, QXL_IO_CREATE_PRIMARY, 0); break;
	case 3: guest_out(m, QXL_IO_MEMSLOT_ADD_ASYNC, SLOT_RAM); break;
	case 4: guest_out(m, QXL_IO_UPDATE_IRQ, 0); break;
	case 5: m->header->cmd_ring.prod += v & 3; break;
	case 6: guest_out(m, QXL_IO_NOTIFY_CMD, 0); break;
	case 7: bus_write(m->host.ports, 0x3c0 + (v & 31), v >> 8, 1); break;
	case 8:
		bus_write(m->host.ports, 0x1ce, v & 15, 2);
		bus_write(m->host.ports, 0x1cf, v >> 16 & 0x3ff, 2);
		break;
	case 9: bus_write(m->host.mmio, 0xa0000 + (v & 0x1ffff), v, 1); break;
	case 10: bus_read(m->host.mmio, 0xa0000 + (v & 0x1ffff), 4); break;
	case 11: bus_write(m->host.mmio, m->ram_gpa + (v & 0xffffff), v, 4); break;
	case 12: bus_read(m->host.ports, 0x3c0 + (v & 31), 1); break;
	case 13: /* decoding off and on */
		if (v % 32 == 0) {
			config_write(cpu, 4, 0);
			config_write(cpu, 4, 7);
		}
		break;
	case 14:
		if (v % 64 == 0) {
			pci_bus_reset(m->bus);
			pci_bus_assign(m->bus, UINT64_C(1) << 32);
		}
		break;
	default: guest_out(m, QXL_IO_RESET, 0); break;
	}
}

static void *run_cpu(void *opaque)
{
	struct cpu *cpu = opaque;

	for (int i = 0; i < STEPS; i++)
		random_step(cpu);
	atomic_store(&cpu->done, true);
	return NULL;
}

static void test_anything_at_any_time(void **state)
{
	struct fake_machine m;
	struct cpu cpu = { .m = &m, .seed = 0x2545f491 };
	pthread_t thread;

	fake_machine_init(&m);
	assert_int_equal(pthread_create(&thread, NULL, run_cpu, &cpu), 0);
	while (!atomic_load(&cpu.done))
		loop_run_once(m.loop, 1);
	pthread_join(thread, NULL);
	fake_machine_run(&m);
	pci_bus_reset(m.bus);
	pci_bus_assign(m.bus, UINT64_C(1) << 32);
	fake_machine_run(&m);
	guest_start(&m, 64, 48);
	guest_push(&m, QXL_CMD_DRAW, guest_address(&m, guest_fill(&m, 0, 0, 0, 1, 1, 0x123456)));
	fake_machine_run(&m);
	assert_int_equal(*(uint32_t *)(void *)m.ram & 0xffffff, 0x123456);
	fake_machine_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_anything_at_any_time) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
