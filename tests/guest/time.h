/* SPDX-License-Identifier: MIT */
/* The TSC's frequency, see time.c. */
#ifndef GUEST_TIME_H
#define GUEST_TIME_H

#include "lib.h"

void time_init(void); /* remembers the start of time */

#endif
