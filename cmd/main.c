/* SPDX-License-Identifier: MIT */
/* spicebox: dispatches to the subcommands. */
#include <nss.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "core/util.h"

extern int __nss_configure_lookup(const char *database, const char *services);

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} subcommands[] = {
	{ "run", cmd_run, "a VM and its window on this machine" },
	{ "serve", cmd_serve, "a VM without a window, served over SPICE" },
	{ "connect", cmd_connect, "the viewer: show a VM that is served elsewhere" },
	{ "screenshot", cmd_screenshot, "save what a served VM shows as a PNG file" },
	{ "control", cmd_control, "change how a VM that runs here sends pictures" },
	{ "doctor", cmd_doctor, "what this machine offers, and how to mend what it lacks" },
};

static void print_help(void)
{
	puts("Usage: spicebox COMMAND [OPTION]...\n"
	     "\n"
	     "A whole VM remote desktop in one program: it runs a virtual machine, serves it over\n"
	     "SPICE, and shows it in a window.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		printf("  %-11s %s\n", subcommands[i].name, subcommands[i].help);
	puts("\n"
	     "Try:\n"
	     "  spicebox run --demo            the demo, no disk needed\n"
	     "  spicebox run disk.img          your VM in a window\n"
	     "  spicebox serve disk.img        your VM, for viewers on this machine\n"
	     "  spicebox connect localhost     a viewer for it\n"
	     "\n"
	     "'spicebox COMMAND --help' lists the options of a command.");
}

int main(int argc, char **argv)
{
	/* A foreign name-service module of the host must not be loaded into a static program. */
	__nss_configure_lookup("hosts", "files dns");
	__nss_configure_lookup("passwd", "files");
	__nss_configure_lookup("group", "files");
	signal(SIGPIPE, SIG_IGN);

	if (argc < 2) {
		print_help();
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help();
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("spicebox " SPICEBOX_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		if (!strcmp(argv[1], subcommands[i].name))
			return subcommands[i].run(argc - 1, argv + 1);
	cmd_error("there is no command '%s'; 'spicebox --help' lists them", argv[1]);
	return 2;
}
