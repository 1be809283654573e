/* SPDX-License-Identifier: MIT */
/* The options that `run` and `serve` share. */
#include "cmd/vm_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "core/log.h"
#include "core/util.h"

#define MEMORY_DEFAULT (2ull << 30)
#define MEMORY_DEMO    (128ull << 20)
#define MEMORY_MIN     (16ull << 20)
#define MEMORY_MAX     (1ull << 40)
#define CPUS_MAX       64
#define PORT_DEFAULT   5900

enum {
	OPT_KERNEL = 256,
	OPT_CPU,
	OPT_INITRD,
	OPT_APPEND,
	OPT_SERIAL,
	OPT_LISTEN,
	OPT_PORT,
	OPT_PASSWORD_FILE,
	OPT_SNAPSHOT,
	OPT_DEMO,
	OPT_HEADLESS,
	OPT_INSECURE,
	OPT_NAME,
	OPT_FULL_SCREEN,
	OPT_IMAGE_COMPRESSION,
	OPT_JPEG,
	OPT_VIDEO,
	OPT_CONTROL,
};

static const struct option long_options[] = {
	{ "memory", required_argument, NULL, 'm' },
	{ "cpus", required_argument, NULL, 'c' },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "password-file", required_argument, NULL, OPT_PASSWORD_FILE },
	{ "snapshot", no_argument, NULL, OPT_SNAPSHOT },
	{ "demo", no_argument, NULL, OPT_DEMO },
	{ "headless", no_argument, NULL, OPT_HEADLESS },
	{ "insecure", no_argument, NULL, OPT_INSECURE },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "full-screen", no_argument, NULL, OPT_FULL_SCREEN },
	{ "image-compression", required_argument, NULL, OPT_IMAGE_COMPRESSION },
	{ "jpeg", required_argument, NULL, OPT_JPEG },
	{ "video", required_argument, NULL, OPT_VIDEO },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void print_help(const char *subcommand)
{
	bool run = !strcmp(subcommand, "run");

	printf("Usage: spicebox %s [OPTION]... [DISK]...\n\n%s\n", subcommand,
		run ? "Runs a virtual machine from raw disk images and shows it in a window."
		    : "Runs a virtual machine from raw disk images and serves it over SPICE.");
	puts("\n"
	     "The machine:\n"
	     "  -m, --memory SIZE       its memory, such as 512M or 4G (2G)\n"
	     "  -c, --cpus N            its processors (1)\n"
	     "      --cpu ENGINE        what runs them: kvm, soft (a CPU in software, slower, but it\n"
	     "                          needs nothing of the host), or auto\n"
	     "      --kernel FILE       boot this kernel (bzImage or PVH ELF) without firmware\n"
	     "      --initrd FILE       with this initial RAM disk\n"
	     "      --append TEXT       and this command line\n"
	     "      --demo              boot the built-in demo guest\n"
	     "      --snapshot          discard all writes to the disks at the end\n"
	     "      --serial TARGET     connect COM1 to stdio, file:PATH or unix:PATH (a socket that\n"
	     "                          others connect to)\n"
	     "      --name NAME         the name that windows show (the disk's)");
	puts(run ? "\nThe window:\n"
		   "      --full-screen       start with the whole screen; F11 switches\n"
		   "      --headless          no window\n"
		   "\n"
		   "Viewers (none unless one of these is given):"
		 : "\nViewers:");
	puts("      --port N            TCP port for SPICE (5900); 0: any free one, which is printed\n"
	     "      --listen ADDRESS    listen there (127.0.0.1), or on unix:PATH. Beyond this\n"
	     "                          machine a password is needed: one is made and printed when\n"
	     "                          none is given\n"
	     "      --password-file F   ask viewers for the password in the first line of F\n"
	     "      --insecure          allow listening beyond this machine without encryption");
	fputs(server_options_help, stdout);
	puts("      --control PATH      make a UNIX socket there for 'spicebox control PATH', which\n"
	     "                          changes the last three while the machine runs\n"
	     "\n"
	     "  -v, --verbose           log more (twice: everything)\n"
	     "  -h, --help              this help");
}

static int bad_value(const char *subcommand, const char *option, const char *wanted)
{
	cmd_error("%s wants %s, not '%s'", option, wanted, optarg);
	return cmd_misuse(subcommand);
}

static int parse_memory(struct vm_options *o, const char *subcommand)
{
	if (cmd_parse_size(optarg, &o->memory_bytes) || o->memory_bytes < MEMORY_MIN ||
		o->memory_bytes > MEMORY_MAX)
		return bad_value(subcommand, "--memory", "a size from 16M to 1024G");
	o->memory_bytes = ALIGN_UP(o->memory_bytes, 1ull << 20);
	return -1;
}

static int parse_server(
	struct vm_options *o, const char *subcommand, const char *option, const char *name)
{
	const char *wanted;

