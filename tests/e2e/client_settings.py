# SPDX-License-Identifier: MIT
"""Our viewer on QEMU's libspice-server with each way of packing pictures that it can be set to. The
guest draws while the viewer's window is open, and the window equals QEMU's own screendump in every
pixel; so does a screenshot afterwards. That the pictures came packed as set is read from the viewer's
own count of them. Where QEMU sends JPEG the difference is bounded. Then thousands of random drawings of
every type, each way packed."""
import math
import os
import re

import lib
import lib_guest

# What QEMU is set to, what the viewer is, and the types of images of which some must have come to the
# window. QEMU's own option does not know LZ4, which its server sends to who asks for it.
LOSSLESS = (
	("image-compression=off", "server", ["bitmap"]),
	("image-compression=auto_glz", "server", ["quic", "glz"]),
	("image-compression=auto_lz", "server", ["quic", "lz"]),
	("image-compression=quic", "server", ["quic"]),
	("image-compression=glz", "server", ["glz"]),
	("image-compression=lz", "server", ["lz"]),
	("image-compression=off", "lz4", ["lz4"]),
	("image-compression=lz,jpeg-wan-compression=never", "quic", ["quic"]),
	("image-compression=glz,zlib-glz-wan-compression=always", "server", ["zlib_glz"]),
	# On the same machine nothing is packed unless told.
	("image-compression=quic", "auto", ["bitmap"]),
)
LOSSY = (
	("image-compression=quic,jpeg-wan-compression=always", ["jpeg"]),
	("jpeg-wan-compression=always,zlib-glz-wan-compression=always", ["jpeg", "zlib_glz"]),
)


DRAWINGS = ("image-compression=auto_glz", "image-compression=lz",
	"image-compression=glz,zlib-glz-wan-compression=always")


def counts(log, what):
	"""The viewer's line that tells how many of each kind came."""
	lines = re.findall(r"display: %s received: (.*)" % what, log)
	return {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", lines[-1])}


class Guest(lib.Qemu):
	"""QEMU with a guest that has not begun yet."""

	def __init__(self, spice, append="test=still"):
		self.serial_path = os.path.join(lib.temporary_folder(), "serial")
		super().__init__(spice="disable-ticketing=on," + spice, vga="qxl", memory="128",
			more=["-S", "-kernel", lib_guest.GUEST_ELF, "-append", append,
				"-serial", "file:" + self.serial_path])

	wait_serial = lib_guest.QemuGuest.wait_serial


def view(x, qemu, compression):
	"""The viewer, in whose window the guest then draws: it, the window and what it should show."""
	viewer = lib.Process([lib.SPICEBOX, "connect", "-vv", "--spice-preferred-compression",
		compression, "127.0.0.1:%d" % qemu.port], env=x.env)
	window = x.window("^testvm - spicebox$")
	qemu.command("cont")
	qemu.wait_serial("READY")
	return viewer, window, qemu.screendump()


def check_types(viewer, types, what):
	lib.check(viewer.stop() == 0, "%s: the viewer ends in order" % what)
	images = counts(viewer.output(), "images")
	lib.check(all(images.get(name) for name in types), "%s: %s came (%s)" % (
		what, " and ".join(types), images))
	lib.check(counts(viewer.output(), "drawings")["fill"] >= 60, "%s: as drawings" % what)
	return images


def screenshot(qemu, compression):
	path = os.path.join(qemu.folder, "shot.png")
	code, _, log = lib.run([lib.SPICEBOX, "screenshot", "-vv", "--spice-preferred-compression",
		compression, "127.0.0.1:%d" % qemu.port, path])
	lib.check(code == 0, "a screenshot is taken of %s" % counts(log, "images"))
	return lib.read_png(path)


def check_lossless(x, spice, compression, types):
	what = "%s, wish %s" % (spice, compression)
	qemu = Guest(spice)
	viewer, window, expected = view(x, qemu, compression)
	x.wait_picture(window, expected)
	images = check_types(viewer, types, what)
	lib.check("jpeg" not in images, "%s: nothing lossy came" % what)
	difference = screenshot(qemu, compression).difference(expected)
	lib.check(difference is None, "%s: the screenshot equals QEMU's screendump (%s)" % (
		what, difference or "every pixel"))
	qemu.stop()


def check_reset(x, spice):
	"""The machine begins anew, and the server with its caches and its GLZ window."""
	qemu = Guest(spice)
	viewer, window, expected = view(x, qemu, "server")
	x.wait_picture(window, expected)
	for _ in range(2):
		os.truncate(qemu.serial_path, 0)
		qemu.command("system_reset")
		qemu.wait_serial("READY")
		x.wait_picture(window, qemu.screendump())
	check_types(viewer, ["glz"], "%s, reset" % spice)
	qemu.stop()


def psnr(a, b):
	error = sum((p - q) ** 2 for p, q in zip(a.rgb, b.rgb)) / len(a.rgb)
	return 10 * math.log10(255 * 255 / error) if error else 99.0


def check_lossy(x, spice, types):
	qemu = Guest(spice)
	viewer, window, expected = view(x, qemu, "server")
	# When the last of it has come is not told.
	quality = lib.wait_until(lambda: (lambda q: q if q > 30 else None)(
		psnr(x.picture(window), expected)), what="a window much like the screendump", pause_s=0.2)
	lib.check(quality < 99, "%s: the window is lossy, PSNR %.1f dB" % (spice, quality))
	check_types(viewer, types, spice)
	difference = screenshot(qemu, "server").difference(expected)
	lib.check(difference is None, "%s: who joins later gets what is lossless (%s)" % (
		spice, difference or "every pixel"))
	qemu.stop()


def check_drawings(x, spice, seed):
	"""libspice's canvas draws a surface that was composed with a transformation once as if it always
	were, on the server and in its clients: of cells that are drawn so a few may differ."""
	qemu = Guest(spice, "test=drawings seed=%d" % seed)
	viewer, window, _ = view(x, qemu, "server")
	qemu.wait_serial("INPUT")
	qemu.command("sendkey a")
	qemu.wait_serial("batch 1 drawings")
	expected, cells = qemu.screendump(), []
	def alike():
		cells[:] = lib_guest.differing_cells(x.picture(window), expected, 1)
		return len(cells) < 16 and all({"alpha_blend", "composite"} & set(kinds) for _, kinds, _ in cells)
	try:
		lib.wait_until(alike, 10, "equal pictures", 0.3)
	except TimeoutError:
		pass
	lib.check(alike(), "%s: 2304 drawings: all cells equal but %d%s" % (
		spice, len(cells), "" if len(cells) < 16 else " " + str(cells[:8])))
	lib.check(viewer.stop() == 0, "%s: the viewer ends in order" % spice)
	drawings = counts(viewer.output(), "drawings")
	lib.check(all(drawings.get(kind, 0) > 50 for kind in lib_guest.KINDS), "%s: came as %s, with %s" % (
		spice, drawings, counts(viewer.output(), "images")))
	qemu.stop()


def main():
	lib.need("qemu-system-x86_64", "Xvfb", "xdotool", "xwd")
	with lib.cleanup():
		x = lib.XServer(1280, 1024)
		for case in LOSSLESS:
			check_lossless(x, *case)
		check_reset(x, "image-compression=auto_glz")
		for case in LOSSY:
			check_lossy(x, *case)
		for seed, spice in enumerate(DRAWINGS):
			check_drawings(x, spice, seed)


main()
