/* SPDX-License-Identifier: MIT */
/* The firmware's debug console. */
#include "hypervisor/debug_port.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/util.h"

enum { DEBUG_PORT = 0x402, DEBUG_PORT_READBACK = 0xe9, LINE_SIZE = 200 };

struct debug_port {
	struct pci_host *host;
	struct byte_port *far_end;
	struct bus_region region;
	pthread_mutex_t lock;
	char line[LINE_SIZE + 1];
	unsigned used;
};

static uint64_t debug_port_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	return DEBUG_PORT_READBACK; /* how firmware knows that the port is there */
}

static void line_add(struct debug_port *port, char c)
{
	if (c != '\n' && c != '\r')
		port->line[port->used++] = c >= 0x20 && c < 0x7f ? c : '?';
	if ((c == '\n' && port->used != 0) || port->used == LINE_SIZE) {
		port->line[port->used] = '\0';
		port->used = 0;
		log_debug("firmware", "%s", port->line);
	}
}

static void debug_port_write(
	struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct debug_port *port = container_of(region, struct debug_port, region);
	uint8_t byte = (uint8_t)value;

	if (port->far_end) {
		port->far_end->ops->write(port->far_end, &byte, 1);
		return;
	}
	pthread_mutex_lock(&port->lock);
	line_add(port, (char)byte);
	pthread_mutex_unlock(&port->lock);
}

static const struct bus_ops debug_port_ops = { .read = debug_port_read, .write = debug_port_write };

int debug_port_create(struct debug_port **out, struct pci_host *host, struct byte_port *far_end)
{
	struct debug_port *port = calloc(1, sizeof(*port));
	int rc;

	if (!port)
		return -ENOMEM;
	port->host = host;
	port->far_end = far_end;
	port->region =
		(struct bus_region){ .ops = &debug_port_ops, .name = "debug-port", .size = 1 };
	pthread_mutex_init(&port->lock, NULL);
	rc = bus_add(host->ports, &port->region, DEBUG_PORT);
	if (rc != 0) {
		debug_port_destroy(port);
		return rc;
	}
	*out = port;
	return 0;
}

void debug_port_destroy(struct debug_port *port)
{
	if (!port)
		return;
	if (port->region.mapped)
		bus_remove(port->host->ports, &port->region);
	pthread_mutex_destroy(&port->lock);
	free(port);
}
