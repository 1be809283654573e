# SPDX-License-Identifier: MIT
"""Our viewer on Xspice, an X server that is a SPICE server: X's QXL driver sends what no other guest
does. While the viewer's window is open X programs draw: a scrolling terminal, windows that are dragged,
pictures, x11perf's drawing tests. After each the window equals Xspice's own screen in every pixel, and
in the end so does a screenshot. The sizes of the viewer's caches are also set very small."""
import os
import random
import re
import subprocess
import time

import lib

XORG = "/usr/lib/xorg/Xorg" # not the wrapper in front of it, which wants a console
DRIVER = "/usr/lib/xorg/modules/drivers/spiceqxl_drv.so"

# Options that its driver forgets the defaults of are given.
CONFIG = """
Section "Device"
	Identifier "XSPICE"
	Driver "spiceqxl"
	Option "SpiceAddr" "127.0.0.1"
	Option "SpicePort" "%(port)d"
	Option "SpiceDisableTicketing" "True"
	Option "SpiceStreamingVideo" "off"
	Option "SpiceImageCompression" "%(compression)s"
	Option "NumHeads" "1"
	Option "SurfaceBufferSize" "128"
	Option "CommandBufferSize" "128"
	Option "FrameBufferSize" "16"
	Option "EnableImageCache" "True"
	Option "EnableFallbackCache" "True"
	Option "EnableSurfaces" "True"
EndSection
Section "InputDevice"
	Identifier "pointer"
	Driver "xspice pointer"
EndSection
Section "InputDevice"
	Identifier "keyboard"
	Driver "xspice keyboard"
EndSection
Section "Monitor"
	Identifier "monitor"
EndSection
Section "Screen"
	Identifier "screen"
	Monitor "monitor"
	Device "XSPICE"
	DefaultDepth 24
	SubSection "Display"
		Depth 24
		Modes "1024x768"
	EndSubSection
EndSection
Section "ServerLayout"
	Identifier "layout"
	Screen "screen"
	InputDevice "keyboard"
	InputDevice "pointer"
EndSection
Section "ServerFlags"
	Option "AutoAddDevices" "False"
EndSection
"""

# One of each way to draw, of which the driver makes different commands.
X11PERF = """dot rect500 srect100 tilerect100 bigtilerect500 eschertilerect100 dseg100 line100
ddline100 wline100 orect100 fcircle100 wdellipse100 strap100 aatrap100 addaatrapezoid100 complex100 ftext
polytext aa10text rgb24text a24text scroll500 copywinwin500 copypixwin100 copyplane100 putimage100
shmput500 compwinwin100 comppixwin500 magpixwin100 move""".split()


class Xspice(lib.XServer):
	"""An Xspice with a display number and a port of its own."""

	def __init__(self, compression):
		lib.need(XORG, "xwd", "xdotool", "xterm", "x11perf", "xsetroot", "display")
		if not os.path.exists(DRIVER):
			lib.skip("xserver-xspice is not installed")
		self.port = lib.free_port()
		folder = lib.temporary_folder()
		config = os.path.join(folder, "xorg.conf")
		with open(config, "w") as f:
			f.write(CONFIG % {"port": self.port, "compression": compression})
		read_end, write_end = os.pipe()
		lib.Process.__init__(self, [XORG, "-config", config, "-noreset", "-nolisten", "tcp",
			"-displayfd", str(write_end), "-logfile", os.path.join(folder, "log")],
			pass_fds=[write_end], name="Xspice")
		os.close(write_end)
		with os.fdopen(read_end, "rb") as f:
			number = f.readline().decode().strip()
		if not number:
			raise AssertionError("Xspice did not start:\n" + self.output())
		self.env = dict(os.environ, DISPLAY=":" + number)
		self.env.pop("XAUTHORITY", None)

	def dump(self):
		"""The screen as xwd gives it, cheaper than a picture."""
		return subprocess.run(["xwd", "-silent", "-root"], env=self.env, timeout=20,
			stdout=subprocess.PIPE, check=True).stdout

	def start(self, *argv):
		return lib.Process(list(argv), env=self.env)

	def run(self, *argv):
		code, _, errors = lib.run(list(argv), env=self.env)
		if code != 0:
			raise AssertionError("%s: %s" % (argv[0], errors))


class Eye:
	"""The viewer's window, and the screen that it should show."""

	def __init__(self, xspice, screen, *options):
		self.xspice, self.screen = xspice, screen
		self.viewer = lib.Process([lib.SPICEBOX, "connect", "-vv", "--title", "eye", *options,
			"127.0.0.1:%d" % xspice.port], env=screen.env)
		self.window = screen.window("^eye - spicebox$")

	def compare(self, what, timeout_s=10.0):
		"""Nothing may be drawing now."""
		end = time.monotonic() + timeout_s
		while True:
			expected = self.xspice.picture()
			difference = self.screen.picture(self.window).difference(expected)
			if difference is None or time.monotonic() > end:
				break
			time.sleep(0.05)
		lib.check(difference is None, "%s: every pixel of %d colours%s" % (
			what, expected.colours(), " (%s)" % difference if difference else ""))


