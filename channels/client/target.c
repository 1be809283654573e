/* SPDX-License-Identifier: MIT */
/* How a server is named on the command line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/client/client.h"

enum { DEFAULT_PORT = 5900 };

void spice_target_finish(struct spice_target *target)
{
	free(target->host);
	free(target->unix_path);
	if (target->password)
		explicit_bzero(target->password, strlen(target->password));
	free(target->password);
	memset(target, 0, sizeof(*target));
}

static int parse_port(const char *text, size_t length, uint16_t *port)
{
	uint32_t value = 0;

	if (length == 0 || length > 5)
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		value = value * 10 + (uint32_t)(text[i] - '0');
	}
	if (value == 0 || value > UINT16_MAX)
		return -EINVAL;
	*port = (uint16_t)value;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A copy of a URI's part, its %XX undone. NULL for a malformed one, or one with a NUL in it. */
static char *unescape(const char *text, size_t length)
{
	char *out = malloc(length + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < length; i++) {
		char c = text[i];
		if (c == '%') {
			bool whole = length - i > 2;
			int high = whole ? hex_digit(text[i + 1]) : -1;
			int low = whole ? hex_digit(text[i + 2]) : -1;
			if (high < 0 || low < 0 || (high | low) == 0) {
				free(out);
				return NULL;
			}
			c = (char)(high << 4 | low);
			i += 2;
		}
		out[n++] = c;
	}
	if (out)
		out[n] = '\0';
	return out;
}

/* "host", "host:port" or "[v6]:port", `length` bytes. A bare IPv6 address is a host, too. */
static int parse_authority(struct spice_target *target, const char *text, size_t length)
{
	const char *end = text + length, *host = text, *host_end = end, *colon;

	if (length && *text == '[') {
		host = text + 1;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (!host_end)
			return -EINVAL;
		colon = host_end + 1 < end ? host_end + 1 : NULL;
		if (colon && *colon != ':')
			return -EINVAL;
	} else {
		colon = memchr(text, ':', length);
		if (colon && memchr(colon + 1, ':', (size_t)(end - colon - 1)))
			colon = NULL;
		if (colon)
			host_end = colon;
	}
	if (host == host_end)
		return -EINVAL;
	if (colon && parse_port(colon + 1, (size_t)(end - colon - 1), &target->port) < 0)
		return -EINVAL;
	target->host = strndup(host, (size_t)(host_end - host));
	return target->host ? 0 : -ENOMEM;
}

static bool starts_with(const char *text, size_t length, const char *key)
{
	return length >= strlen(key) && !strncmp(text, key, strlen(key));
}

/* "port=N&password=P&..." of a URI; what we have no use for is ignored. */
static int parse_query(struct spice_target *target, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "&;");
		if (starts_with(text, length, "port=")) {
			if (parse_port(text + 5, length - 5, &target->port) < 0)
				return -EINVAL;
		} else if (starts_with(text, length, "password=")) {
			free(target->password);
			target->password = unescape(text + 9, length - 9);
			if (!target->password)
				return -EINVAL;
		}
		text += length + (text[length] != '\0');
	}
	return 0;
}

static int parse_tcp_uri(struct spice_target *target, const char *text)
{
	size_t length = strcspn(text, "/?");
	const char *query = strchr(text, '?');
	int err = parse_authority(target, text, length);

	/* After the authority comes nothing, or an empty path. */
	if (err == 0 && text[length] == '/' && text[length + 1] && text[length + 1] != '?')
		return -EINVAL;
	return err || !query ? err : parse_query(target, query + 1);
}

static int parse_unix_uri(struct spice_target *target, const char *text)
{
	size_t length = strcspn(text, "?");

	if (length < 2 || *text != '/')
		return -EINVAL;
	target->unix_path = unescape(text, length);
	if (!target->unix_path)
		return -EINVAL;
	return text[length] ? parse_query(target, text + length + 1) : 0;
}

int spice_target_parse(struct spice_target *target, const char *text)
{
	int err;

	memset(target, 0, sizeof(*target));
	target->port = DEFAULT_PORT;
	if (!strncmp(text, "spice+unix://", 13))
		err = parse_unix_uri(target, text + 13);
	else if (!strncmp(text, "spice://", 8))
		err = parse_tcp_uri(target, text + 8);
	else
		err = strpbrk(text, "/?@ ") ? -EINVAL : parse_authority(target, text, strlen(text));
	if (err < 0)
		spice_target_finish(target);
	return err < 0 ? -EINVAL : 0;
}
