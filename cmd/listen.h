/* SPDX-License-Identifier: MIT */
/* Where `serve` and `run` listen, and the rule that no open listener is made by accident. */
#ifndef CMD_LISTEN_H
#define CMD_LISTEN_H

#include "channels/server/server.h"
#include "cmd/vm_options.h"

/* The password viewers must give: from the file; or made and printed, when listening beyond this
 * machine; or none (*password NULL). Refuses an address beyond this machine without --insecure.
 * Prints what is wrong. The caller frees *password. */
int listen_password(const struct vm_options *options, char **password);
/* Listens, and prints the address to connect to on standard output. */
int listen_open(const struct vm_options *options, struct spice_server *server);

#endif
