/* SPDX-License-Identifier: MIT */
/*
 * A running VM: machine, QXL device, display hub, and, where asked for, the SPICE server and a
 * window. `serve` and `run --headless` run it on the main thread, `run` beside the window's.
 */
#ifndef CMD_SESSION_H
#define CMD_SESSION_H

#include "cmd/vm_options.h"
#include "core/display.h"
#include "core/loop.h"
#include "ui/window.h"

struct session;

/* Makes the loop and the display, so that a window can be made for them; nothing runs yet. Prints
 * what is wrong and returns NULL on failure. `options` stays the caller's and must outlive it. */
struct session *session_create(const struct vm_options *options, bool serve);
struct loop *session_loop(struct session *session);
struct display *session_display(struct session *session);
/* Builds and starts the VM and runs it on the calling thread until it is off; then takes it all
 * down. `window` may be NULL; it is quit at the end. Returns the process's exit code. */
int session_run(struct session *session, struct window *window);
void session_destroy(struct session *session);
/* All of that without a window, on the calling thread. Returns the process's exit code. */
int session_run_headless(const struct vm_options *options, bool serve);

/* Asks the guest to power off; asked again, or when it does not listen, turns it off. Any thread. */
void session_close(struct session *session);

#endif
