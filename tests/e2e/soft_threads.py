#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's cloud kernel on 1, 2 and 4 software CPUs: all of them come up, the kernel has nothing to
complain about and trusts the TSC, and threads see what x86 promises (tests/guest/linux/threads.c)."""
import re

import lib
import lib_linux as linux

INIT = linux.BEGIN + """
/threads 100
echo CPUS $(grep -c ^processor /proc/cpuinfo) $(cat /sys/devices/system/cpu/online)
echo CLOCK $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
echo DONE
exec sh
"""
# What a kernel says of a machine that is not as it should be. (Slow it may be: that is no fault.)
COMPLAINTS = re.compile(r".*(unstable|TSC warp|BUG:|WARNING:|Oops|general protection|invalid opcode|"
	r"segfault|trap |do_IRQ: .* No irq handler|Kernel panic|not responding|split lock).*")


def machine(initrd, cpus):
	vm = linux.Spicebox(initrd, cpus=cpus)
	vm.wait_serial("DONE", 200)
	text = vm.serial()
	vm.stop()
	online = "0" if cpus == 1 else "0-%d" % (cpus - 1)
	lib.check("CPUS %d %s\n" % (cpus, online) in text, "%d CPUs are up" % cpus)
	lib.check("CLOCK tsc\n" in text, "the TSC is the clock")
	found = COMPLAINTS.search(text)
	lib.check(not found, "the kernel has no complaint" + (": " + found.group() if found else ""))
	cases = re.findall(r"THREADS (\S+) (\d+) (\d+) (\d+)\n", text)
	for name, runs, rare, wrong in cases:
		if int(wrong) or not int(runs):
			lib.check(False, "%s: %s of %s wrong" % (name, wrong, runs))
	lib.check(len(cases) > 30 and "THREADS-END 0\n" in text, "%d kinds of consistency hold" % len(cases))
	if cpus > 1:
		seen = sum(int(rare) for name, _, rare, _ in cases)
		lib.note("stores seen to be buffered: %d" % seen)


with lib.cleanup():
	linux.need()
	initrd = linux.initramfs(INIT, ["threads"])
	for cpus in 1, 2, 4:
		machine(initrd, cpus)
