/* SPDX-License-Identifier: MIT */
/* The log: a 16550 on COM1, written in FIFO-sized pieces. */
#include "cpu.h"
#include "lib.h"

#define COM1 0x3f8

enum { UART_DATA, UART_IER, UART_FCR, UART_LCR, UART_MCR, UART_LSR };

void log_init(void)
{
	port_out8(COM1 + UART_IER, 0);
	port_out8(COM1 + UART_LCR, 0x80);
	port_out16(COM1 + UART_DATA, 1); /* divisor 1: 115200 */
	port_out8(COM1 + UART_LCR, 0x03);
	port_out8(COM1 + UART_FCR, 0x07);
	port_out8(COM1 + UART_MCR, 0x03);
}

static void log_bytes(const char *text, size_t size)
{
	while (size) {
		size_t piece = size < 16 ? size : 16;
		unsigned tries = 10000;

		/* The FIFO is empty when the holding register is; a dead port does not hold us. */
		while (!(port_in8(COM1 + UART_LSR) & 0x20) && tries)
			tries--;
		port_write(COM1 + UART_DATA, text, piece);
		text += piece;
		size -= piece;
	}
}

static void log_line_v(const char *format, va_list args)
{
	char line[256];
	size_t length = text_format_v(line, sizeof(line) - 2, format, args);

	line[length++] = '\r';
	line[length++] = '\n';
	log_bytes(line, length);
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line_v(format, args);
	va_end(args);
}

void guest_panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line_v(format, args);
	va_end(args);
	for (;;)
		cpu_idle();
}
