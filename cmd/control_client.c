/* SPDX-License-Identifier: MIT */
/* spicebox control: says one line to a running VM's control socket, and prints the answer. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/control.h"

#define PATIENCE_S 10

static void print_help(void)
{
	puts("Usage: spicebox control PATH COMMAND...\n"
	     "\n"
	     "Changes how a VM sends pictures to its viewers while it runs. PATH is the socket that\n"
	     "'spicebox serve --control PATH' made; only the user who runs that may connect.\n"
	     "\n"
	     "Commands:\n"
	     "  set SETTING VALUE       change it, for all viewers, from now on\n"
	     "  get [SETTING]           print it, or all\n"
	     "  help                    what the VM takes\n"
	     "\n"
	     "Settings:");
	fputs(server_options_help, stdout);
	puts("\n"
	     "Example: spicebox control /run/user/1000/vm.control set image-compression quic");
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
		connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* The words as one line; false: they are not. */
static bool make_line(char line[CONTROL_LINE_MAX + 1], int count, char **words)
{
	size_t size = 0;

	for (int i = 0; i < count; i++) {
		size_t length = strlen(words[i]);

		if (strchr(words[i], '\n') || size + length + 1 > CONTROL_LINE_MAX)
			return false;
		memcpy(line + size, words[i], length);
		size += length;
		line[size++] = i + 1 < count ? ' ' : '\n';
	}
	line[size] = 0;
	return true;
}

/* The answer without its end; -errno. */
static int ask(int fd, const char *line, char *answer, size_t room)
{
	char *end = NULL;
	size_t size = 0;
	ssize_t n;

	if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
		return errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
	do {
		n = recv(fd, answer + size, room - 1 - size, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
		size += (size_t)n;
		answer[size] = 0;
		end = strchr(answer, '\n');
	} while (!end && size + 1 < room);
	if (!end)
		return -EPROTO;
	*end = 0;
	return 0;
}

/* Its words go to the terminal: nothing there may steer it. */
static int print_answer(char *answer)
{
	for (char *c = answer; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	if (!strcmp(answer, "ok"))
		return 0;
	if (!strncmp(answer, "ok ", 3)) {
		puts(answer + 3);
		return 0;
	}
	cmd_error("%s", strncmp(answer, "error: ", 7) ? answer : answer + 7);
	return 1;
}

int cmd_control(int argc, char **argv)
{
	char line[CONTROL_LINE_MAX + 1], answer[2 * CONTROL_REPLY_MAX];
	int fd, err;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_help();
		return 0;
	}
	if (argc < 3) {
		cmd_error("control wants the socket's path and a command");
		return cmd_misuse("control");
	}
	if (!make_line(line, argc - 2, argv + 2)) {
		cmd_error("the command is longer than a line");
		return cmd_misuse("control");
	}
	fd = connect_to(argv[1]);
	if (fd < 0) {
		cmd_error("cannot connect to %s: %s%s", argv[1], strerror(-fd),
			fd == -ECONNREFUSED || fd == -ENOENT
				? "; does a VM run with --control and this path?"
				: "");
		return 1;
	}
	err = ask(fd, line, answer, sizeof(answer));
	close(fd);
	if (err) {
		cmd_error("no answer from %s: %s", argv[1], strerror(-err));
		return 1;
	}
	return print_answer(answer);
}
