# SPDX-License-Identifier: MIT
"""Somebody who types beside a video (the guest's test=movie), over any link: a headless viewer that
notes when each message of the display came, and which of them shows the letter."""
import statistics
import struct
import threading
import time

import lib
import lib_spice

SIZED_STREAM, MONITORS, COMPOSITE, A8, STREAM_REPORT = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4
MULTI_CODEC, MJPEG, VP8 = 1 << 8, 1 << 9, 1 << 10
CODECS = {"mjpeg": MJPEG, "vp8": VP8}
FRAMES = (123, 316) # STREAM_DATA, STREAM_DATA_SIZED
DRAWS = tuple(range(302, 314)) + (318,)
SCANCODE_A, CELL_HEIGHT = 0x1e, 24


class Typist(lib_spice.Viewer):
	"""Reads main and display in threads of its own; `came` is a list of (time, type, bytes, top of
	what was drawn or None)."""

	def __init__(self, port, codec="mjpeg", height=768):
		caps = SIZED_STREAM | COMPOSITE | A8 | MULTI_CODEC | CODECS[codec]
		self.height = height
		self.came = []
		self.main = lib_spice.Link(port, lib_spice.MAIN)
		self.session = struct.unpack("<I", self.main.wait(lib_spice.MAIN_INIT)[:4])[0]
		self.main.send(lib_spice.MAIN_ATTACH)
		self.main.wait(lib_spice.MAIN_CHANNELS)
		self.display = lib_spice.Link(port, lib_spice.DISPLAY, self.session, channel_caps=[caps])
		self.display.send(lib_spice.DISPLAY_INIT, struct.pack("<BqBi", 1, 1 << 22, 1, 1 << 20))
		self.inputs = lib_spice.Link(port, lib_spice.INPUTS, self.session)
		for link in (self.main, self.display, self.inputs):
			link.socket.settimeout(None)
			threading.Thread(target=self._read, args=(link,), daemon=True).start()

	def _read(self, link):
		try:
			while True:
				kind, body = link.message()
				if link is not self.display:
					continue
				top = struct.unpack("<i", body[4:8])[0] if kind in DRAWS else None
				self.came.append((time.monotonic(), kind, len(body), top))
		except OSError:
			pass

	def frames(self):
		return sum(1 for m in list(self.came) if m[1] in FRAMES)

	def type(self, timeout_s=30):
		"""One letter: (milliseconds until it is shown, frames that came before it)."""
		first, pressed = len(self.came), time.monotonic()
		self.key(SCANCODE_A)

		def shown():
			for i in range(first, len(self.came)):
				if self.came[i][3] is not None and self.came[i][3] >= self.height - CELL_HEIGHT:
					return i
			return None
		at = lib.wait_until(lambda: (lambda i: i and (i,))(shown()), timeout_s, "the letter",
			pause_s=0.002)[0]
		return ((self.came[at][0] - pressed) * 1e3,
			sum(1 for m in self.came[first:at] if m[1] in FRAMES))

	def type_many(self, count, pause_s=0.1):
		"""A list of type()'s."""
		rows = []
		for i in range(count):
			rows.append(self.type())
			time.sleep(pause_s + 0.0137 * (i % 7)) # not in step with the video
		return rows


def median(values):
	return statistics.median(values)