	if (server_options_set(&o->server, name, optarg, &wanted))
		return bad_value(subcommand, option, wanted);
	return -1;
}

static int parse_cpu(struct vm_options *o, const char *subcommand)
{
	if (!strcmp(optarg, "auto"))
		o->cpu = VM_CPU_AUTO;
	else if (!strcmp(optarg, "kvm"))
		o->cpu = VM_CPU_KVM;
	else if (!strcmp(optarg, "soft"))
		o->cpu = VM_CPU_SOFT;
	else
		return bad_value(subcommand, "--cpu", "auto, kvm or soft");
	return -1;
}

static int parse_one(struct vm_options *o, const char *subcommand, int option)
{
	uint64_t n;

	switch (option) {
	case 'm': return parse_memory(o, subcommand);
	case 'c':
		if (cmd_parse_number(optarg, 1, CPUS_MAX, &n))
			return bad_value(subcommand, "--cpus", "a number from 1 to 64");
		o->cpus = (uint32_t)n;
		break;
	case 'v': log_set_level(log_enabled(LOG_INFO) ? LOG_DEBUG : LOG_INFO); break;
	case OPT_CPU: return parse_cpu(o, subcommand);
	case OPT_KERNEL: o->kernel = optarg; break;
	case OPT_INITRD: o->initrd = optarg; break;
	case OPT_APPEND: o->append = optarg; break;
	case OPT_SERIAL: o->serial = optarg; break;
	case OPT_LISTEN:
		o->listen = optarg;
		o->listen_given = true;
		break;
	case OPT_PORT:
		if (cmd_parse_number(optarg, 0, 65535, &n))
			return bad_value(subcommand, "--port", "a number from 0 to 65535");
		o->port = (uint16_t)n;
		o->listen_given = true;
		break;
	case OPT_PASSWORD_FILE: o->password_file = optarg; break;
	case OPT_SNAPSHOT: o->snapshot = true; break;
	case OPT_DEMO: o->demo = true; break;
	case OPT_HEADLESS: o->headless = true; break;
	case OPT_INSECURE: o->insecure = true; break;
	case OPT_NAME: o->name = optarg; break;
	case OPT_FULL_SCREEN: o->full_screen = true; break;
	case OPT_IMAGE_COMPRESSION:
		return parse_server(o, subcommand, "--image-compression", "image-compression");
	case OPT_JPEG: return parse_server(o, subcommand, "--jpeg", "jpeg");
	case OPT_VIDEO: return parse_server(o, subcommand, "--video", "video");
	case OPT_CONTROL: o->control = optarg; break;
	case 'h': print_help(subcommand); return 0;
	default: return cmd_misuse(subcommand);
	}
	return -1;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static int check(struct vm_options *o, const char *subcommand)
{
	if (o->demo && o->kernel) {
		cmd_error("--demo and --kernel exclude each other");
		return cmd_misuse(subcommand);
	}
	if (!o->demo && !o->kernel && !o->disk_count) {
		cmd_error("no disk image given; name one, or try 'spicebox %s --demo'", subcommand);
		return cmd_misuse(subcommand);
	}
	if (o->initrd && !o->kernel) {
		cmd_error("--initrd needs --kernel");
		return cmd_misuse(subcommand);
	}
	if (o->append && !o->kernel && !o->demo) {
		cmd_error(
			"--append needs --kernel (a disk's own boot loader has its own command line)");
		return cmd_misuse(subcommand);
	}
	if (o->control && !strcmp(subcommand, "run") && !o->listen_given) {
		cmd_error("--control is about what viewers are sent; it needs --port or --listen");
		return cmd_misuse(subcommand);
	}
	if (!o->memory_bytes)
		o->memory_bytes = o->demo ? MEMORY_DEMO : MEMORY_DEFAULT;
	if (!o->name)
		o->name = o->disk_count ? base_name(o->disks[0].path)
			: o->demo       ? "demo"
					: base_name(o->kernel);
	return -1;
}

int vm_options_parse(struct vm_options *o, const char *subcommand, int argc, char **argv)
{
	int option, code;

	*o = (struct vm_options){ .cpus = 1, .listen = "127.0.0.1", .port = PORT_DEFAULT };
	while ((option = getopt_long(argc, argv, "m:c:vh", long_options, NULL)) >= 0) {
		code = parse_one(o, subcommand, option);
		if (code >= 0)
			return code;
	}
	for (; optind < argc; optind++) {
		if (o->disk_count == VM_MAX_DISKS) {
			cmd_error("at most %d disks", VM_MAX_DISKS);
			return cmd_misuse(subcommand);
		}
		o->disks[o->disk_count++] = (struct machine_disk){ .path = argv[optind] };
	}
	for (uint32_t i = 0; i < o->disk_count; i++)
		o->disks[i].snapshot = o->snapshot;
	return check(o, subcommand);
}
