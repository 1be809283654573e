/* SPDX-License-Identifier: MIT */
/*
 * A 16550A serial port (National PC16550D data sheet, section 8). The line is as fast as the host:
 * a byte written is gone at once, and a burst from the host is followed by silence at once, so that
 * the character timeout is due as soon as fewer bytes than the trigger level are there.
 */
#include "hypervisor/uart.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/util.h"

enum uart_register {
	REG_DATA, /* RBR, THR; DLL when LCR_DLAB */
	REG_IER, /* DLM when LCR_DLAB */
	REG_IIR, /* FCR on writes */
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCR,
	REG_COUNT,
};

enum {
	IER_RECEIVE = 0x01,
	IER_TRANSMIT = 0x02,
	IER_LINE = 0x04,
	IER_MODEM = 0x08,
	IER_ALL = 0x0f,

	IIR_MODEM = 0x00,
	IIR_NONE = 0x01,
	IIR_TRANSMIT = 0x02,
	IIR_RECEIVE = 0x04,
	IIR_LINE = 0x06,
	IIR_TIMEOUT = 0x0c,
	IIR_FIFO = 0xc0,

	FCR_ENABLE = 0x01,
	FCR_CLEAR_RECEIVE = 0x02,
	FCR_CLEAR_TRANSMIT = 0x04,
	FCR_KEPT = 0xc9,

	LCR_DLAB = 0x80,

	MCR_DTR = 0x01,
	MCR_RTS = 0x02,
	MCR_OUT1 = 0x04,
	MCR_OUT2 = 0x08,
	MCR_LOOP = 0x10,
	MCR_ALL = 0x1f,

	LSR_DATA = 0x01,
	LSR_OVERRUN = 0x02,
	LSR_THR_EMPTY = 0x20,
	LSR_IDLE = 0x40,

	MSR_RI_ENDED = 0x04,
	MSR_DELTAS = 0x0f,
	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80,

	FIFO_SIZE = 16,
};

struct uart {
	struct pci_host *host;
	struct byte_port *far_end;
	struct bus_region region;
	uint32_t gsi;

	pthread_mutex_t lock;
	uint8_t fifo[FIFO_SIZE];
	unsigned fifo_start;
	unsigned fifo_count;
	uint16_t divisor;
	uint8_t ier, fcr, lcr, mcr, msr, scr;
	bool overrun;
	bool transmit_pending; /* the transmit interrupt has not been answered */
	bool refused; /* the far end waits for room */
	bool level;
};

static unsigned fifo_size(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned receive_trigger(const struct uart *uart)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return uart->fcr & FCR_ENABLE ? levels[uart->fcr >> 6] : 1;
}

