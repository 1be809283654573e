/* SPDX-License-Identifier: MIT */
/* Where viewers connect. */
#include "cmd/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cmd/cmd.h"

#define GENERATED_LENGTH 16

static const char *unix_path(const struct vm_options *o)
{
	return strncmp(o->listen, "unix:", 5) ? NULL : o->listen + 5;
}

static bool is_loopback(const char *address)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (!strcmp(address, "localhost"))
		return true;
	if (inet_pton(AF_INET, address, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* 16 of 32 letters and digits that are not mistaken for each other: 80 bits. */
static char *generate_password(void)
{
	static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789-";
	uint8_t random[GENERATED_LENGTH];
	char *password = calloc(1, GENERATED_LENGTH + 1);

	if (!password || getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		free(password);
		return NULL;
	}
	for (size_t i = 0; i < GENERATED_LENGTH; i++)
		password[i] = letters[random[i] % 32];
	return password;
}

int listen_password(const struct vm_options *o, char **password)
{
	bool beyond = !unix_path(o) && !is_loopback(o->listen);

	*password = NULL;
	if (beyond && !o->insecure) {
		cmd_error("listening on %s would show the VM to the network unencrypted; listen on "
			  "127.0.0.1 and use an SSH tunnel, or add --insecure",
			o->listen);
		return -EPERM;
	}
	if (o->password_file) {
		*password = cmd_read_first_line(o->password_file, CMD_PASSWORD_MAX, "password");
		return *password ? 0 : -EINVAL;
	}
	if (!beyond)
		return 0;
	*password = generate_password();
	if (!*password) {
		cmd_error("cannot make a password: no random bytes");
		return -EIO;
	}
	printf("The password for viewers is %s\n", *password);
	return 0;
}

int listen_open(const struct vm_options *o, struct spice_server *server)
{
	const char *path = unix_path(o);
	bool v6 = strchr(o->listen, ':') != NULL;
	uint16_t port = o->port;
	int err;

	if (path) {
		err = spice_server_listen_unix(server, path);
		if (err) {
			cmd_error("cannot listen on the socket %s: %s%s", path, strerror(-err),
				err == -EADDRINUSE ? "; another program listens on it" : "");
			return err;
		}
		printf("Listening on spice+unix://%s\n", path);
	} else {
		err = spice_server_listen_tcp(server, o->listen, &port);
		if (err) {
			cmd_error("cannot listen on %s port %u: %s%s", o->listen, port,
				strerror(-err),
				err == -EADDRINUSE
					? "; choose another with --port (0 takes any free one)"
					: "");
			return err;
		}
		printf("Listening on spice://%s%s%s:%u\n", v6 ? "[" : "", o->listen, v6 ? "]" : "",
			port);
	}
	fflush(stdout);
	return 0;
}
