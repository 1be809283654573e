/* SPDX-License-Identifier: MIT */
/* The control socket: settings by lines, whatever bytes come, and who may have it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/control.h"
#include "core/util.h"

struct fixture {
	struct loop *loop;
	struct control *control;
	char folder[64];
	char path[96];
	struct server_options old, now; /* as told last */
	uint32_t changes;
};

static void on_changed(
	void *opaque, const struct server_options *old, const struct server_options *now)
{
	struct fixture *f = opaque;

	f->old = *old;
	f->now = *now;
	f->changes++;
}

static int create(struct fixture *f)
{
	const struct server_options options = { .jpeg = SPICE_SERVER_JPEG_NEVER };

	return control_create(&f->control, f->loop, f->path, &options, on_changed, f);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->folder, "/tmp/spicebox-control-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(create(f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	control_destroy(f->control);
	loop_destroy(f->loop);
	unlink(f->path);
	rmdir(f->folder);
	free(f);
	return 0;
}

/* Until there is nothing to do. */
static void turn(struct fixture *f)
{
	for (int i = 0; i < 8; i++)
		loop_run_once(f->loop, 0);
}

static int connect_client(struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	turn(f);
	return fd;
}

static void say(struct fixture *f, int fd, const void *bytes, size_t size)
{
	assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
	turn(f);
}

/* All that has been answered; "closed" at the end when the connection is. */
static const char *answers(int fd)
{
	static char text[4096];
	size_t size = 0;
	ssize_t n;

	while ((n = recv(fd, text + size, sizeof(text) - 16 - size, 0)) > 0)
		size += (size_t)n;
	strcpy(text + size, n == 0 || errno == ECONNRESET ? "closed" : "");
	return text;
}

static void expect(struct fixture *f, int fd, const char *line, const char *answer)
{
	say(f, fd, line, strlen(line));
	assert_string_equal(answers(fd), answer);
}

static void test_settings(void **state)
{
	struct fixture *f = *state;
	int fd = connect_client(f);

	expect(f, fd, "get\n", "ok image-compression=auto jpeg=never video=auto\n");
	assert_int_equal(f->changes, 0);
	expect(f, fd, "set image-compression quic\n", "ok\n");
	assert_int_equal(f->changes, 1);
	assert_int_equal(f->old.compression, SPICE_SERVER_COMPRESSION_AUTO);
	assert_int_equal(f->now.compression, SPICE_SERVER_COMPRESSION_QUIC);
	assert_int_equal(f->now.jpeg, SPICE_SERVER_JPEG_NEVER);
	expect(f, fd, " set\tjpeg  always \r\n", "ok\n");
	assert_int_equal(f->now.jpeg, SPICE_SERVER_JPEG_ALWAYS);
	expect(f, fd, "set video off\nget video\nget jpeg\nget image-compression\n",
		"ok\nok off\nok always\nok quic\n");
	assert_int_equal(f->now.video, SPICE_SERVER_VIDEO_OFF);
	assert_int_equal(f->changes, 3);
	close(fd);
}

static void test_wrong(void **state)
{
	static const char *const lines[] = { "\n", "  \n", "set\n", "set jpeg\n", "set jpeg ever\n",
		"set image-compression \n", "set colour red\n", "set video off now\n",
		"get colour\n", "get jpeg video\n", "help me\n", "SET video off\n",
		"setvideo off\n", "quit\n" };
	struct fixture *f = *state;
	int fd = connect_client(f);

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *answer;

		say(f, fd, lines[i], strlen(lines[i]));
		answer = answers(fd);
		assert_int_equal(strncmp(answer, "error: ", 7), 0);
		assert_ptr_equal(strchr(answer, '\n'), answer + strlen(answer) - 1);
	}
	say(f, fd, "set video\0 off\n", 15);
	assert_string_equal(answers(fd), "error: a line is text\n");
	assert_int_equal(f->changes, 0);
	expect(f, fd, "help\n",
		"ok set SETTING VALUE, get [SETTING], help; settings: image-compression: auto, quic, "
		"lz, glz, lz4 or off; jpeg: auto, always or never; video: auto, all or off\n");
	close(fd);
}

