# SPDX-License-Identifier: MIT
"""A stock Linux in the machine: Debian's cloud kernel with an initramfs of busybox and what a test
puts beside it. The files are those that `scripts/setup --tests` fetched."""
import os
import stat

import lib

FOLDER = os.path.join(os.environ.get("SPICEBOX_CACHE") or os.path.join(
	os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "spicebox"), "linux-cloud")
KERNEL = os.path.join(FOLDER, "vmlinuz")
BUSYBOX = os.path.join(FOLDER, "busybox")
MEMTEST = os.path.join(FOLDER, "memtest")
# The work-arounds for other CPUs' flaws cost what depends on the CPU that a guest believes to have.
APPEND = "console=ttyS0 mitigations=off panic=-1"
BEGIN = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
"""


def need(*more):
	for path in (KERNEL, BUSYBOX) + more:
		if not os.path.exists(path):
			lib.skip("%s is missing: run scripts/setup --tests" % path)


def program(name):
	"""One of tests/guest/linux."""
	return os.path.join(lib.BUILD, "tests", "guest", "linux", "guest_" + name)


def _entry(number, name, mode, data=b""):
	head = b"070701" + b"".join(b"%08x" % field for field in (number, mode, 0, 0, 1, 0,
		len(data), 0, 0, 0, 0, len(name) + 1, 0)) + name.encode() + b"\0"
	return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def initramfs(init, programs=()):
	"""A CPIO archive with busybox (all of its commands), `init` as /init, and programs of
	tests/guest/linux in /; its path."""
	files = [("init", init.encode())]
	with open(BUSYBOX, "rb") as file:
		files.append(("bin/busybox", file.read()))
	for name in programs:
		with open(program(name), "rb") as file:
			files.append((name, file.read()))
	entries = [(folder, stat.S_IFDIR | 0o755, b"") for folder in (
		"bin", "sbin", "dev", "proc", "sys", "tmp", "root")]
	entries += [(name, stat.S_IFREG | 0o755, data) for name, data in files]
	commands = lib.run([BUSYBOX, "--list"])[1].split()
	entries += [("bin/" + command, stat.S_IFLNK | 0o777, b"busybox")
		for command in commands if command != "busybox"]
	path = os.path.join(lib.temporary_folder(), "initramfs")
	with open(path, "wb") as file:
		for number, (name, mode, data) in enumerate(entries):
			file.write(_entry(number + 1, name, mode, data))
		file.write(_entry(0, "TRAILER!!!", 0))
	return path


class _Linux(lib.Process):
	def serial(self):
		try:
			with open(self.serial_path, "rb") as file:
				return file.read().decode("utf-8", "replace").replace("\r", "")
		except FileNotFoundError:
			return ""

	def wait_serial(self, text, timeout_s=60.0):
		def seen():
			if text in self.serial():
				return True
			if not self.running():
				raise AssertionError("%s ended (%s):\n%s\n%s" % (self.name,
					self.child.returncode, self.output(), self.serial()[-2000:]))
			return False
		try:
			lib.wait_until(seen, timeout_s, "the guest saying %r" % text, 0.01)
		except TimeoutError:
			lib.note(self.serial()[-2000:])
			raise


class Spicebox(_Linux):
	def __init__(self, initrd, cpus=1, memory="512M", append="", more=()):
		self.serial_path = os.path.join(lib.temporary_folder(), "serial")
		super().__init__([lib.SPICEBOX, "serve", "--cpu", "soft", "--port", "0", "-m", memory,
			"-c", str(cpus), "--serial", "file:" + self.serial_path, "--kernel", KERNEL,
			"--initrd", initrd, "--append", APPEND + " " + append, *more])


class Qemu(_Linux):
	def __init__(self, initrd, cpus=1, memory="512M", append="", more=()):
		lib.need("qemu-system-x86_64")
		self.serial_path = os.path.join(lib.temporary_folder(), "serial")
		super().__init__(["qemu-system-x86_64", "-accel", "tcg", "-m", memory, "-smp", str(cpus),
			"-nodefaults", "-display", "none", "-no-reboot", "-vga", "std",
			"-serial", "file:" + self.serial_path, "-kernel", KERNEL,
			"-initrd", initrd, "-append", APPEND + " " + append, *more])
