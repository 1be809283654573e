# SPDX-License-Identifier: MIT
"""A small recording of QXL work in the format of libspice-server's recorder, drawn from a seed: what a
desktop does (fills, pictures that come again, scrolling, lines, an off-screen surface, a video)."""
import random
import struct

WIDTH, HEIGHT = 640, 480
DRAW, CURSOR, SURFACE = 1, 3, 5
STEP_NS = 4_000_000


class Trace:
	def __init__(self, seed):
		self.random = random.Random(seed)
		self.out = [b"SPICE_REPLAY 1\n"]
		self.events = 0
		self.time_ns = 1_000_000_000
		self.pictures = []  # that may come again: (id, width, height, pixels)

	def say(self, text):
		self.out.append(text.encode() + b"\n")

	def binary(self, name, data):
		self.out.append(b"binary 0 %s %d:" % (name.encode(), len(data)) + data + b"\n")

	def chunk(self, name, data):
		self.say("data_chunks 0 %d" % len(data))
		self.binary(name, data)

	def event(self, is_event, kind):
		self.say("event %d %d %d %d" % (self.events, is_event, kind, self.time_ns))
		self.events += 1

	def rect(self, name, x, y, width, height):
		self.say("rect %s %d %d %d %d" % (name, y, x, y + height, x + width))

	def drawable(self, kind, x, y, width, height, surface=0, clip=None):
		self.time_ns += STEP_NS
		self.event(0, DRAW)
		self.say("drawable")
		self.rect("bbox", x, y, width, height)
		self.say("type %d" % (1 if clip else 0))
		if clip:
			self.say("num_rects %d" % len(clip))
			self.chunk("clip_rects", b"".join(struct.pack("<4i", cy, cx, cy + ch, cx + cw)
				for cx, cy, cw, ch in clip))
		self.say("effect 1\nmm_time 0\nself_bitmap 0\nrect self_bitmap_area 0 0 0 0")
		self.say("surface_id %d" % surface)
		for _ in range(3):
			self.say("surfaces_dest -1\nrect surfaces_rects 0 0 0 0")
		self.say("type %d" % kind)

	def no_mask(self):
		self.say("flags 0\npoint 0 0\nimage 0")

	def image(self, width, height, pixels, number):
		self.say("image 1\ndescriptor.id %d\ndescriptor.type 0\ndescriptor.flags %d" % (
			number, 1 if number else 0))
		self.say("descriptor.width %d\ndescriptor.height %d\nbitmap.format 8\nbitmap.flags 4" % (
			width, height))
		self.say("bitmap.x %d\nbitmap.y %d\nbitmap.stride %d\nhas_palette 0" % (
			width, height, width * 4))
		self.chunk("bitmap.data", pixels)

	# ---- what is drawn ----

	def box(self, most=200):
		width, height = self.random.randint(1, most), self.random.randint(1, most)
		return (self.random.randint(0, WIDTH - width), self.random.randint(0, HEIGHT - height),
			width, height)

	def fill(self, x, y, width, height, color, surface=0, rop=8, clip=None):
		self.drawable(1, x, y, width, height, surface, clip)
		self.say("type 1\nu.color %d\nrop_descriptor %d" % (color, rop))
		self.no_mask()

	def copy(self, x, y, width, height, pixels, number=0, surface=0, clip=None):
		self.drawable(3, x, y, width, height, surface, clip)
		self.image(width, height, pixels, number)
		self.rect("src_area", 0, 0, width, height)
		self.say("rop_descriptor 8\nscale_mode 1")
		self.no_mask()

	def copy_surface(self, x, y, width, height, source):
		self.drawable(3, x, y, width, height)
		self.say("image 1\ndescriptor.id 0\ndescriptor.type 104\ndescriptor.flags 0")
		self.say("descriptor.width %d\ndescriptor.height %d" % (width, height))
		self.say("surface_image.surface_id %d" % source)
		self.rect("src_area", 0, 0, width, height)
		self.say("rop_descriptor 8\nscale_mode 1")
		self.no_mask()

	def move(self, x, y, width, height, from_x, from_y):
		self.drawable(4, x, y, width, height)
		self.say("point %d %d" % (from_x, from_y))

	def line(self, points, color):
		xs, ys = [p[0] for p in points], [p[1] for p in points]
		self.drawable(10, min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)
		self.chunk("path", struct.pack("<2I", 3, len(points)) + b"".join(
			struct.pack("<2i", x * 16, y * 16) for x, y in points))
		self.say("attr.flags 0\ntype 1\nu.color %d\nfore_mode 8\nback_mode 8" % color)

	def photo(self, width, height, phase=0):
		"""Smooth colours with some noise."""
		words = []
		for y in range(height):
			for x in range(width):
				noise = self.random.getrandbits(2)
				words.append((x * 255 // width + noise & 255) << 16 |
					(y * 255 // height + phase * 3 + noise & 255) << 8 |
					((x + y + phase * 5) // 3 & 255))
		return struct.pack("<%dI" % len(words), *words)

	def text(self, width, height):
		"""Black marks on white."""
		row = [0xffffff, 0]
		return struct.pack("<%dI" % (width * height), *(row[self.random.random() < 0.2]
			for _ in range(width * height)))

	def surface_create(self, number, width, height):
		self.event(0, SURFACE)
		self.say("surface_cmd\nsurface_id %d\ntype 0\nflags 0" % number)
		self.say("u.surface_create.format 32\nu.surface_create.width %d" % width)
		self.say("u.surface_create.height %d\nu.surface_create.stride %d" % (height, width * 4))

	def surface_destroy(self, number):
		self.event(0, SURFACE)
		self.say("surface_cmd\nsurface_id %d\ntype 1\nflags 0" % number)

	def cursor(self):
		self.event(0, CURSOR)
		self.say("cursor_cmd\ntype 0\npoint16 20 20\nu.set.visible 1\nheader.unique 1")
		self.say("header.type 0\nheader.width 8\nheader.height 8\nheader.hot_spot_x 0")
		self.say("header.hot_spot_y 0\ndata_size 256")
		self.chunk("cursor", b"\xff" * 256)

	def one(self):
		r = self.random
		kind = r.randrange(8)
		x, y, width, height = self.box()
		if kind == 0:
			self.fill(x, y, width, height, r.getrandbits(24))
		elif kind == 1:
			clip = [(x, y, width, max(height // 3, 1)), (x, y + height // 2, width // 2 + 1, 1)]
			self.fill(x, y, width, height, r.getrandbits(24), rop=r.choice((8, 16, 32, 64)), clip=clip)
		elif kind == 2 or not self.pictures:
			width, height = min(width, 90), min(height, 90)
			pixels = r.choice((self.photo, self.text))(width, height)
			self.pictures.append((r.getrandbits(60) + 1, width, height, pixels))
			self.copy(x, y, width, height, pixels, self.pictures[-1][0])
		elif kind in (3, 4):
			number, width, height, pixels = r.choice(self.pictures[-6:])
			self.copy(r.randint(0, WIDTH - width), r.randint(0, HEIGHT - height), width, height,
				pixels, number)
		elif kind == 5:
			self.move(x, y, width, height, r.randint(0, WIDTH - width), r.randint(0, HEIGHT - height))
		elif kind == 6:
			self.line([(r.randrange(WIDTH), r.randrange(HEIGHT)) for _ in range(4)], r.getrandbits(24))
		else:
			self.copy_surface(x, y, width, height, 7)

	def video(self, frames):
		"""A picture that changes 25 times a second, the last one stays."""
		for i in range(frames):
			self.time_ns += 40_000_000 - STEP_NS
			self.copy(300, 200, 160, 120, self.photo(160, 120, i))


	def grained(self, width, height):
		"""A photograph that nothing makes small."""
		return bytes(v for y in range(height) for x in range(width) for v in (
			x // 4 + self.random.getrandbits(4) & 255, y // 2 + self.random.getrandbits(4) & 255,
			self.random.getrandbits(5) + 100, 0))


def write_wallpaper(path, pause_s):
	"""A picture as large as the screen, which viewers are to keep, three times, with pauses."""
	t = Trace(1)
	t.event(1, 20)
	t.say("%d %d %d 32\n0 1 0 0" % (WIDTH, HEIGHT, -WIDTH * 4))
	t.binary("data", bytes(WIDTH * HEIGHT * 4))
	wallpaper = t.grained(WIDTH, HEIGHT)
	for color in (0x204060, 0x602040, 0x406020):
		t.fill(0, 0, WIDTH, HEIGHT, color)
		t.time_ns += int(pause_s * 1e9)
		t.copy(0, 0, WIDTH, HEIGHT, wallpaper, 77)
		t.time_ns += int(pause_s * 1e9)
	with open(path, "wb") as f:
		f.write(b"".join(t.out))


def write(path, seed, drawings=250, frames=40):
	t = Trace(seed)
	t.event(1, 20)
	t.say("%d %d %d 32\n0 1 0 0" % (WIDTH, HEIGHT, -WIDTH * 4))
	t.binary("data", bytes(WIDTH * HEIGHT * 4))
	t.cursor()
	t.surface_create(7, 220, 220)
	t.fill(0, 0, 220, 220, 0x336699, surface=7)
	t.copy(20, 30, 90, 60, t.photo(90, 60), surface=7)
	t.fill(0, 0, WIDTH, HEIGHT, 0x204060)
	for i in range(drawings):
		t.one()
		if i == drawings // 2:
			t.video(frames)
	t.surface_destroy(7)
	with open(path, "wb") as f:
		f.write(b"".join(t.out))
