/* SPDX-License-Identifier: MIT */
/* The options that `run` and `serve` share: the machine, and who may look at it. */
#ifndef CMD_VM_OPTIONS_H
#define CMD_VM_OPTIONS_H

#include "cmd/server_options.h"
#include "hypervisor/machine.h"

#define VM_MAX_DISKS 8

enum vm_cpu { VM_CPU_AUTO, VM_CPU_KVM, VM_CPU_SOFT };

struct vm_options {
	enum vm_cpu cpu;
	uint64_t memory_bytes;
	uint32_t cpus;
	struct machine_disk disks[VM_MAX_DISKS];
	uint32_t disk_count;
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *serial;
	const char *name; /* for titles; never NULL after parsing */
	bool demo;
	bool snapshot;
	bool headless;
	bool full_screen;
	/* Serving. */
	bool listen_given; /* --listen or --port */
	const char *listen;
	uint16_t port;
	const char *password_file;
	bool insecure;
	struct server_options server;
	const char *control; /* the path of its socket; NULL: none */
};

/* Parses argv of `subcommand` ("run" or "serve"). Returns -1 to go on, else the exit code (an error
 * was printed, or the help). Strings stay argv's. */
int vm_options_parse(struct vm_options *options, const char *subcommand, int argc, char **argv);

#endif
