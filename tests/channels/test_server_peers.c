/* SPDX-License-Identifier: MIT */
/* The server with a viewer of others: spicy-screenshot's picture is the hub's, every pixel. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "channels/server/server.h"
#include "core/util.h"
#include "tests/channels/server_scene.h"

static bool installed(const char *program)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return system(command) == 0;
}

static pid_t spawn(char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

static int wait_for(struct loop *loop, pid_t pid)
{
	uint64_t end = clock_monotonic_ns() + 60000000000u;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		loop_run_once(loop, 20);
		if (clock_monotonic_ns() > end) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			fail_msg("the viewer did not end");
		}
	}
	return status;
}

/* A PPM (P6) as words. */
static struct image *read_ppm(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint32_t width, height, max;
	struct image *image;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "P6 %u %u %u", &width, &height, &max), 3);
	assert_int_equal(fgetc(file), '\n');
	assert_int_equal(image_create(&image, IMAGE_XRGB8888, width, height), 0);
	for (uint32_t y = 0; y < height; y++) {
		uint32_t *row = (uint32_t *)(void *)(image->data + (size_t)y * image->stride);

		for (uint32_t x = 0; x < width; x++) {
			uint8_t rgb[3] = { 0 };

			assert_int_equal(fread(rgb, 1, 3, file), 3);
			row[x] = (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
		}
	}
	fclose(file);
	return image;
}

static void screenshot(const char *password)
{
	char folder[] = "/tmp/spicebox-test-XXXXXX", path[64], port_text[8];
	struct spice_server_config config = { .name = "scene", .password = password };
	struct spice_server *server;
	struct image *image;
	uint16_t port = 0;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/out.ppm", folder);
	assert_int_equal(loop_create(&config.loop), 0);
	assert_int_equal(pool_create(&config.pool, 0), 0);
	assert_int_equal(display_create(&config.display), 0);
	scene_begin(config.display);
	for (uint32_t step = 0; step < 2 * SCENE_STEPS; step++)
		scene_step(config.display, step);
	assert_int_equal(spice_server_create(&server, &config), 0);
	assert_int_equal(spice_server_listen_tcp(server, "127.0.0.1", &port), 0);
	snprintf(port_text, sizeof(port_text), "%u", port);

	assert_int_equal(
		wait_for(config.loop,
			spawn((char *[]){ "spicy-screenshot", "-h", "127.0.0.1", "-p", port_text,
				"-o", path, password ? "-w" : NULL, (char *)password, NULL })),
		0);
	image = read_ppm(path);
	assert_true(scene_equals(config.display, image));
	image_unref(image);

	spice_server_destroy(server);
	display_destroy(config.display);
	/* What workers still do is done before the pool goes. */
	for (int i = 0; i < 20; i++)
		loop_run_once(config.loop, 10);
	pool_destroy(config.pool);
	loop_destroy(config.loop);
	unlink(path);
	rmdir(folder);
}

static void test_screenshot(void **state)
{
	screenshot(NULL);
}

static void test_screenshot_password(void **state)
{
	screenshot("correct horse");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_screenshot),
		cmocka_unit_test(test_screenshot_password),
	};

	if (!installed("spicy-screenshot")) {
		printf("skipped: spicy-screenshot is not installed (package spice-client-gtk)\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