def root_patterns(eye):
	x = eye.xspice
	# Over most windows the pointer is drawn by the X server, which leaves it out of its dumps.
	x.xdotool("mousemove", 1023, 767)
	x.run("xsetroot", "-solid", "#336699")
	eye.compare("a plain root")
	x.run("xsetroot", "-mod", "16", "12", "-fg", "#ffcc00", "-bg", "#004400")
	eye.compare("a tiled root")


def terminal(eye):
	x = eye.xspice
	done = os.path.join(lib.temporary_folder(), "done")
	xterm = x.start("xterm", "-geometry", "100x40+50+40", "-bg", "#002b36", "-fg", "#93a1a1", "-e",
		"sh", "-c", "seq -f 'line %%g of a long text that scrolls by' 1 1500; touch %s; sleep 600" % done)
	lib.wait_until(lambda: os.path.exists(done), what="the end of the text")
	still(x)
	eye.compare("a terminal that scrolled")
	return xterm


def still(x):
	"""Waits until the screen has not changed for a moment."""
	last, same = None, 0
	while same < 2:
		now = x.dump()
		same = same + 1 if now == last else 0
		last = now
		time.sleep(0.05)


def drag(eye):
	x = eye.xspice
	clock = x.start("xlogo", "-geometry", "200x150+300+300", "-bg", "#ffeedd")
	window = x.window("xlogo")
	rng = random.Random(7)
	for i in range(30):
		x.xdotool("windowmove", window, rng.randrange(-50, 800), rng.randrange(-50, 600))
	still(x)
	eye.compare("windows that were dragged")
	clock.stop()


def pictures(eye, folder):
	x = eye.xspice
	rng = random.Random(11)
	photo = bytearray()
	for j in range(300):
		for i in range(400):
			n = rng.randrange(8)
			photo += bytes((min(255, i * 255 // 400 + n), min(255, j * 255 // 300 + n),
				(i * j // 97 + n) & 255))
	path = os.path.join(folder, "photo.png")
	lib.Picture(400, 300, photo).write_png(path)
	shown = [x.start("display", "-geometry", "+%d+%d" % (at, at), path) for at in (20, 400)]
	lib.wait_until(lambda: x.picture().colours() > 20000, what="the pictures")
	still(x)
	eye.compare("pictures")
	for process in shown:
		process.stop()


def x11perf(eye, tests):
	x = eye.xspice
	before = x.dump()
	for test in tests:
		# What the first run drew stays until the pause ends.
		perf = x.start("x11perf", "-repeat", "2", "-pause", "60", "-reps", "5", "-" + test)
		lib.wait_until(lambda: x.dump() != before, what="x11perf's window")
		still(x)
		eye.compare("x11perf -" + test)
		perf.child.kill()
		perf.wait()
		lib.wait_until(lambda: x.dump() == before, what="the end of x11perf")


def counts(log, what):
	line = re.findall(r"display: %s received: (.*)" % what, log)[-1]
	return {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", line)}


def check(screen, compression, tests, *options):
	xspice = Xspice(compression)
	lib.note("--- image-compression=%s, viewer %s" % (compression, " ".join(options)))
	eye = Eye(xspice, screen, "--spice-preferred-compression", "server", *options)
	eye.compare("the empty screen")
	root_patterns(eye)
	xterm = terminal(eye)
	drag(eye)
	pictures(eye, lib.temporary_folder())
	x11perf(eye, tests)
	eye.compare("the terminal alone")
	lib.check(eye.viewer.stop() == 0, "the viewer ends in order")
	images = counts(eye.viewer.output(), "images")
	drawings = counts(eye.viewer.output(), "drawings")
	lib.check(images["glz"] > 500 and images["from_cache"] > 500, "images came: %s" % images)
	lib.check(drawings["copy_bits"] > 10 and drawings["fill"] > 100, "drawings came: %s" % drawings)
	path = os.path.join(lib.temporary_folder(), "shot.png")
	code, _, errors = lib.run([lib.SPICEBOX, "screenshot", "127.0.0.1:%d" % xspice.port, path])
	lib.check(code == 0 and lib.read_png(path).difference(xspice.picture()) is None,
		"a screenshot equals it, too" + errors)
	xterm.stop()
	xspice.stop()


def main():
	with lib.cleanup():
		screen = lib.XServer(1280, 1024)
		check(screen, "auto_glz", X11PERF)
		# Of which much goes again: a quarter of the screen fits in.
		check(screen, "glz", ["putimage500", "copypixwin500"], "--spice-cache-size", "1M",
			"--spice-glz-window-size", "1M")


main()
