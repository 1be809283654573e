/* SPDX-License-Identifier: MIT */
/* A running VM with all that is attached to it. */
#include "cmd/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "channels/server/server.h"
#include "cmd/cmd.h"
#include "cmd/control.h"
#include "cmd/listen.h"
#include "cmd/serial.h"
#include "cmd/unpack.h"
#include "core/log.h"
#include "core/pool.h"
#include "core/util.h"
#include "qxl/qxl.h"

#define KERNEL_MAX_BYTES      (256u << 20)
#define INITRD_MAX_BYTES      (2048ull << 20)
#define POWER_OFF_PATIENCE_NS (60ull * 1000000000u)

extern const unsigned char embed_bios_start[], embed_bios_end[];
extern const unsigned char embed_vgabios_qxl_start[], embed_vgabios_qxl_end[];
extern const unsigned char embed_demo_elf_start[], embed_demo_elf_end[];

struct session {
	const struct vm_options *options;
	bool serve;
	struct loop *loop;
	struct display *display;
	struct window *window;
	struct pool *pool;
	struct serial *serial;
	struct machine *machine;
	enum machine_engine engine;
	struct qxl *qxl;
	struct spice_server *server;
	struct control *control;
	uint8_t *kernel;
	uint8_t *initrd;
	size_t kernel_bytes;
	size_t initrd_bytes;
	int signal_fd;
	struct loop_fd *signal_source;
	struct loop_timer *patience;
	uint32_t viewers;
	bool closing; /* the guest was asked to power off */
	bool taking_down; /* teardown began; nothing starts any more */
	int exit_code;
};

static void take_down(void *opaque);

/* The signals that end the program come by a signalfd; blocked before any thread starts. */
static void signals_of_the_end(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGHUP);
}

struct session *session_create(const struct vm_options *options, bool serve)
{
	struct session *session = calloc(1, sizeof(*session));
	sigset_t signals;
	int err = -ENOMEM;

