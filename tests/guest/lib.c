/* SPDX-License-Identifier: MIT */
/* Memory and text functions, and the command line. */
#include "lib.h"

static const char *options = "";

void *memcpy(void *to, const void *from, size_t size)
{
	void *start = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return start;
}

void *memmove(void *to, const void *from, size_t size)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if ((uintptr_t)d - (uintptr_t)s >= size)
		return memcpy(to, from, size);
	while (size--) {
		d[size] = s[size];
		/* Keeps the compiler from making this a call of memmove. */
		__asm__ volatile("" : : : "memory");
	}
	return to;
}

void *memset(void *to, int value, size_t size)
{
	void *start = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
	return start;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const uint8_t *x = a, *y = b;

	for (; size; size--, x++, y++)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}

size_t strlen(const char *s)
{
	const char *end = s;

	while (*end) {
		end++;
		__asm__ volatile("" : : : "memory");
	}
	return end - s;
}

bool text_equal(const char *a, const char *b)
{
	size_t size = strlen(a);

	return size == strlen(b) && !memcmp(a, b, size);
}

struct output {
	char *text;
	size_t size, length;
};

static void output_char(struct output *out, char c)
{
	if (out->length + 1 < out->size)
		out->text[out->length++] = c;
}

static void output_number(struct output *out, uint64_t value, unsigned base, int width, char pad)
{
	char digits[24];
	int count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (width-- > count)
		output_char(out, pad);
	while (count)
		output_char(out, digits[--count]);
}

static void output_text(struct output *out, const char *text, int width)
{
	for (; *text; text++, width--)
		output_char(out, *text);
	while (width-- > 0)
		output_char(out, ' ');
}

size_t text_format_v(char *text, size_t size, const char *format, va_list args)
{
	struct output out = { text, size, 0 };

	for (; *format; format++) {
		char pad = ' ';
		int width = 0;
		bool wide = false;
		uint64_t value;

		if (*format != '%') {
			output_char(&out, *format);
			continue;
		}
		format++;
		if (*format == '0')
			pad = *format++;
		while (*format >= '0' && *format <= '9')
			width = width * 10 + *format++ - '0';
		if (*format == 'l') {
			wide = true;
			format++;
		}
		switch (*format) {
		case 's': output_text(&out, va_arg(args, const char *), width); break;
		case 'c': output_char(&out, va_arg(args, int)); break;
		case 'd': {
			int64_t number = wide ? va_arg(args, long) : va_arg(args, int);

			if (number < 0)
				output_char(&out, '-');
			value = number < 0 ? -(uint64_t)number : (uint64_t)number;
			output_number(&out, value, 10, width, pad);
			break;
		}
		case 'u':
		case 'x':
			value = wide ? va_arg(args, unsigned long) : va_arg(args, unsigned);
			output_number(&out, value, *format == 'x' ? 16 : 10, width, pad);
			break;
		default: output_char(&out, *format); break;
		}
	}
	if (size)
		text[out.length] = 0;
	return out.length;
}

size_t text_format(char *out, size_t size, const char *format, ...)
{
	va_list args;
	size_t length;

	va_start(args, format);
	length = text_format_v(out, size, format, args);
	va_end(args);
	return length;
}

void options_init(const char *command_line)
{
	options = command_line;
}

bool option_text(const char *name, char *out, size_t size)
{
	size_t name_length = strlen(name);
	const char *at = options;

	while (*at) {
		const char *end = at;
		size_t length;

		while (*end && *end != ' ')
			end++;
		length = end - at;
		if (length >= name_length && !memcmp(at, name, name_length) &&
			(length == name_length || at[name_length] == '=')) {
			size_t from = length == name_length ? length : name_length + 1;
			size_t count = length - from < size - 1 ? length - from : size - 1;

			memcpy(out, at + from, count);
			out[count] = 0;
			return true;
		}
		at = *end ? end + 1 : end;
	}
	return false;
}

uint32_t option_number(const char *name, uint32_t missing)
{
	char text[16];
	uint32_t value = 0;
	const char *at = text;

	if (!option_text(name, text, sizeof(text)))
		return missing;
	if (!*at)
		return 1;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + *at - '0';
	return value;
}
