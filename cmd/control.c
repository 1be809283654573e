/* SPDX-License-Identifier: MIT */
/*
 * The control socket. Nothing waits for a client: a line that does not end within its limit, or a reply
 * that the client leaves lying until the socket is full, closes it.
 */
#include "cmd/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channels/server/listener.h"
#include "core/log.h"
#include "core/util.h"

#define LOG "control"

enum { WORDS_MAX = 4 };

struct client {
	struct control *control;
	int fd;
	struct loop_fd *source;
	char line[CONTROL_LINE_MAX];
	size_t size;
	struct client *next; /* the one that came before it */
};

struct control {
	struct loop *loop;
	struct listener *listener;
	struct server_options options;
	control_fn *changed;
	void *opaque;
	struct client *clients; /* the newest first */
	uint32_t client_count;
};

struct reply {
	char text[CONTROL_REPLY_MAX];
	size_t size;
};

/* Ours fit; what would not is cut off. */
__attribute__((format(printf, 2, 3))) static void reply_add(
	struct reply *reply, const char *fmt, ...)
{
	size_t room = sizeof(reply->text) - 1 - reply->size; /* but for the line feed */
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(reply->text + reply->size, room, fmt, args);
	va_end(args);
	if (n > 0)
		reply->size += MIN((size_t)n, room - 1);
}

/* ---- commands ---- */

static void run_set(struct control *control, char **words, size_t count, struct reply *reply)
{
	struct server_options now = control->options, old = control->options;
	const char *wanted;
	int err;

	if (count != 3) {
		reply_add(reply, "error: set wants a setting and a value");
		return;
	}
	err = server_options_set(&now, words[1], words[2], &wanted);
	if (err == -ENOENT) {
		reply_add(reply, "error: there is no such setting; 'help' lists them");
	} else if (err) {
		reply_add(reply, "error: it wants %s", wanted);
	} else {
		control->options = now;
		log_info(LOG, "%s is %s from now on", words[1], words[2]);
		control->changed(control->opaque, &old, &now);
		reply_add(reply, "ok");
	}
}

static void run_get(struct control *control, char **words, size_t count, struct reply *reply)
{
	const char *value;

	if (count > 2) {
		reply_add(reply, "error: get wants a setting, or nothing");
	} else if (count == 2) {
		value = server_options_get(&control->options, words[1]);
		if (value)
			reply_add(reply, "ok %s", value);
		else
			reply_add(reply, "error: there is no such setting; 'help' lists them");
	} else {
		reply_add(reply, "ok");
		for (size_t i = 0; server_option_names[i]; i++)
			reply_add(reply, " %s=%s", server_option_names[i],
				server_options_get(&control->options, server_option_names[i]));
	}
}

static void run_help(struct reply *reply)
{
	struct server_options unused = { 0 };
	const char *wanted;

	reply_add(reply, "ok set SETTING VALUE, get [SETTING], help; settings:");
	for (size_t i = 0; server_option_names[i]; i++) {
		server_options_set(&unused, server_option_names[i], "", &wanted);
		reply_add(reply, "%s %s: %s", i ? ";" : "", server_option_names[i], wanted);
	}
}

/* One line without its end. Its bytes are anybody's: they are compared, and not given back. */
static void run_line(struct control *control, char *line, struct reply *reply)
{
	char *words[WORDS_MAX], *rest = NULL;
	size_t count = 0;

	for (char *word = strtok_r(line, " \t\r", &rest); word && count < WORDS_MAX;
		word = strtok_r(NULL, " \t\r", &rest))
		words[count++] = word;
	if (count && !strcmp(words[0], "set"))
		run_set(control, words, count, reply);
	else if (count && !strcmp(words[0], "get"))
		run_get(control, words, count, reply);
	else if (count == 1 && !strcmp(words[0], "help"))
		run_help(reply);
	else
		reply_add(reply, "error: there is no such command; 'help' lists them");
}

/* ---- clients ---- */

static void client_close(struct client *client)
{
	struct control *control = client->control;

	for (struct client **at = &control->clients; *at; at = &(*at)->next) {
		if (*at == client) {
			*at = client->next;
			break;
		}
	}
	control->client_count--;
	loop_fd_remove(client->source);
	close(client->fd);
	free(client);
}

static bool client_reply(struct client *client, struct reply *reply)
{
	reply->text[reply->size++] = '\n';
	return send(client->fd, reply->text, reply->size, MSG_DONTWAIT | MSG_NOSIGNAL) ==
		(ssize_t)reply->size;
}

/* Runs the lines that are whole; false: the client is to be closed. */
static bool client_run(struct client *client)
{
	size_t start = 0;
	char *end;

	while ((end = memchr(client->line + start, '\n', client->size - start))) {
		char *line = client->line + start;
		struct reply reply = { .size = 0 };

		*end = 0;
		start = (size_t)(end + 1 - client->line);
		if (strlen(line) != (size_t)(end - line))
			reply_add(&reply, "error: a line is text");
		else
			run_line(client->control, line, &reply);
		if (!client_reply(client, &reply))
			return false;
	}
	client->size -= start;
	memmove(client->line, client->line + start, client->size);
	if (client->size == sizeof(client->line)) {
		struct reply reply = { .size = 0 };

		reply_add(&reply, "error: the line is too long");
		client_reply(client, &reply);
		return false;
	}
	return true;
}

static void on_client(void *opaque, uint32_t events)
{
	struct client *client = opaque;
	/* A buffer's worth a turn: others get their turns, whatever one sends. */
	ssize_t n = recv(client->fd, client->line + client->size,
		sizeof(client->line) - client->size, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		client->size += (size_t)n;
	if (n <= 0 || !client_run(client))
		client_close(client);
}

int control_add_client_fd(struct control *control, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client)
		client->source = loop_fd_add(control->loop, fd, EPOLLIN, on_client, client);
	if (!client || !client->source) {
		free(client);
		close(fd);
		return -ENOMEM;
	}
	client->control = control;
	client->fd = fd;
	if (control->client_count == CONTROL_CLIENTS_MAX) {
		struct client *oldest = control->clients;

		while (oldest->next)
			oldest = oldest->next;
		client_close(oldest);
	}
	client->next = control->clients;
	control->clients = client;
	control->client_count++;
	return 0;
}

static void on_connection(void *opaque, int fd)
{
	control_add_client_fd(opaque, fd);
}

/* ---- the whole ---- */

int control_create(struct control **out, struct loop *loop, const char *path,
	const struct server_options *options, control_fn *changed, void *opaque)
{
	struct control *control;
	int fd = listener_open_unix(path), err;

	if (fd < 0)
		return fd;
	control = calloc(1, sizeof(*control));
	if (!control) {
		close(fd);
		unlink(path);
		return -ENOMEM;
	}
	control->loop = loop;
	control->options = *options;
	control->changed = changed;
	control->opaque = opaque;
	err = listener_create(&control->listener, loop, fd, path, on_connection, control);
	if (err) {
		control_destroy(control);
		return err;
	}
	*out = control;
	return 0;
}

void control_destroy(struct control *control)
{
	if (!control)
		return;
	if (control->listener)
		listener_destroy(control->listener);
	while (control->clients)
		client_close(control->clients);
	free(control);
}
