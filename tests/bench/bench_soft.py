#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How fast the software CPU is beside QEMU's (TCG): Debian's cloud kernel from the program's start to
a busybox shell, then the cases of tests/guest/linux/speed.c in that guest's user space, with one CPU.
The two take turns; one line of JSON a case: seconds by the guest's clock (the start's and the
desktop's by the host's) and the process's CPU seconds, of both the medians and the ratio (above 1:
slower than QEMU). On a busy machine the CPU seconds, and of these the least, say the most.

    SPICEBOX=build/spicebox SPICEBOX_BUILD=build tests/bench/bench_soft.py [--runs N] [--case NAME]...
"""
import argparse
import json
import os
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib  # noqa: E402
import lib_linux as linux  # noqa: E402

BOOT, LOGIN, DESKTOP = "boot_to_shell", "login", "desktop"


def cpu_seconds(pid):
	"""What a process has used of the CPUs."""
	total = 0
	for task in os.listdir("/proc/%d/task" % pid):
		with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
			total += int(file.read().split()[0])
	return total / 1e9


def wait_cases(vm, seen):
	"""Until the guest is through; calls seen(name, its seconds, checksum) as it tells of a case."""
	known, end = 0, time.monotonic() + 600
	while time.monotonic() < end:
		text = vm.serial()
		found = re.findall(r"SPEED (\w+) (\d+) (\w+)\n", text)
		for name, us, checksum in found[known:]:
			seen(name, int(us) / 1e6, checksum)
		known = len(found)
		if "SPEED-END" in text:
			return
		time.sleep(0.001)
	raise TimeoutError("the guest's cases did not end")


def run_linux(machine, initrd, speed):
	"""By case: seconds, and CPU seconds on the host; and the checksums."""
	begun = time.monotonic()
	vm = machine(initrd)
	vm.wait_serial("SHELL-IS-UP", 120)
	last = cpu_seconds(vm.pid)
	seconds, sums = {BOOT: (time.monotonic() - begun, last)}, {}

	def seen(name, took, checksum):
		nonlocal last
		now = cpu_seconds(vm.pid)
		seconds[name], sums[name], last = (took, now - last), checksum, now
	if speed:
		wait_cases(vm, seen)
	vm.stop()
	return seconds, sums


def run_desktop(command, serial):
	begun, seconds = time.monotonic(), {}
	vm = lib.Process(command)
	for case, text in (LOGIN, "login: "), (DESKTOP, "XREADY"):
		lib.wait_until(lambda: os.path.exists(serial) and text in open(
			serial, errors="replace").read(), 900, text, 0.1)
		seconds[case] = (time.monotonic() - begun, cpu_seconds(vm.pid))
	vm.stop()
	return seconds


def desktop_commands(folder):
	"""Both machines with the standard guest: (command, serial file) each."""
	kernel, initrd, disk = (os.path.join(folder, name) for name in (
		"vmlinuz", "initrd.img", "guest.img"))
	append = "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off"
	ours, theirs = (os.path.join(lib.temporary_folder(), "serial") for _ in range(2))
	return {
		"spicebox": ([lib.SPICEBOX, "serve", "--cpu", "soft", "--port", "0", "-m", "1G",
			"--snapshot", "--serial", "file:" + ours, "--kernel", kernel, "--initrd", initrd,
			"--append", append, disk], ours),
		"qemu": (["qemu-system-x86_64", "-accel", "tcg", "-m", "1G", "-nodefaults",
			"-display", "none", "-vga", "qxl", "-snapshot", "-serial", "file:" + theirs,
			"-spice", "addr=127.0.0.1,port=%d,disable-ticketing=on" % lib.free_port(),
			"-kernel", kernel, "-initrd", initrd, "-append", append,
			"-drive", "file=%s,if=virtio,format=raw" % disk], theirs),
	}


def report(runs, wanted):
	names = list(dict.fromkeys(name for run in runs["spicebox"] for name in run))
	for name in names:
		if wanted and name not in wanted:
			continue
		row = {"case": name, "unit": "s", "runs": len(runs["spicebox"])}
		for who in ("spicebox", "qemu"):
			for part, what in enumerate(("", "_cpu")):
				values = [run[name][part] for run in runs[who]]
				row[who + what] = round(statistics.median(values), 4)
				row[who + what + "_min"] = round(min(values), 4)
		for what in "", "_cpu", "_cpu_min":
			row["ratio" + what] = round(row["spicebox" + what] / row["qemu" + what], 3)
		print(json.dumps(row), flush=True)


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--runs", type=int, default=3)
	parser.add_argument("--case", action="append", default=[],
		help="report this case alone (may be given several times)")
	parser.add_argument("--desktop", metavar="FOLDER",
		help="where tests/guest/debian/build put the standard guest: only time to its login and desktop")
	arguments = parser.parse_args()
	linux.need()
	lib.need("qemu-system-x86_64")
	runs = {"spicebox": [], "qemu": []}
	with lib.cleanup():
		if arguments.desktop:
			for _ in range(arguments.runs):
				for who, (command, serial) in desktop_commands(arguments.desktop).items():
					runs[who].append(run_desktop(command, serial))
			report(runs, arguments.case)
			return
		speed = not arguments.case or set(arguments.case) - {BOOT}
		initrd = linux.initramfs(linux.BEGIN + "echo SHELL-IS-UP\n" +
			("/speed\n" if speed else "") + "exec sh\n", ["speed"])
		for _ in range(arguments.runs):
			sums = []
			for who, machine in (("spicebox", linux.Spicebox), ("qemu", linux.Qemu)):
				seconds, checksums = run_linux(machine, initrd, speed)
				runs[who].append(seconds)
				sums.append(checksums)
			if sums[0] != sums[1]:
				raise AssertionError("they compute differently: %s, %s" % tuple(sums))
		report(runs, arguments.case)


if __name__ == "__main__":
	main()
