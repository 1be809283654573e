/* SPDX-License-Identifier: MIT */
/* The subcommands, and what several of them use. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each takes the arguments from its own name on and returns the process's exit code. */
int cmd_run(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_connect(int argc, char **argv);
int cmd_screenshot(int argc, char **argv);
int cmd_control(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

/* Prints "spicebox: ..." on standard error: one plain line that says what, and what to do. */
void cmd_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Says on standard error how to get help for a subcommand; returns the exit code of misuse, 2. */
int cmd_misuse(const char *subcommand);

/* The first line of a file, malloc'ed, at most `max` bytes. Prints the error and returns NULL when
 * there is none. `what` names it ("password"). */
char *cmd_read_first_line(const char *path, size_t max, const char *what);

/* Reads "2G", "512M", "65536K" (powers of 1024) or plain bytes. 0 or -EINVAL. */
int cmd_parse_size(const char *text, uint64_t *bytes);
/* Whether the host's CPU says that it has this (a word of "flags" in /proc/cpuinfo). */
bool cmd_host_cpu_has(const char *flag);
/* Reads a whole decimal number from min to max. 0 or -EINVAL. */
int cmd_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* SPICE encrypts the password in one RSA block; its clients take at most this many bytes. */
#define CMD_PASSWORD_MAX 60

#endif