	signals_of_the_end(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (session) {
		session->options = options;
		session->serve = serve;
		session->signal_fd = -1;
		session->exit_code = 1;
		err = loop_create(&session->loop);
	}
	if (!err)
		err = display_create(&session->display);
	if (err) {
		cmd_error("cannot start: %s", strerror(-err));
		session_destroy(session);
		return NULL;
	}
	return session;
}

struct loop *session_loop(struct session *session)
{
	return session->loop;
}

struct display *session_display(struct session *session)
{
	return session->display;
}

void session_destroy(struct session *session)
{
	if (!session)
		return;
	display_destroy(session->display);
	loop_destroy(session->loop);
	free(session);
}

/* ---- the end ---- */

static void finish(struct session *session, int exit_code)
{
	if (session->taking_down)
		return;
	session->taking_down = true;
	session->exit_code = exit_code;
	loop_post(session->loop, take_down, session);
}

/* Behind all calls that the stopped machine's threads had posted. */
static void take_down_rest(void *opaque)
{
	struct session *session = opaque;

	serial_destroy(session->serial);
	pool_destroy(session->pool);
	loop_fd_remove(session->signal_source);
	loop_timer_remove(session->patience);
	if (session->signal_fd >= 0)
		close(session->signal_fd);
	free(session->kernel);
	free(session->initrd);
	loop_stop(session->loop);
}

static void take_down(void *opaque)
{
	struct session *session = opaque;

	if (session->window)
		window_detach(session->window);
	control_destroy(session->control);
	spice_server_destroy(session->server);
	if (session->machine)
		machine_stop(session->machine);
	qxl_destroy(session->qxl);
	machine_destroy(session->machine);
	loop_post(session->loop, take_down_rest, session);
}

static void on_machine_exit(void *opaque, enum machine_exit exit, const char *reason)
{
	struct session *session = opaque;

	if (exit == MACHINE_EXIT_FAILED) {
		cmd_error("the virtual machine stopped: %s%s", reason,
			session->engine == MACHINE_ENGINE_KVM
				? " (--cpu soft runs what this host's KVM cannot)"
				: "");
		finish(session, 1);
	} else {
		finish(session, 0);
	}
}

static void on_patience_over(void *opaque)
{
	cmd_error("the guest did not power off within a minute; turning it off");
	finish(opaque, 0);
}

static void close_now(void *opaque)
{
	struct session *session = opaque;

	if (!session->machine || session->closing) {
		finish(session, 0);
	} else if (!machine_power_button(session->machine)) {
		log_info(
			"session", "the guest does not listen to the power button: turning it off");
		finish(session, 0);
	} else {
		session->closing = true;
		loop_timer_arm(session->patience, POWER_OFF_PATIENCE_NS);
		if (session->window)
			window_set_notice(session->window,
				"The guest is shutting down. Close again to turn it off.", false);
	}
}

void session_close(struct session *session)
{
	loop_post(session->loop, close_now, session);
}

static void on_signal(void *opaque, uint32_t events)
{
	struct session *session = opaque;
	struct signalfd_siginfo info;

	if (read(session->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (!session->closing && info.ssi_signo == SIGINT && isatty(STDERR_FILENO))
		fprintf(stderr, "\nspicebox: shutting the guest down; Ctrl+C again turns it off\n");
	close_now(session);
}

/* ---- the beginning ---- */

static int watch_signals(struct session *session)
{
	sigset_t signals;

	signals_of_the_end(&signals);
	session->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (session->signal_fd < 0)
		return -errno;
	session->signal_source =
		loop_fd_add(session->loop, session->signal_fd, EPOLLIN, on_signal, session);
	session->patience = loop_timer_add(session->loop, on_patience_over, session);
	return session->signal_source && session->patience ? 0 : -ENOMEM;
}

static int load_file(const char *what, const char *path, size_t max, uint8_t **data, size_t *size)
{
	int err = file_read_all(path, max, data, size);

	if (err)
		cmd_error("cannot read the %s %s: %s", what, path, strerror(-err));
	return err;
}

static int load_kernel(struct session *session, struct machine_config *config)
{
	const struct vm_options *o = session->options;
	int err = 0;

	if (o->demo) {
		config->kernel.data = embed_demo_elf_start;
		config->kernel.size = (size_t)(embed_demo_elf_end - embed_demo_elf_start);
	} else if (o->kernel) {
		err = load_file("kernel", o->kernel, KERNEL_MAX_BYTES, &session->kernel,
			&session->kernel_bytes);
		config->kernel = (struct machine_blob){ session->kernel, session->kernel_bytes };
	}
	if (!err && o->initrd) {
		err = load_file("initrd", o->initrd, INITRD_MAX_BYTES, &session->initrd,
			&session->initrd_bytes);
		config->initrd = (struct machine_blob){ session->initrd, session->initrd_bytes };
	}
	return err;
}

/* A KVM without VMX or SVM interprets a guest's kernel, slowly and not all of it (x87, SSE): what is
 * known to suit it is the demo, and kernels of one's own that are ELF files. Stock guests do not. */
static enum machine_engine choose_engine(
	const struct vm_options *o, const struct machine_config *config)
{
	bool elf = config->kernel.size >= 4 && !memcmp(config->kernel.data, "\177ELF", 4);
	const char *why = "there is no usable KVM";
	char *error = NULL;
	bool kvm;

	if (o->cpu != VM_CPU_AUTO)
		return o->cpu == VM_CPU_SOFT ? MACHINE_ENGINE_SOFT : MACHINE_ENGINE_KVM;
	kvm = machine_kvm_probe(&error) == 0;
	free(error);
	if (kvm && (elf || cmd_host_cpu_has("vmx") || cmd_host_cpu_has("svm")))
		return MACHINE_ENGINE_KVM;
	if (kvm)
		why = "this host's KVM has neither VMX nor SVM";
	fprintf(stderr, "The guest runs on a CPU in software: %s.\n", why);
	return MACHINE_ENGINE_SOFT;
}

static int build_machine(struct session *session)
{
	const struct vm_options *o = session->options;
	struct machine_config config = {
		.loop = session->loop,
		.memory_bytes = o->memory_bytes,
		.cpus = o->cpus,
		.firmware = { embed_bios_start, (size_t)(embed_bios_end - embed_bios_start) },
		.append = o->append,
		.disks = o->disks,
		.disk_count = o->disk_count,
		.on_exit = on_machine_exit,
		.opaque = session,
	};
	struct qxl_config qxl = {
		.vga_bios = { embed_vgabios_qxl_start,
			(size_t)(embed_vgabios_qxl_end - embed_vgabios_qxl_start) },
		.unpack = unpack_image,
	};
	char *error = NULL;
	int err = load_kernel(session, &config);

	if (err)
		return err;
	session->engine = config.engine = choose_engine(o, &config);
	if (o->serial) {
		err = serial_create(&session->serial, session->loop, o->serial);
		if (err)
			return err;
		config.serial = serial_port(session->serial);
	}
	err = machine_create(&session->machine, &config, &error);
	if (err) {
		cmd_error("%s", error ? error : strerror(-err));
		free(error);
		return err;
	}
	err = qxl_create(&session->qxl, machine_pci_host(session->machine),
		machine_pci_bus(session->machine), &qxl, display_sink(session->display));
	if (err)
		cmd_error("cannot make the graphics device: %s", strerror(-err));
	return err;
}

/* The device scans frame-buffer modes only while somebody looks. */
static void on_viewers_changed(void *opaque, uint32_t viewers)
{
	struct session *session = opaque;

	session->viewers = viewers;
	if (session->qxl && !session->window)
		qxl_set_watched(session->qxl, viewers > 0);
}

static void on_control(
	void *opaque, const struct server_options *old, const struct server_options *now)
{
	struct session *session = opaque;

	server_options_change(session->server, old, now);
}

static int start_control(struct session *session)
{
	const struct vm_options *o = session->options;
	int err;

	if (!o->control)
		return 0;
	err = control_create(
		&session->control, session->loop, o->control, &o->server, on_control, session);
	if (err)
		cmd_error("cannot make the control socket %s: %s%s", o->control, strerror(-err),
			err == -EADDRINUSE ? "; something else is there" : "");
	return err;
}

static int start_serving(struct session *session)
{
	const struct vm_options *o = session->options;
	struct spice_server_config config = {
		.loop = session->loop,
		.pool = session->pool,
		.display = session->display,
		.input = machine_input(session->machine),
		.name = o->name,
		.viewers_changed = on_viewers_changed,
		.opaque = session,
	};
	char *password = NULL;
	int err;

	if (!session->serve && !o->listen_given)
		return 0;
	err = listen_password(o, &password);
	if (err)
		return err;
	config.password = password;
	server_options_apply(&o->server, &config);
	err = spice_server_create(&session->server, &config);
	if (err)
		cmd_error("cannot make the SPICE server: %s", strerror(-err));
	else
		err = listen_open(o, session->server);
	free(password);
	return err;
}

static int start(struct session *session)
{
	char *error = NULL;
	int err = watch_signals(session);

	if (!err)
		err = pool_create(&session->pool, 0);
	if (err) {
		cmd_error("cannot start: %s", strerror(-err));
		return err;
	}
	err = build_machine(session);
	if (!err)
		err = start_serving(session);
	if (!err)
		err = start_control(session);
	if (!err && session->window)
		err = window_attach(session->window, machine_input(session->machine));
	if (err)
		return err;
	if (!session->window)
		qxl_set_watched(session->qxl, session->viewers > 0);
	err = machine_start(session->machine, &error);
	if (err)
		cmd_error("%s", error ? error : strerror(-err));
	free(error);
	return err;
}

static void start_or_finish(void *opaque)
{
	struct session *session = opaque;

	if (!session->taking_down && start(session))
		finish(session, 1);
}

int session_run(struct session *session, struct window *window)
{
	session->window = window;
	if (loop_post(session->loop, start_or_finish, session) || loop_run(session->loop))
		cmd_error("the event loop failed: %s", strerror(errno));
	if (window)
		window_quit(window);
	return session->exit_code;
}

int session_run_headless(const struct vm_options *options, bool serve)
{
	struct session *session = session_create(options, serve);
	int code = 1;

	if (session)
		code = session_run(session, NULL);
	session_destroy(session);
	return code;
}
