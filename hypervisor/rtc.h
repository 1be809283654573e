/* SPDX-License-Identifier: MIT */
/* The real-time clock and CMOS memory, Motorola MC146818, at ports 0x70 and 0x71, IRQ 8. */
#ifndef HYPERVISOR_RTC_H
#define HYPERVISOR_RTC_H

#include <stdint.h>
#include <time.h>

#include "hypervisor/pci.h"

enum { RTC_GSI = 8, RTC_CENTURY = 0x32 };

/* What firmware reads from the CMOS memory. */
struct rtc_config {
	uint64_t ram_below_4g; /* bytes */
	uint64_t ram_above_4g;
	uint32_t cpus;
	/* Up to three boot devices, the first in bits 0-3: 1 floppy, 2 disk, 3 CD, 4 network. 0: disk,
	 * then CD. Only used where fw_cfg's "bootorder" does not say. */
	uint16_t boot_order;
	/* UTC now in nanoseconds since 1970; NULL: CLOCK_REALTIME. Any thread. For tests. */
	int64_t (*now_ns)(void *opaque);
	void *opaque;
};

struct rtc;

int rtc_create(struct rtc **out, struct pci_host *host, const struct rtc_config *config);
/* On the loop thread. */
void rtc_destroy(struct rtc *rtc);
/* A machine reset: interrupts off; the clock, the CMOS memory and the shutdown status stay. */
void rtc_reset(struct rtc *rtc);

#endif
