/* SPDX-License-Identifier: MIT */
/* The 16550A: FIFO and interrupts, loopback, and a far end that must not lose a byte. */
#include "hypervisor/uart.h"
#include "tests/hypervisor/legacy_fixture.h"

enum { DATA = 0x3f8, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct fixture {
	struct legacy_pc pc;
	struct uart *uart;
	struct byte_port far_end;
	uint8_t sent[64];
	size_t sent_count;
	unsigned ready;
	bool deaf;
};

static size_t far_write(struct byte_port *port, const uint8_t *bytes, size_t size)
{
	struct fixture *f = container_of(port, struct fixture, far_end);

	if (f->deaf || f->sent_count + size > sizeof(f->sent))
		return 0;
	memcpy(f->sent + f->sent_count, bytes, size);
	f->sent_count += size;
	return size;
}

static void far_ready(struct byte_port *port)
{
	container_of(port, struct fixture, far_end)->ready++;
}

static const struct byte_port_ops far_ops = { .write = far_write };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	legacy_init(&f->pc);
	f->far_end = (struct byte_port){ .ops = &far_ops, .ready = far_ready };
	assert_int_equal(
		uart_create(&f->uart, &f->pc.host, UART_COM1_PORT, UART_COM1_GSI, &f->far_end), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	uart_destroy(f->uart);
	assert_null(f->far_end.receive);
	legacy_finish(&f->pc);
	free(f);
	return 0;
}

static void test_transmit(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;

	assert_int_equal(in8(pc, LSR), 0x60);
	out8(pc, DATA, 'a');
	assert_int_equal(f->sent[0], 'a');
	assert_int_equal(pc->edges[4], 0);
	/* Enabling the interrupt raises it; reading IIR answers it; the next byte raises it anew. */
	out8(pc, IER, 0x02);
	assert_true(pc->line[4]);
	assert_int_equal(in8(pc, IIR), 0x02);
	assert_false(pc->line[4]);
	assert_int_equal(in8(pc, IIR), 0x01);
	out8(pc, DATA, 'b');
	assert_true(pc->line[4]);
	assert_int_equal(pc->edges[4], 2);
	/* A byte written before the interrupt is answered is an edge too. */
	out8(pc, DATA, 'c');
	assert_int_equal(pc->edges[4], 3);
	assert_memory_equal(f->sent, "abc", 3);
	f->deaf = true;
	out8(pc, DATA, 'd'); /* nobody takes it: dropped, the guest goes on */
	assert_int_equal(in8(pc, LSR), 0x60);
}

static void test_divisor(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;

	out8(pc, LCR, 0x83);
	bus_write(pc->host.ports, DATA, 0x0201, 2);
	assert_int_equal(bus_read(pc->host.ports, DATA, 2), 0x0201);
	out8(pc, LCR, 0x03);
	assert_int_equal(in8(pc, IER), 0);
	assert_int_equal(f->sent_count, 0);
	out8(pc, SCR, 0x5a);
	assert_int_equal(in8(pc, SCR), 0x5a);
	/* Crossing the end of the ports is not our business. */
	assert_int_equal(bus_read(pc->host.ports, SCR, 2), 0xff5a);
}

static void test_receive_without_loss(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;
	uint8_t bytes[40], got[40];
	size_t offered = 0, n = 0;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	/* Without the FIFO one byte at a time. */
	assert_int_equal(f->far_end.receive(f->uart, bytes, 2), 1);
	assert_int_equal(in8(pc, DATA), 0);
	assert_int_equal(f->ready, 1);
	offered = 1;
	got[n++] = 0;
	out8(pc, IIR, 0x01);
	assert_int_equal(in8(pc, IIR), 0xc1);
	while (n < sizeof(bytes)) {
		size_t taken =
			f->far_end.receive(f->uart, bytes + offered, sizeof(bytes) - offered);

		assert_true(taken <= 16);
		offered += taken;
		f->ready = 0;
		while (in8(pc, LSR) & 0x01)
			got[n++] = in8(pc, DATA);
		/* Told once, and only when something was refused. */
		assert_int_equal(f->ready, offered < sizeof(bytes));
	}
	assert_memory_equal(bytes, got, sizeof(bytes));
	assert_int_equal(in8(pc, LSR), 0x60); /* no overrun */
}

static void test_receive_interrupt(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;
	static const uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	out8(pc, IIR, 0x81); /* FIFO, trigger at 8 */
	out8(pc, IER, 0x01);
	f->far_end.receive(f->uart, bytes, 8);
	assert_true(pc->line[4]);
	assert_int_equal(in8(pc, IIR), 0xc4);
	assert_int_equal(in8(pc, DATA), 1);
	assert_int_equal(in8(pc, IIR), 0xcc); /* below the trigger: timeout */
	for (unsigned i = 1; i < 8; i++)
		assert_int_equal(in8(pc, DATA), bytes[i]);
	assert_false(pc->line[4]);
	assert_int_equal(in8(pc, IIR), 0xc1);
	/* Clearing the FIFO makes room for who waited. */
	assert_int_equal(f->far_end.receive(f->uart, bytes, 8), 8);
	assert_int_equal(f->far_end.receive(f->uart, bytes, 8), 8);
	assert_int_equal(f->far_end.receive(f->uart, bytes, 8), 0);
	out8(pc, IIR, 0x83);
	assert_int_equal(f->ready, 1);
	assert_int_equal(in8(pc, LSR), 0x60);
}

static void test_loopback(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;
	static const uint8_t byte = 9;

	assert_int_equal(in8(pc, MSR), 0xb0);
	out8(pc, IER, 0x08);
	out8(pc, MCR, 0x10);
	assert_true(pc->line[4]); /* all lines fell */
	assert_int_equal(in8(pc, IIR), 0x00);
	assert_int_equal(in8(pc, MSR), 0x0b);
	assert_false(pc->line[4]);
	out8(pc, MCR, 0x1a); /* RTS, OUT2 */
	assert_int_equal(in8(pc, MSR), 0x99);
	out8(pc, MCR, 0x14); /* OUT1 rises, which is not told */
	assert_int_equal(in8(pc, MSR) & 0x4f, 0x49);
	out8(pc, MCR, 0x10);
	assert_int_equal(in8(pc, MSR), 0x04);
	out8(pc, DATA, 0x55);
	assert_int_equal(f->sent_count, 0);
	assert_int_equal(in8(pc, LSR), 0x61);
	out8(pc, IER, 0x04);
	out8(pc, DATA, 0x66); /* there is no room: overrun */
	assert_int_equal(in8(pc, IIR), 0x06);
	assert_int_equal(in8(pc, LSR), 0x63);
	assert_int_equal(in8(pc, LSR), 0x61);
	assert_int_equal(f->far_end.receive(f->uart, &byte, 1), 0);
	assert_int_equal(in8(pc, DATA), 0x55);
	assert_int_equal(f->ready, 0);
	out8(pc, MCR, 0x00);
	assert_int_equal(f->ready, 1);
	uart_reset(f->uart);
	assert_int_equal(in8(pc, MSR), 0xb0);
	assert_false(pc->line[4]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_transmit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_divisor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive_without_loss, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loopback, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
