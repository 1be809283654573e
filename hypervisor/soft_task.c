/* SPDX-License-Identifier: MIT */
/* Task switches. */
#include "hypervisor/soft_internal.h"

void soft_task_switch(
	struct soft_cpu *cpu, uint16_t selector, struct soft_descriptor *descriptor, int kind)
{
	soft_raise_error(cpu, SOFT_GP, selector & ~3u);
}
