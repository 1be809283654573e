# SPDX-License-Identifier: MIT
"""Captures drawings as libspice-server packs them, as golden bytes.

    SPICEBOX_BUILD=build capture_drawings.py FOLDER

starts QEMU with our test guest, which draws at random, and keeps of each type of drawing, for each part
that it may have, the smallest body that has it, as FOLDER/display-server-<type>-<part>.bin. The files of
these names in tests/golden/spice were made so, with Debian 12's QEMU 7.2 and libspice-server 0.15.1."""
import os
import select
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib
import lib_guest
import lib_spice

FILL, OPAQUE, COPY, BLEND, BLACKNESS, INVERS = 302, 303, 304, 305, 306, 308
ROP3, STROKE, TEXT = 309, 310, 311
TRANSPARENT, ALPHA_BLEND, COMPOSITE = 312, 313, 318
# SIZED_STREAM, MONITORS_CONFIG, COMPOSITE, A8_SURFACE.
CAPS, BATCHES, MOST = 0xf, 3, 8192


class Reader:
	def __init__(self, data):
		self.data, self.at = data, 0

	def take(self, form):
		values = struct.unpack_from("<" + form, self.data, self.at)
		self.at += struct.calcsize("<" + form)
		return values[0] if len(values) == 1 else values


def image(data, at):
	"""What kind of image there is."""
	if not at:
		return "none"
	if data[at + 8] == 104:
		return "surface"
	return "palette" if struct.unpack_from("<I", data, at + 32)[0] else "bitmap"


def brush(r):
	kind = r.take("B")
	if kind == 1:
		r.take("I")
	if kind != 2:
		return []
	at = r.take("I")
	r.take("ii")
	return ["brush_" + image(r.data, at)]


def mask(r):
	r.take("Bii")
	return ["mask"] if r.take("I") else []


def parts(kind, data):
	"""The names of its parts."""
	r = Reader(data)
	r.take("Iiiii")
	out = ["plain"]
	if r.take("B"):
		out.append("clip")
		count = r.take("I")
		r.at += 16 * count
	if kind in (OPAQUE, COPY, BLEND, ROP3, TRANSPARENT):
		out.append(image(data, r.take("I")))
		r.take("iiii")
		if kind in (OPAQUE, ROP3):
			out += brush(r)
		if kind != TRANSPARENT:
			r.take("BB" if kind == ROP3 else "HB")
			out += mask(r)
	elif kind == FILL:
		out += brush(r)
		r.take("H")
		out += mask(r)
	elif BLACKNESS <= kind <= INVERS:
		out += mask(r)
	elif kind == ALPHA_BLEND:
		r.take("BB")
		out.append(image(data, r.take("I")))
	elif kind == STROKE:
		r.take("I")
		if r.take("B") & 8:
			out.append("dashes")
			r.take("BI")
		out += brush(r)
	elif kind == TEXT:
		out.append("a%d" % data[r.take("I") + 2])
		r.take("iiii")
		out += brush(r) + brush(r)
	elif kind == COMPOSITE:
		flags = r.take("I")
		out.append(image(data, r.take("I")))
		out += [name for bit, name in ((19, "mask"), (20, "turned"), (21, "mask_turned"))
			if flags >> bit & 1]
	return out


def main(folder):
	kept = {}
	qemu = lib_guest.QemuGuest("test=drawings seed=3")
	qemu.wait_serial("INPUT")
	main_link = lib_spice.Link(qemu.port, lib_spice.MAIN)
	session = struct.unpack("<I", main_link.wait(lib_spice.MAIN_INIT)[:4])[0]
	main_link.send(lib_spice.MAIN_ATTACH)
	main_link.wait(lib_spice.MAIN_CHANNELS)
	display = lib_spice.Link(qemu.port, lib_spice.DISPLAY, session, channel_caps=(CAPS,))
	display.send(lib_spice.DISPLAY_INIT, struct.pack("<BqBi", 1, 1 << 18, 1, 1 << 18))
	for _ in range(BATCHES):
		qemu.command("sendkey a")
		while display.data or select.select([display.socket], [], [], 1.5)[0]:
			kind, body = display.message()
			drawing = FILL <= kind <= ALPHA_BLEND or kind == COMPOSITE
			if not drawing or len(body) > MOST:
				continue
			for part in parts(kind, body):
				name = "display-server-%d-%s" % (kind, part)
				if name not in kept or len(body) < len(kept[name]):
					kept[name] = body
	done = set()
	for name, body in sorted(kept.items()):
		if body not in done:
			done.add(body)
			with open(os.path.join(folder, name + ".bin"), "wb") as f:
				f.write(body)
	print("%d files" % len(done))


with lib.cleanup():
	main(sys.argv[1])
