#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Time in a stock Linux guest on the software CPU: its clocks go as fast as the host's, its wall clock
is the host's, sleeps take what they say, and an idle guest hardly uses the host's CPU."""
import datetime
import os
import re
import time

import lib
import lib_linux as linux

IDLE_S = 15
INIT = linux.BEGIN + """
echo TIME-A $(date +%s) $(cut -d' ' -f1 /proc/uptime)
sleep 1
echo IDLE-BEGIN
sleep {idle}
echo IDLE-END
echo TIME-B $(date +%s) $(cut -d' ' -f1 /proc/uptime)
exec sh
""".format(idle=IDLE_S)


def usage(pid):
	"""CPU seconds, and how often its threads gave up the CPU to wait."""
	seconds = switches = 0
	for task in os.listdir("/proc/%d/task" % pid):
		with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
			seconds += int(file.read().split()[0]) / 1e9
		with open("/proc/%d/task/%s/status" % (pid, task)) as file:
			switches += int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", file.read()).group(1))
	return seconds, switches


def machine(initrd, cpus):
	vm = linux.Spicebox(initrd, cpus=cpus)
	vm.wait_serial("TIME-A ", 120)
	host_a = time.time(), time.monotonic()
	vm.wait_serial("IDLE-BEGIN", 60)
	cpu_a, switches_a = usage(vm.pid)
	vm.wait_serial("IDLE-END", 120)
	cpu_b, switches_b = usage(vm.pid)
	vm.wait_serial("TIME-B ", 60)
	host_b = time.time(), time.monotonic()
	(wall_a, up_a), (wall_b, up_b) = ((int(wall), float(up)) for wall, up in re.findall(
		r"TIME-[AB] (\d+) ([\d.]+)", vm.serial()))
	vm.stop()
	# Bounds that a busy host keeps, too: what is late by seconds is not the clock's rate.
	elapsed = host_b[1] - host_a[1]
	lib.note("%d CPUs: the guest counted %.2f s in %.2f s" % (cpus, up_b - up_a, elapsed))
	lib.check(up_b - up_a >= IDLE_S + 1 and abs(up_b - up_a - elapsed) < 3,
		"the guest's clock goes as the host's")
	lib.check(abs(wall_a - host_a[0]) < 5 and abs(wall_b - host_b[0]) < 5,
		"its wall clock is the host's (%s)" % datetime.datetime.fromtimestamp(
			wall_b, datetime.timezone.utc).isoformat())
	lib.note("idle: %.2f CPU seconds and %d wake-ups in %d s" % (
		cpu_b - cpu_a, switches_b - switches_a, IDLE_S))
	# A CPU that did not sleep would use as many as there are seconds, or the other half of the
	# host's. Linux itself has some tens of timers a second.
	lib.check(cpu_b - cpu_a < IDLE_S / 4, "an idle guest sleeps")
	lib.check(switches_b - switches_a < 400 * IDLE_S, "and is seldom woken")


with lib.cleanup():
	linux.need()
	initrd = linux.initramfs(INIT)
	for cpus in 1, 2:
		machine(initrd, cpus)
