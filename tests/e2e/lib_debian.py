# SPDX-License-Identifier: MIT
"""The standard Debian guest (tests/guest/debian) under spicebox and under QEMU."""
import os
import re
import shutil
import subprocess

import lib

BUILD = os.path.join(lib.SOURCE, "tests", "guest", "debian", "build")
APPEND = "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off"
MEMORY = "1G"


def folder():
	"""Where the image is; it is built when it is not there yet."""
	lib.need("mmdebstrap", "mke2fs")
	where = lib.run(["bash", BUILD, "--where"])[1].strip()
	if not os.path.exists(where) and os.geteuid() and not shutil.which("sudo"):
		lib.skip("building the standard Debian guest needs root or sudo")
	done = subprocess.run(["bash", BUILD], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
		universal_newlines=True)
	if done.returncode:
		raise AssertionError("tests/guest/debian/build ended with %d" % done.returncode)
	return done.stdout.strip()


def _direct_boot(image):
	return [os.path.join(image, name) for name in ("guest.img", "vmlinuz", "initrd.img")]


class Spicebox(lib.Process):
	"""`spicebox serve` with the guest; its serial port is in the output."""

	def __init__(self, image, cpus=1, more=()):
		disk, kernel, initrd = _direct_boot(image)
		super().__init__([lib.SPICEBOX, "serve", disk, "--cpu", "soft", "--port", "0",
			"-m", MEMORY, "-c", str(cpus), "--snapshot", "--serial", "stdio", "--kernel", kernel,
			"--initrd", initrd, "--append", APPEND, *more], stdin=subprocess.PIPE,
			name="spicebox with Debian")
		self.wait_output("Listening on ")
		self.port = int(re.search(r"Listening on spice://[^\s]*:(\d+)", self.output()).group(1))
		self.expected = 0

	def expect(self, text, timeout_s):
		"""Waits until the guest says `text` after what was expected before."""
		def said():
			if text in self.output()[self.expected:]:
				return True
			if not self.running():
				raise AssertionError("spicebox ended (%s)" % self.child.returncode)
			return False
		lib.wait_until(said, timeout_s, "the guest saying %r" % text, 0.1)
		self.expected = self.output().index(text, self.expected) + len(text)

	def type(self, line):
		self.child.stdin.write(line.encode() + b"\n")
		self.child.stdin.flush()

	def ask(self, command, timeout_s=30):
		"""A command of the shell on the serial port: what it prints."""
		self.type("echo BEG''IN; %s; echo EN''D" % command)
		self.expect("BEGIN", timeout_s)
		begin = self.expected
		self.expect("END", timeout_s)
		return self.output()[begin:self.expected - 3].replace("\r", "").strip()


class Qemu(lib.Qemu):
	"""QEMU's software CPU and its QXL device, with the same guest."""

	def __init__(self, image):
		disk, kernel, initrd = _direct_boot(image)
		self.serial_path = os.path.join(lib.temporary_folder(), "serial")
		super().__init__(vga="qxl", memory=MEMORY, more=["-drive",
			"file=%s,format=raw,if=virtio,snapshot=on" % disk, "-serial",
			"file:" + self.serial_path, "-kernel", kernel, "-initrd", initrd, "-append", APPEND])

	def wait_serial(self, text, timeout_s):
		def said():
			if not self.running():
				raise AssertionError("qemu ended")
			with open(self.serial_path, errors="replace") as file:
				return text in file.read()
		lib.wait_until(said, timeout_s, "the guest under QEMU saying %r" % text, 0.1)