/* Lines come in any pieces; one without an end is none. */
static void test_pieces(void **state)
{
	static const char text[] = "set video all\nget video\n";
	struct fixture *f = *state;
	int fd = connect_client(f);

	for (size_t i = 0; i + 1 < sizeof(text); i++)
		say(f, fd, text + i, 1);
	assert_string_equal(answers(fd), "ok\nok all\n");
	say(f, fd, "set video off", 13);
	assert_string_equal(answers(fd), "");
	shutdown(fd, SHUT_WR);
	turn(f);
	assert_string_equal(answers(fd), "closed");
	assert_int_equal(f->changes, 1);
	close(fd);
}

static void test_long_line(void **state)
{
	struct fixture *f = *state;
	char line[CONTROL_LINE_MAX];
	int fd = connect_client(f);

	memset(line, ' ', sizeof(line));
	memcpy(line, "get video", 9);
	line[sizeof(line) - 1] = '\n';
	say(f, fd, line, sizeof(line)); /* just fits */
	assert_string_equal(answers(fd), "ok auto\n");
	line[sizeof(line) - 1] = ' ';
	say(f, fd, line, sizeof(line));
	assert_string_equal(answers(fd), "error: the line is too long\nclosed");
	close(fd);
}

/* Any bytes, cut anywhere: errors or an end, never a change, and others are served. */
static void test_any_bytes(void **state)
{
	struct fixture *f = *state;
	uint32_t random = 1;

	for (int round = 0; round < 300; round++) {
		uint8_t bytes[300];
		int fd = connect_client(f);

		for (size_t i = 0; i < sizeof(bytes); i++) {
			random = random * 1664525 + 1013904223;
			bytes[i] = random >> 29 ? (uint8_t)(random >> 16) : '\n';
		}
		send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
		turn(f);
		close(fd);
	}
	turn(f);
	assert_int_equal(f->changes, 0);
	int fd = connect_client(f);
	expect(f, fd, "get jpeg\n", "ok never\n");
	close(fd);
}

/* Who asks and never reads is closed when his socket is full. */
static void test_never_reads(void **state)
{
	struct fixture *f = *state;
	int fd = connect_client(f), turns = 0;

	while (send(fd, "help\nhelp\n", 10, MSG_NOSIGNAL) == 10 || errno == EAGAIN) {
		turn(f);
		assert_true(++turns < 100000);
	}
	assert_int_equal(errno, EPIPE);
	close(fd);
}

static void test_many_clients(void **state)
{
	struct fixture *f = *state;
	int fds[CONTROL_CLIENTS_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_client(f);
	assert_string_equal(answers(fds[0]), "closed"); /* the oldest */
	for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
		expect(f, fds[i], "get video\n", "ok auto\n");
	/* One that goes by itself makes room. */
	close(fds[1]);
	turn(f);
	close(fds[0]);
	fds[0] = connect_client(f);
	expect(f, fds[2], "get video\n", "ok auto\n");
	expect(f, fds[0], "get video\n", "ok auto\n");
	fds[1] = -1;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void test_path(void **state)
{
	struct fixture *f = *state;
	struct control *other = NULL;
	const struct server_options options = { 0 };
	struct stat st;
	char target[128];
	int fd;

	assert_int_equal(lstat(f->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	/* Taken by one that runs. */
	assert_int_equal(
		control_create(&other, f->loop, f->path, &options, on_changed, f), -EADDRINUSE);
	fd = connect_client(f);
	control_destroy(f->control);
	f->control = NULL;
	assert_int_equal(lstat(f->path, &st), -1); /* removed at the end */
	assert_string_equal(answers(fd), "closed");
	close(fd);

	/* A file, and a link that leads somewhere, stay what they are. */
	fd = open(f->path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(create(f), -EADDRINUSE);
	assert_int_equal(lstat(f->path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	unlink(f->path);
	snprintf(target, sizeof(target), "%s/target", f->folder);
	assert_int_equal(symlink(target, f->path), 0);
	assert_int_equal(create(f), -EADDRINUSE);
	assert_int_equal(lstat(target, &st), -1);
	unlink(f->path);

	/* What one that was killed left is replaced. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	strcpy(address.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(create(f), 0);
	fd = connect_client(f);
	expect(f, fd, "get jpeg\n", "ok never\n");
	close(fd);
}

static void test_path_too_long(void **state)
{
	struct fixture *f = *state;
	const struct server_options options = { 0 };
	struct control *other = NULL;
	char path[200];

	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = 0;
	assert_int_equal(
		control_create(&other, f->loop, path, &options, on_changed, f), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_path_too_long, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
