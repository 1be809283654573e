# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: processes with a bounded life, free ports, an X server of one's
own, QEMU with its monitor, and pictures (PNG, PPM, XWD) that are compared pixel by pixel. Python's
standard library only.

A test is a script: `with lib.cleanup(): ...`; everything started by lib.Process (and what is built
on it) ends with that block, by its process id. Exit code 77 is "skipped", any exception a failure.
"""
import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib

SPICEBOX = os.environ.get("SPICEBOX", "spicebox")
BUILD = os.environ.get("SPICEBOX_BUILD", "build")
SOURCE = os.environ.get("SPICEBOX_SOURCE", os.path.dirname(os.path.dirname(
	os.path.dirname(os.path.abspath(__file__)))))

# Where Debian keeps mke2fs, also from those who are not root.
os.environ["PATH"] += ":/usr/sbin:/sbin"

_at_end = contextlib.ExitStack()


def skip(reason):
	print("skipped: " + reason, flush=True)
	sys.exit(77)


def need(*programs):
	"""Skips the test when one of these programs is not installed."""
	for program in programs:
		if not shutil.which(program):
			skip("%s is not installed" % program)


def note(text):
	print(text, flush=True)


def check(condition, text):
	"""One line for each thing shown; the first that does not hold ends the test."""
	note("%s: %s" % ("ok" if condition else "NOT OK", text))
	if not condition:
		raise AssertionError(text)


def wait_until(question, timeout_s=30.0, what="condition", pause_s=0.02):
	"""Asks until the answer is true (which is returned); fails after timeout_s."""
	end = time.monotonic() + timeout_s
	while True:
		answer = question()
		if answer:
			return answer
		if time.monotonic() > end:
			raise TimeoutError("%s did not come about in %g s" % (what, timeout_s))
		time.sleep(pause_s)


@contextlib.contextmanager
def cleanup():
	"""Ends, newest first, all that was started within the block."""
	def on_term(number, frame):
		raise SystemExit(128 + number)
	signal.signal(signal.SIGTERM, on_term)
	try:
		yield
	finally:
		_at_end.close()


def temporary_folder():
	folder = tempfile.mkdtemp(prefix="spicebox-test-")
	_at_end.callback(shutil.rmtree, folder, ignore_errors=True)
	return folder


def free_port():
	"""A TCP port of the loopback that nobody listens on now."""
	with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
		s.bind(("127.0.0.1", 0))
		return s.getsockname()[1]


def port_open(port, host="127.0.0.1"):
	with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
		s.settimeout(1.0)
		return s.connect_ex((host, port)) == 0


class Process:
	"""A child whose output (both streams) goes to a file; ended by its pid at the end."""

	def __init__(self, argv, env=None, name=None, **more):
		self.name = name or os.path.basename(argv[0])
		self.log = tempfile.NamedTemporaryFile(prefix="spicebox-log-", delete=False)
		more.setdefault("stdin", subprocess.DEVNULL)
		more.setdefault("stdout", self.log)
		more.setdefault("stderr", self.log)
		self.child = subprocess.Popen(argv, env=env, **more)
		self.pid = self.child.pid
		_at_end.callback(self._finish)

	def _finish(self):
		self.stop()
		self.log.close()
		if sys.exc_info()[0] is not None or os.environ.get("SPICEBOX_TEST_VERBOSE"):
			note("--- output of %s:\n%s" % (self.name, self.output()[-4000:]))
		os.unlink(self.log.name)

	def output(self):
		with open(self.log.name, "rb") as f:
			return f.read().decode("utf-8", "replace")

	def running(self):
		return self.child.poll() is None

	def wait(self, timeout_s=30.0):
		"""The exit code; TimeoutExpired when it does not end by itself."""
		return self.child.wait(timeout_s)

	def wait_output(self, text, timeout_s=30.0):
		def seen():
			if text in self.output():
				return True
			if not self.running():
				raise AssertionError("%s ended (%s) before it said %r:\n%s" % (
					self.name, self.child.returncode, text, self.output()))
			return False
		wait_until(seen, timeout_s, "%s saying %r" % (self.name, text))

	def signal(self, number):
		if self.running():
			self.child.send_signal(number)

	def stop(self, timeout_s=5.0):
		"""SIGTERM, then SIGKILL; the exit code."""
		if self.running():
			self.signal(signal.SIGCONT)
			self.signal(signal.SIGTERM)
			try:
				self.wait(timeout_s)
			except subprocess.TimeoutExpired:
				self.child.kill()
				self.wait()
		return self.child.returncode


def run(argv, timeout_s=60.0, env=None, stdin=None):
	"""Runs to the end: (exit code, standard output, standard error) as text."""
	done = subprocess.run(argv, env=env, timeout=timeout_s, stdin=stdin or subprocess.DEVNULL,
		stdout=subprocess.PIPE, stderr=subprocess.PIPE)
	return (done.returncode, done.stdout.decode("utf-8", "replace"),
		done.stderr.decode("utf-8", "replace"))


# ---- pictures ----

class Picture:
	"""`rgb` holds width * height * 3 bytes, rows from the top."""

	def __init__(self, width, height, rgb):
		assert len(rgb) == width * height * 3, (width, height, len(rgb))
		self.width, self.height, self.rgb = width, height, bytes(rgb)

	def pixel(self, x, y):
		i = (y * self.width + x) * 3
		return tuple(self.rgb[i:i + 3])

	def row(self, y):
		return self.rgb[y * self.width * 3:(y + 1) * self.width * 3]

	def crop(self, x, y, width, height):
		return Picture(width, height, b"".join(
			self.row(y + i)[x * 3:(x + width) * 3] for i in range(height)))

	def colours(self):
		return len({self.rgb[i:i + 3] for i in range(0, len(self.rgb), 3)})

	def difference(self, other):
		"""None when equal, else a sentence about how they differ."""
		if (self.width, self.height) != (other.width, other.height):
			return "sizes differ: %dx%d and %dx%d" % (
				self.width, self.height, other.width, other.height)
		if self.rgb == other.rgb:
			return None
		count, first = 0, None
		for i in range(0, len(self.rgb), 3):
			if self.rgb[i:i + 3] != other.rgb[i:i + 3]:
				count += 1
				if first is None:
					first = i // 3
		x, y = first % self.width, first // self.width
		return "%d of %d pixels differ, the first at (%d, %d): %s and %s" % (
			count, self.width * self.height, x, y, self.pixel(x, y), other.pixel(x, y))

	def find(self, part):
		"""Where in the picture another lies, in every pixel: (left, top), or None."""
		middle = part.height // 2
		first = part.row(middle)
		for y in range(middle, self.height):
			at = self.row(y).find(first)
			while at >= 0 and at % 3:
				at = self.row(y).find(first, at + 1)
			if at < 0:
				continue
			left, top = at // 3, y - middle
			if top + part.height <= self.height and self.crop(left, top, part.width,
					part.height).difference(part) is None:
				return left, top
		return None

	def write_png(self, path):
		raw = b"".join(b"\0" + self.row(y) for y in range(self.height))

		def chunk(kind, body):
			return (struct.pack(">I", len(body)) + kind + body +
				struct.pack(">I", zlib.crc32(kind + body)))
		with open(path, "wb") as f:
			f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
				">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)) +
				chunk(b"IDAT", zlib.compress(raw, 1)) + chunk(b"IEND", b""))


def read_ppm(path):
	"""Binary PPM (P6, 8 bit)."""
	with open(path, "rb") as f:
		data = f.read()
	fields, pos = [], 0
	while len(fields) < 4:
		while data[pos:pos + 1].isspace():
			pos += 1
		if data[pos:pos + 1] == b"#":
			pos = data.index(b"\n", pos)
			continue
		start = pos
		while not data[pos:pos + 1].isspace():
			pos += 1
		fields.append(data[start:pos])
	if fields[0] != b"P6" or fields[3] != b"255":
		raise ValueError("%s is not an 8-bit binary PPM" % path)
	width, height = int(fields[1]), int(fields[2])
	return Picture(width, height, data[pos + 1:pos + 1 + width * height * 3])


def _unfilter(raw, row_bytes, height, bpp):
	out, prior, pos = bytearray(), bytearray(row_bytes), 0
	for _ in range(height):
		kind, line = raw[pos], bytearray(raw[pos + 1:pos + 1 + row_bytes])
		pos += 1 + row_bytes
		if kind == 2:
			line = bytearray((a + b) & 255 for a, b in zip(line, prior))
		elif kind != 0:
			for i in range(row_bytes):
				a = line[i - bpp] if i >= bpp else 0
				b = prior[i]
				c = prior[i - bpp] if i >= bpp else 0
				if kind == 1:
					guess = a
				elif kind == 3:
					guess = (a + b) >> 1
				else:
					p = a + b - c
					da, db, dc = abs(p - a), abs(p - b), abs(p - c)
					guess = a if da <= db and da <= dc else b if db <= dc else c
				line[i] = (line[i] + guess) & 255
		out += line
		prior = line
	return bytes(out)


def read_png(path):
	"""8-bit PNG without interlace: grey, RGB, palette, with or without alpha (which is dropped)."""
	with open(path, "rb") as f:
		data = f.read()
	if data[:8] != b"\x89PNG\r\n\x1a\n":
		raise ValueError("%s is not a PNG" % path)
	pos, body, palette = 8, b"", b""
	while pos < len(data):
		size, kind = struct.unpack(">I4s", data[pos:pos + 8])
		part = data[pos + 8:pos + 8 + size]
		if struct.unpack(">I", data[pos + 8 + size:pos + 12 + size])[0] != zlib.crc32(kind + part):
			raise ValueError("%s: bad checksum in %r" % (path, kind))
		if kind == b"IHDR":
			width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", part)
		elif kind == b"PLTE":
			palette = part
		elif kind == b"IDAT":
			body += part
		pos += 12 + size
	if depth != 8 or interlace:
		raise ValueError("%s: only 8-bit PNG without interlace is read" % path)
	channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
	raw = _unfilter(zlib.decompress(body), width * channels, height, channels)
	if colour == 2:
		return Picture(width, height, raw)
	rgb = bytearray(width * height * 3)
	if colour == 3:
		for c in range(3):
			rgb[c::3] = bytes(palette[3 * i + c] for i in raw)
	else:
		for c in range(3):
			rgb[c::3] = raw[c if colour == 6 else 0::channels]
	return Picture(width, height, rgb)


def _read_xwd(data):
	size, version, pixmap_format, _, width, height = struct.unpack(">6I", data[:24])
	byte_order, _, _, _, bits, line = struct.unpack(">6I", data[28:52])
	masks = struct.unpack(">3I", data[56:68])
	colours = struct.unpack(">I", data[76:80])[0]
	if version != 7 or pixmap_format != 2 or bits != 32 or masks != (0xff0000, 0xff00, 0xff):
		raise ValueError("not a 32-bit true-colour window dump")
	start = size + colours * 12
	rgb = bytearray(width * height * 3)
	order = (2, 1, 0) if byte_order == 0 else (1, 2, 3)
	for y in range(height):
		row = data[start + y * line:start + y * line + width * 4]
		for c in range(3):
			rgb[y * width * 3 + c:(y + 1) * width * 3:3] = row[order[c]::4]
	return Picture(width, height, rgb)


# ---- X ----

class XServer(Process):
	"""An Xvfb with a display number of its own. `env` is the environment for its clients."""

	def __init__(self, width=1280, height=1024, dpi=96):
		need("Xvfb", "xwd", "xdotool")
		read_end, write_end = os.pipe()
		super().__init__(["Xvfb", "-displayfd", str(write_end), "-screen", "0",
			"%dx%dx24" % (width, height), "-dpi", str(dpi), "-nolisten", "tcp", "-noreset"],
			pass_fds=[write_end], name="Xvfb")
		os.close(write_end)
		with os.fdopen(read_end, "rb") as f:
			number = f.readline().decode().strip()
		if not number:
			raise AssertionError("Xvfb did not start:\n" + self.output())
		self.display = ":" + number
		self.env = dict(os.environ, DISPLAY=self.display)
		self.env.pop("WAYLAND_DISPLAY", None)
		self.env.pop("XAUTHORITY", None)

	def xdotool(self, *words):
		return run(["xdotool"] + [str(w) for w in words], env=self.env)[1].strip()

	def window(self, title, timeout_s=20.0):
		"""Waits for a visible window whose title matches (a regular expression); its id."""
		return wait_until(lambda: self.xdotool(
			"search", "--onlyvisible", "--name", title).split("\n")[0],
			timeout_s, "a window titled %r" % title)

	def window_size(self, window):
		words = dict(line.split("=") for line in self.xdotool(
			"getwindowgeometry", "--shell", window).split("\n") if "=" in line)
		return int(words["WIDTH"]), int(words["HEIGHT"])

	def picture(self, window=None):
		"""What a window (None: the whole screen) shows now. A window that is resized meanwhile gives a
		torn dump, or an error of X's: that is tried again."""
		which = ["-id", str(window)] if window else ["-root"]
		for last in (False, False, False, False, True):
			done = subprocess.run(["xwd", "-silent"] + which, env=self.env, timeout=20,
				stdout=subprocess.PIPE)
			try:
				return _read_xwd(done.stdout)
			except (ValueError, AssertionError, struct.error):
				if last:
					raise
				time.sleep(0.1)

	def wait_picture(self, window, expected, timeout_s=10.0):
		"""Waits until the window shows `expected`, exactly; else fails with the difference."""
		end = time.monotonic() + timeout_s
		while True:
			difference = self.picture(window).difference(expected)
			if difference is None or time.monotonic() > end:
				check(difference is None, "the window shows the expected picture" +
					(" (%s)" % difference if difference else ""))
				return
			time.sleep(0.05)


