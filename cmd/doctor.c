/* SPDX-License-Identifier: MIT */
/* spicebox doctor: what this machine offers, and the command that mends each lack. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/util.h"
#include "hypervisor/machine.h"
#include "ui/window.h"

/* One line a finding; a lack is followed by what mends it. */
static void finding(bool good, const char *what, const char *text, const char *mend)
{
	printf("%-4s %-8s %s\n", good ? "ok" : "!!", what, text);
	if (mend)
		printf("     %-8s -> %s\n", "", mend);
}

static bool check_kvm(void)
{
	bool hardware = cmd_host_cpu_has("vmx") || cmd_host_cpu_has("svm");
	char *error = NULL;
	int err = machine_kvm_probe(&error);

	if (!err && hardware)
		finding(true, "kvm", "works, with hardware virtualization", NULL);
	else if (!err)
		finding(true, "kvm",
			"works, but without VMX or SVM: it runs the demo; stock guests get a CPU "
			"in software, which is slower",
			"for full speed use a machine with VMX or SVM, or turn on nested "
			"virtualization for this one");
	else if (err == -EACCES || err == -EPERM)
		finding(false, "kvm", "/dev/kvm is there, but you may not use it",
			"sudo usermod -aG kvm $USER, then log in anew");
	else if (err == -ENOENT && hardware)
		finding(false, "kvm", "the processor could, but /dev/kvm is missing",
			"sudo modprobe kvm_intel || sudo modprobe kvm_amd");
	else if (err == -ENOENT)
		finding(false, "kvm", "no /dev/kvm, and the processor shows no VMX or SVM",
			"turn on virtualization in the machine's firmware settings (or nested "
			"virtualization at the cloud provider)");
	else
		finding(false, "kvm", error ? error : strerror(-err), NULL);
	free(error);
	return !err;
}

static void check_cpu(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char text[64];

	snprintf(text, sizeof(text), "%ld online", cpus);
	finding(true, "cpu", text, NULL);
}

static void check_memory(void)
{
	struct sysinfo info;
	char text[128];
	uint64_t total, available;

	if (sysinfo(&info))
		return;
	total = (uint64_t)info.totalram * info.mem_unit >> 20;
	available = (uint64_t)(info.freeram + info.bufferram) * info.mem_unit >> 20;
	snprintf(text, sizeof(text), "%llu MiB, %llu MiB of it free", (unsigned long long)total,
		(unsigned long long)available);
	finding(total >= 1024, "memory", text,
		total >= 1024 ? NULL : "give the guest less than this with --memory");
}

static void check_display(void)
{
	char *what = NULL;

	if (window_probe(&what) == 0)
		finding(true, "display", what ? what : "works", NULL);
	else
		finding(false, "display", what ? what : "none",
			"start it from a desktop session, or set DISPLAY (ssh -X); 'spicebox serve' "
			"and 'spicebox screenshot' need none");
	free(what);
}

static bool socket_answers(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return false;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	err = connect(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return err == 0;
}

static void check_sound(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char path[512];

	snprintf(path, sizeof(path), "%s/pulse/native", runtime ? runtime : "/run/user/0");
	if (socket_answers(path))
		finding(true, "sound", "a PulseAudio or PipeWire server answers", NULL);
	else
		finding(false, "sound", "no PulseAudio or PipeWire server answers",
			"sudo apt install pipewire-pulse, and log in anew; all else works without");
}

static void print_help(void)
{
	puts("Usage: spicebox doctor\n"
	     "\n"
	     "Says what this machine offers for running and showing VMs, and how to mend what it\n"
	     "lacks. Ends with code 0 when VMs can run here, else with 1.");
}

int cmd_doctor(int argc, char **argv)
{
	bool good;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_help();
		return 0;
	}
	if (argc > 1) {
		cmd_error("'doctor' takes no arguments");
		return cmd_misuse("doctor");
	}
	good = check_kvm();
	check_cpu();
	check_memory();
	check_display();
	check_sound();
	return good ? 0 : 1;
}