/* The most urgent interrupt that is enabled and due (table 5 of the data sheet). */
static uint8_t interrupt_id(const struct uart *uart)
{
	if ((uart->ier & IER_LINE) && uart->overrun)
		return IIR_LINE;
	if ((uart->ier & IER_RECEIVE) && uart->fifo_count != 0)
		return uart->fifo_count >= receive_trigger(uart) ? IIR_RECEIVE : IIR_TIMEOUT;
	if ((uart->ier & IER_TRANSMIT) && uart->transmit_pending)
		return IIR_TRANSMIT;
	if ((uart->ier & IER_MODEM) && (uart->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(struct uart *uart)
{
	bool level = interrupt_id(uart) != IIR_NONE;

	if (level != uart->level) {
		uart->level = level;
		irq_set_gsi(uart->host->irq, uart->gsi, level);
	}
}

/* The modem's lines, with what changed since the guest last looked: looped back from MCR, else those
 * of a far end that is always there. */
static void update_modem_status(struct uart *uart)
{
	uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD;
	uint8_t changed;

	if (uart->mcr & MCR_LOOP)
		lines = (uint8_t)((uart->mcr & MCR_RTS ? MSR_CTS : 0) |
			(uart->mcr & MCR_DTR ? MSR_DSR : 0) | (uart->mcr & MCR_OUT1 ? MSR_RI : 0) |
			(uart->mcr & MCR_OUT2 ? MSR_DCD : 0));
	changed = (uart->msr ^ lines) & (uint8_t)~MSR_DELTAS;
	if (lines & MSR_RI)
		changed &= (uint8_t)~MSR_RI; /* only its end is told */
	uart->msr = (uint8_t)(lines | (uart->msr & MSR_DELTAS) | changed >> 4);
}

static void fifo_put(struct uart *uart, uint8_t byte)
{
	uart->fifo[(uart->fifo_start + uart->fifo_count) % FIFO_SIZE] = byte;
	uart->fifo_count++;
}

/* An empty FIFO gives the byte that it gave last, as the chip does. */
static uint8_t fifo_get(struct uart *uart)
{
	if (uart->fifo_count == 0)
		return uart->fifo[(uart->fifo_start + FIFO_SIZE - 1) % FIFO_SIZE];
	uart->fifo_count--;
	uart->fifo_start = (uart->fifo_start + 1) % FIFO_SIZE;
	return uart->fifo[(uart->fifo_start + FIFO_SIZE - 1) % FIFO_SIZE];
}

static uint8_t read_locked(struct uart *uart, enum uart_register reg)
{
	uint8_t value;

	switch (reg) {
	case REG_DATA:
		if (uart->lcr & LCR_DLAB)
			return (uint8_t)uart->divisor;
		return fifo_get(uart);
	case REG_IER: return uart->lcr & LCR_DLAB ? (uint8_t)(uart->divisor >> 8) : uart->ier;
	case REG_IIR:
		value = interrupt_id(uart);
		if (value == IIR_TRANSMIT)
			uart->transmit_pending = false;
		return (uint8_t)(value | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0));
	case REG_LCR: return uart->lcr;
	case REG_MCR: return uart->mcr;
	case REG_LSR:
		value = (uint8_t)(LSR_THR_EMPTY | LSR_IDLE | (uart->overrun ? LSR_OVERRUN : 0) |
			(uart->fifo_count != 0 ? LSR_DATA : 0));
		uart->overrun = false;
		return value;
	case REG_MSR:
		value = uart->msr;
		uart->msr &= (uint8_t)~MSR_DELTAS;
		return value;
	default: return uart->scr;
	}
}

/* Whether the far end waits for room that there is now; it is told without the lock. */
static bool take_refused(struct uart *uart)
{
	bool ready = uart->refused && !(uart->mcr & MCR_LOOP) && uart->fifo_count < fifo_size(uart);

	if (ready)
		uart->refused = false;
	return ready;
}

static uint64_t uart_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct uart *uart = container_of(region, struct uart, region);
	uint64_t value;
	bool ready;

	pthread_mutex_lock(&uart->lock);
	value = read_locked(uart, (enum uart_register)offset);
	update_irq(uart);
	ready = take_refused(uart);
	pthread_mutex_unlock(&uart->lock);
	if (ready && uart->far_end->ready)
		uart->far_end->ready(uart->far_end);
	return value;
}

static void write_fcr(struct uart *uart, uint8_t value)
{
	/* Switching the FIFOs on or off empties them. */
	if ((value ^ uart->fcr) & FCR_ENABLE)
		value |= FCR_CLEAR_RECEIVE | FCR_CLEAR_TRANSMIT;
	if (value & FCR_CLEAR_RECEIVE)
		uart->fifo_count = 0;
	if (value & FCR_CLEAR_TRANSMIT)
		uart->transmit_pending = true; /* it became empty */
	uart->fcr = value & FCR_KEPT;
}

/* Answers whether a byte is to be sent to the far end. */
static bool write_data(struct uart *uart, uint8_t value)
{
	if (uart->lcr & LCR_DLAB) {
		uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
		return false;
	}
	/* The line falls and rises again, as the interrupt controller takes edges. */
	uart->transmit_pending = false;
	update_irq(uart);
	uart->transmit_pending = true;
	if (!(uart->mcr & MCR_LOOP))
		return uart->far_end != NULL;
	if (uart->fifo_count < fifo_size(uart))
		fifo_put(uart, value);
	else
		uart->overrun = true;
	return false;
}

static void write_ier(struct uart *uart, uint8_t value)
{
	if (uart->lcr & LCR_DLAB) {
		uart->divisor = (uint16_t)((uart->divisor & 0x00ff) | value << 8);
		return;
	}
	if (~uart->ier & value & IER_TRANSMIT)
		uart->transmit_pending = true;
	uart->ier = value & IER_ALL;
}

/* Answers whether a byte is to be sent to the far end. */
static bool write_locked(struct uart *uart, enum uart_register reg, uint8_t value)
{
	switch (reg) {
	case REG_DATA: return write_data(uart, value);
	case REG_IER: write_ier(uart, value); break;
	case REG_IIR: write_fcr(uart, value); break;
	case REG_LCR: uart->lcr = value; break;
	case REG_MCR:
		uart->mcr = value & MCR_ALL;
		update_modem_status(uart);
		break;
	case REG_SCR: uart->scr = value; break;
	default: /* LSR and MSR are read-only */ break;
	}
	return false;
}

static void uart_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct uart *uart = container_of(region, struct uart, region);
	uint8_t byte = (uint8_t)value;
	bool send, ready;

	pthread_mutex_lock(&uart->lock);
	send = write_locked(uart, (enum uart_register)offset, byte);
	ready = take_refused(uart);
	if (!send)
		update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
	if (send) {
		/* Not under the lock, as the far end may hold its own while it calls receive. */
		uart->far_end->ops->write(uart->far_end, &byte, 1);
		pthread_mutex_lock(&uart->lock);
		update_irq(uart);
		pthread_mutex_unlock(&uart->lock);
	}
	if (ready && uart->far_end->ready)
		uart->far_end->ready(uart->far_end);
}