# ---- QEMU ----

def boot_image(source, name="boot"):
	"""Assembles a boot sector (after `_start`, with DS 0 and the direction up) and makes a floppy-sized
	raw disk of it; its path."""
	stem = os.path.join(temporary_folder(), name)
	with open(stem + ".s", "w") as f:
		f.write(".code16\n.globl _start\n_start:\n\txorw %ax, %ax\n\tmovw %ax, %ds\n\tcld\n" +
			source + "\n\t.org 510\n\t.word 0xaa55\n")
	subprocess.run(["as", "--32", "-o", stem + ".o", stem + ".s"], check=True)
	subprocess.run(["objcopy", "-O", "binary", "-j", ".text", stem + ".o", stem + ".bin"],
		check=True)
	with open(stem + ".bin", "rb") as f:
		sector = f.read()
	assert len(sector) == 512
	with open(stem + ".img", "wb") as f:
		f.write(sector.ljust(1440 * 1024, b"\0"))
	return stem + ".img"


class Qemu(Process):
	"""QEMU, on its software CPU unless told, with a SPICE server on the loopback and its monitor on a
	socket."""

	def __init__(self, spice="disable-ticketing=on,image-compression=off", more=(), vga="std",
			memory="64", accel="tcg"):
		need("qemu-system-x86_64")
		self.folder = temporary_folder()
		self.port = free_port()
		monitor = os.path.join(self.folder, "monitor")
		super().__init__(["qemu-system-x86_64", "-accel", accel, "-m", memory, "-nodefaults",
			"-display", "none", "-vga", vga, "-name", "testvm",
			"-spice", "addr=127.0.0.1,port=%d,%s" % (self.port, spice),
			"-monitor", "unix:%s,server=on,wait=off" % monitor] + list(more), name="qemu")

		def connected():
			if not self.running():
				raise AssertionError("qemu ended:\n" + self.output())
			s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
			if s.connect_ex(monitor) == 0:
				return s
			s.close()
			return None
		self.monitor = wait_until(connected, 20, "qemu's monitor")
		self.monitor.settimeout(20)
		self._read_prompt()

	def _read_prompt(self):
		data = b""
		while not data.endswith(b"(qemu) "):
			part = self.monitor.recv(65536)
			if not part:
				raise AssertionError("qemu closed its monitor")
			data += part
		return data.decode("utf-8", "replace")

	def command(self, line):
		"""One human-monitor command; its output (with the echo of the line)."""
		self.monitor.sendall(line.encode() + b"\n")
		return self._read_prompt()

	def screendump(self):
		path = os.path.join(self.folder, "screen.ppm")
		self.command("screendump " + path)
		return read_ppm(path)

	def wait_still(self, still_s=1.0, timeout_s=60.0, accept=lambda picture: True):
		"""Waits until the screen is accepted and has not changed for a while; the picture. (A text
		screen's cursor blinks for ever: hide it, or wait shorter than its 0.2 s.)"""
		end = time.monotonic() + timeout_s
		last, since = None, 0.0
		while time.monotonic() < end:
			now = self.screendump()
			if last is None or now.difference(last) is not None:
				last, since = now, time.monotonic()
			elif accept(now) and time.monotonic() - since >= still_s:
				return now
			time.sleep(0.1)
		raise TimeoutError("qemu's screen did not come to rest in %g s" % timeout_s)
