/* SPDX-License-Identifier: MIT */
/* spicebox serve: a VM without a window, for viewers. */
#include "cmd/cmd.h"
#include "cmd/session.h"

int cmd_serve(int argc, char **argv)
{
	struct vm_options options;
	int code = vm_options_parse(&options, "serve", argc, argv);

	return code >= 0 ? code : session_run_headless(&options, true);
}
