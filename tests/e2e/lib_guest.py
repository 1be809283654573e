# SPDX-License-Identifier: MIT
"""spicebox and QEMU with the test guest in them, for the end-to-end tests."""
import os
import re
import sys

import lib

GUEST_ELF = os.path.join(lib.BUILD, "tests", "guest", "guest.elf")
GUEST_IMG = os.path.join(lib.BUILD, "tests", "guest", "guest.img")


def need_kvm():
	if not os.access("/dev/kvm", os.R_OK | os.W_OK):
		lib.skip("/dev/kvm cannot be used here")


class Spicebox(lib.Process):
	"""`spicebox serve` (or `run`) with the test guest; `serial` is what the guest logs."""

	def __init__(self, append="test=still", command="serve", more=(), env=None, disk=None):
		need_kvm()
		self.folder = lib.temporary_folder()
		self.serial_path = os.path.join(self.folder, "serial")
		argv = [lib.SPICEBOX, command, "--serial", "file:" + self.serial_path]
		argv += [disk] if disk else ["--demo", "--append", append + " log=1"]
		if command == "serve":
			argv += ["--port", "0"]
		super().__init__(argv + list(more), env=env, name="spicebox " + command)
		self.port = 0
		if command == "serve" or "--port" in more:
			self.wait_output("Listening on ", 20)
			found = re.search(r"Listening on spice://[^\s]*:(\d+)", self.output())
			self.port = int(found.group(1)) if found else 0

	def serial(self):
		try:
			with open(self.serial_path, "rb") as f:
				return f.read().decode("utf-8", "replace")
		except FileNotFoundError:
			return ""

	def wait_serial(self, text, timeout_s=30.0):
		def seen():
			if not self.running() and text not in self.serial():
				raise AssertionError("%s ended (%s):\n%s" % (
					self.name, self.child.returncode, self.output()))
			return text in self.serial()
		lib.wait_until(seen, timeout_s, "the guest saying %r (it said: %r)" % (
			text, self.serial()[-400:]))

	def memory(self, field="RssAnon"):
		"""A field of /proc/PID/status in bytes."""
		with open("/proc/%d/status" % self.pid) as f:
			for line in f:
				if line.startswith(field + ":"):
					return int(line.split()[1]) * 1024
		return 0


class QemuGuest(lib.Qemu):
	"""The same guest under QEMU, with its QXL device and libspice's rendering."""

	def __init__(self, append="test=still", accel="tcg"):
		self.serial_path = os.path.join(lib.temporary_folder(), "serial")
		super().__init__(vga="qxl", memory="128", accel=accel, more=["-kernel", GUEST_ELF,
			"-append", append + " log=1", "-serial", "file:" + self.serial_path])
		self.wait_serial("READY")

	def wait_serial(self, text, timeout_s=60.0):
		def seen():
			if not self.running():
				raise AssertionError("qemu ended:\n" + self.output())
			if not os.path.exists(self.serial_path):
				return False
			with open(self.serial_path, errors="replace") as f:
				return text in f.read()
		lib.wait_until(seen, timeout_s, "the guest under QEMU saying %r" % text)


class GtkViewer(lib.Process):
	"""spice-gtk's library, headless."""

	def __init__(self, port, env=None):
		self.folder = lib.temporary_folder()
		super().__init__([sys.executable, os.path.join(os.path.dirname(__file__), "_gtk_viewer.py"),
			"spice://127.0.0.1:%d" % port], name="spice-gtk", stdin=-1, env=env)
		self.asked = 0

	def say(self, line):
		self.child.stdin.write(line.encode() + b"\n")
		self.child.stdin.flush()

	def picture(self):
		"""What it shows, None for nothing yet."""
		self.asked += 1
		path = os.path.join(self.folder, "picture%d.ppm" % self.asked)
		self.say(path)
		lib.wait_until(lambda: os.path.exists(path), 20, "spice-gtk's answer")
		shown = lib.read_ppm(path) if os.path.getsize(path) else None
		os.unlink(path)
		return shown


def reference(append="test=still"):
	"""What the same guest shows under QEMU."""
	qemu = QemuGuest(append)
	picture = qemu.wait_still(0.5)
	qemu.stop()
	return picture


# What test=drawings draws on its cells, two of these on each, in this order (scene_drawings.c).
CELL, KINDS = 32, """fill opaque copy blend blackness whiteness invers rop3 stroke text transparent
alpha_blend composite copy_bits""".split()


def differing_cells(picture, expected, batch):
	"""Each cell that is not as expected: its number, the kinds drawn on it, the difference."""
	columns, found = expected.width // CELL, []
	for cell in range(columns * (expected.height // CELL)):
		x, y = cell % columns * CELL, cell // columns * CELL
		part = picture.crop(x, y, CELL, CELL).difference(expected.crop(x, y, CELL, CELL))
		if part is not None:
			kinds = [KINDS[(7 * batch + 2 * cell + d) % len(KINDS)] for d in range(2)]
			found.append((cell, kinds, part))
	return found


def spicy_screenshot(port, path, timeout_s=60):
	"""The picture that spice-gtk's screenshot program takes."""
	lib.need("spicy-screenshot")
	code, out, err = lib.run(["spicy-screenshot", "-h", "127.0.0.1", "-p", str(port),
		"--out-file", path], timeout_s=timeout_s)
	if code != 0 or not os.path.exists(path):
		raise AssertionError("spicy-screenshot ended with %d: %s%s" % (code, out, err))
	return lib.read_ppm(path)


def screenshot(port, path, timeout_s=60, more=()):
	"""The picture that `spicebox screenshot` takes."""
	code, out, err = lib.run([lib.SPICEBOX, "screenshot", "127.0.0.1:%d" % port, path] + list(more),
		timeout_s=timeout_s)
	if code != 0:
		raise AssertionError("spicebox screenshot ended with %d: %s%s" % (code, out, err))
	return lib.read_png(path)