static size_t uart_receive(void *device, const uint8_t *bytes, size_t size)
{
	struct uart *uart = device;
	size_t taken = 0;

	pthread_mutex_lock(&uart->lock);
	if (!(uart->mcr & MCR_LOOP))
		while (taken < size && uart->fifo_count < fifo_size(uart))
			fifo_put(uart, bytes[taken++]);
	uart->refused = taken < size;
	update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
	return taken;
}

/* Bus accesses are split into bytes, each to its register. */
static uint64_t uart_bus_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= uart_read(region, offset + i, 1) << (8 * i);
	return value;
}

static void uart_bus_write(
	struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		uart_write(region, offset + i, value >> (8 * i) & 0xff, 1);
}

static const struct bus_ops uart_ops = { .read = uart_bus_read, .write = uart_bus_write };

static void reset_locked(struct uart *uart)
{
	uart->fifo_start = uart->fifo_count = 0;
	uart->divisor = 12; /* 9600 baud, which nobody counts */
	uart->ier = uart->fcr = uart->lcr = uart->mcr = uart->scr = 0;
	uart->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	uart->overrun = uart->transmit_pending = false;
	update_irq(uart);
}

int uart_create(struct uart **out, struct pci_host *host, uint16_t port, uint32_t gsi,
	struct byte_port *far_end)
{
	struct uart *uart = calloc(1, sizeof(*uart));
	int rc;

	if (!uart)
		return -ENOMEM;
	uart->host = host;
	uart->far_end = far_end;
	uart->gsi = gsi;
	uart->region = (struct bus_region){ .ops = &uart_ops, .name = "uart", .size = REG_COUNT };
	pthread_mutex_init(&uart->lock, NULL);
	reset_locked(uart);
	rc = bus_add(host->ports, &uart->region, port);
	if (rc != 0) {
		uart_destroy(uart);
		return rc;
	}
	if (far_end) {
		far_end->device = uart;
		far_end->receive = uart_receive;
	}
	*out = uart;
	return 0;
}

void uart_destroy(struct uart *uart)
{
	if (!uart)
		return;
	if (uart->far_end && uart->far_end->device == uart) {
		uart->far_end->receive = NULL;
		uart->far_end->device = NULL;
	}
	if (uart->region.mapped)
		bus_remove(uart->host->ports, &uart->region);
	pthread_mutex_destroy(&uart->lock);
	free(uart);
}

void uart_reset(struct uart *uart)
{
	bool ready;

	pthread_mutex_lock(&uart->lock);
	reset_locked(uart);
	ready = take_refused(uart);
	pthread_mutex_unlock(&uart->lock);
	if (ready && uart->far_end->ready)
		uart->far_end->ready(uart->far_end);
}
