/* SPDX-License-Identifier: MIT */
/* What several subcommands use: plain errors, numbers, first lines of files. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "core/util.h"

#define CPUINFO_MAX (4u << 20)

void cmd_error(const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	fprintf(stderr, "spicebox: %s\n", line);
}

int cmd_misuse(const char *subcommand)
{
	fprintf(stderr, "Try 'spicebox %s --help'.\n", subcommand);
	return 2;
}

char *cmd_read_first_line(const char *path, size_t max, const char *what)
{
	uint8_t *data = NULL;
	size_t size, length;
	int err = file_read_all(path, 65536, &data, &size);

	if (err) {
		cmd_error("cannot read the %s from %s: %s", what, path, strerror(-err));
		return NULL;
	}
	length = strcspn((char *)data, "\r\n");
	if (length == 0 || length > max) {
		cmd_error("the first line of %s must be a %s of 1 to %zu bytes", path, what, max);
		free(data);
		return NULL;
	}
	data[length] = 0;
	return (char *)data;
}

int cmd_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	*value = strtoull(text, &end, 10);
	return errno || *end || *value < min || *value > max ? -EINVAL : 0;
}

int cmd_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "kmgt";
	const char *unit;
	uint64_t value;
	unsigned shift = 0;
	char *end;

	errno = 0;
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	value = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		unit = strchr(units, tolower((unsigned char)*end));
		if (!unit || (end[1] && strcmp(end + 1, "B") && strcmp(end + 1, "iB")))
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (value > UINT64_MAX >> shift)
		return -EINVAL;
	*bytes = value << shift;
	return 0;
}

bool cmd_host_cpu_has(const char *flag)
{
	char pattern[32];
	uint8_t *text = NULL;
	size_t size;
	bool found;

	if (file_read_all("/proc/cpuinfo", CPUINFO_MAX, &text, &size))
		return false;
	snprintf(pattern, sizeof(pattern), " %s ", flag);
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\n')
			text[i] = ' ';
	found = strstr((char *)text, pattern) != NULL;
	free(text);
	return found;
}
