#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our server's videos in a real client, spice-gtk with GStreamer: it says that it knows VP8, is sent VP8
and decodes it; told that the client prefers MJPEG, the server sends that from then on, and VP8 again when
asked. What the client shows is near to the guest's frames at that time, and when the video stops it is
soon the guest's picture in every pixel. remote-viewer's window shows the same."""
import functools
import math
import os
import re

import lib
import lib_guest
import lib_spice

LEFT, TOP, WIDTH, HEIGHT = 32, 72, 320, 240
STEP = 8  # every so many pixels of a frame are compared, each way
MJPEG, VP8 = 1, 2  # SPICE_VIDEO_CODEC_TYPE_*
ENTER = 0x1c
PSNR_MIN, EXACT = 30.0, 60.0  # dB


def sine(turns):
	t = (turns - math.floor(turns)) * 2 - 1
	y = 4 * t * (1 - abs(t))
	return -(0.775 * y + 0.225 * y * abs(y))


@functools.lru_cache(maxsize=None)
def plasma(frame):
	"""Pixels of the guest's frame of that number, every STEP-th each way (scene_plasma())."""
	t, out = frame / 240, []
	columns = [(sine(u * 1.1 + t * 1.3), sine(u * 2.3 - t * 2.1 + 0.2))
		for u in (x / WIDTH for x in range(0, WIDTH, STEP))]
	for v in (y / HEIGHT for y in range(0, HEIGHT, STEP)):
		base = sine(v * 0.9 - t) + sine(v * 1.9 + t * 1.7)
		for near, far in columns:
			h = base + near + far * (0.6 + 0.4 * v)
			out += (128 + int(sine(h * 0.18 + t * 0.5) * 110), 70 + int(sine(h * 0.31 + 0.25) * 60),
				150 + int(sine(h * 0.23 + 0.6) * 100))
	return [min(max(value, 0), 255) for value in out]


def movie(picture, left=0, top=0):
	"""The same pixels of a picture, in which the screen begins at (left, top)."""
	return [value for y in range(0, HEIGHT, STEP) for x in range(0, WIDTH, STEP)
		for value in picture.pixel(left + LEFT + x, top + TOP + y)]


def psnr(a, b):
	error = sum((p - q) ** 2 for p, q in zip(a, b)) / len(a)
	return 10 * math.log10(255 * 255 / error) if error else 99.0


def closest(shown, numbers):
	"""The frame among those that such pixels are most like: (PSNR, number)."""
	return max((psnr(shown, plasma(number)), number) for number in numbers)


def frame_now(vm):
	return int(([0] + re.findall(r"frame (\d+)", vm.serial()))[-1])


def beginnings(vm):
	return re.findall(r"stream \d+ begins: (\w+), (\d+)x(\d+) at (\d+),(\d+)", vm.output())


def check_codec(vm, client, codec, begun):
	"""Looks at frames of streams of that codec, of which there were `begun` streams when it was asked
	for. On a busy machine the guest may falter, the stream end, and another begin."""
	def kinds():
		return [stream[0] for stream in beginnings(vm)[begun:]]
	lib.wait_until(lambda: codec in kinds(), 60, "a stream of " + codec)
	seen = []

	def look():
		before = frame_now(vm)
		picture = client.picture()
		# Told each 15 frames; shown up to two seconds after it was drawn.
		found = closest(movie(picture), range(max(before - 90, 0), frame_now(vm) + 16))
		if found[0] < EXACT:  # a frame of a stream
			seen.append(found)
		return len(seen) >= 3 and seen[-1][1] >= seen[0][1] + 30
	lib.wait_until(look, 60, "a video that goes on", pause_s=0.3)
	# One of another kind may have begun before the server was told.
	later = kinds()[kinds().index(codec):]
	lib.check(set(later) == {codec}, "the client is sent %s: %s" % (codec, beginnings(vm)[-1]))
	lib.check(min(seen)[0] >= PSNR_MIN, "%s: the client shows %d frames from %d to %d, not exactly, but "
		"near, at least %.1f dB" % (codec, len(seen), seen[0][1], seen[-1][1], min(seen)[0]))


def decoders(client):
	"""How many pipelines of the client's decode VP8."""
	return client.output().count("pipeline (vp8dec)")


def stop_movie(vm):
	"""Presses Enter; what the guest shows then."""
	main = lib_spice.Link(vm.port, lib_spice.MAIN)
	session = int.from_bytes(main.wait(lib_spice.MAIN_INIT)[:4], "little")
	inputs = lib_spice.Link(vm.port, lib_spice.INPUTS, session)
	for code in (ENTER, ENTER | 0x80):
		inputs.send(lib_spice.INPUTS_KEY_DOWN + (code >> 7), code.to_bytes(4, "little"))
	vm.wait_serial("movie off")
	# Who joins now gets the exact pixels.
	expected = lib_guest.screenshot(vm.port, os.path.join(vm.folder, "shot.png"))
	last = int(re.search(r"movie off (\d+)", vm.serial()).group(1)) - 1
	quality = psnr(movie(expected), plasma(last))
	lib.check(quality > EXACT, "the guest shows frame %d (%.1f dB from ours)" % (last, quality))
	return expected


def check_end(vm, client):
	expected = stop_movie(vm)

	def equal():
		return client.picture().difference(expected) is None
	try:
		lib.wait_until(equal, 10, "equal pictures", 0.1)
	except TimeoutError:
		pass
	lib.check(equal(), "when the video stops, the client shows the guest's picture in every pixel")


def check_window():
	vm = start()
	x = lib.XServer()
	viewer = lib.Process(["remote-viewer", "spice://127.0.0.1:%d" % vm.port], env=x.env)
	window = x.window("viewer|demo")
	lib.wait_until(lambda: beginnings(vm), 60, "a stream")
	begun, pictures = frame_now(vm), []

	def look():
		before = frame_now(vm)
		pictures.append((x.picture(window), range(max(before - 90, 0), frame_now(vm) + 16)))
		return before >= begun + 90
	lib.wait_until(look, 60, "frames of it", pause_s=0.5)
	lib.check({stream[0] for stream in beginnings(vm)} == {"VP8"}, "remote-viewer is sent VP8: %s" % (
		beginnings(vm)[-1],))
	expected = stop_movie(vm)
	# Only now is it known where the screen lies in the window.
	left, top = lib.wait_until(lambda: x.picture(window).find(expected), 15,
		"the guest's picture in remote-viewer's window", 0.2)
	lib.check(True, "when the video stops, it shows the guest's picture in every pixel")
	seen = [closest(movie(picture, left, top), numbers) for picture, numbers in pictures[-4:]]
	lib.check(min(seen)[0] >= PSNR_MIN and min(seen)[0] < EXACT and len({n for _, n in seen}) > 1,
		"before, it showed frames %d to %d, at least %.1f dB near" % (seen[0][1], seen[-1][1],
		min(seen)[0]))
	viewer.stop()
	vm.stop()


def start():
	vm = lib_guest.Spicebox("test=movie movie=%dx%d mode=800x600" % (WIDTH, HEIGHT), more=["-vv"])
	vm.wait_serial("READY")
	return vm


def main():
	lib.need("spicy", "remote-viewer")
	with lib.cleanup():
		vm = start()
		client = lib_guest.GtkViewer(vm.port,
			env=dict(os.environ, SPICE_DEBUG="1", G_MESSAGES_DEBUG="all"))
		lib.wait_until(lambda: re.search(r"handle.*video/x-vp8", client.output()), 60,
			"what GStreamer can")
		if "none can handle 'video/x-vp8'" in client.output():
			lib.skip("GStreamer has no VP8 decoder here (package gstreamer1.0-plugins-good)")
		check_codec(vm, client, "VP8", 0)
		lib.check(decoders(client) > 0, "the client decodes with GStreamer's vp8dec")
		begun = len(beginnings(vm))
		client.say("codec %d" % MJPEG)
		check_codec(vm, client, "MJPEG", begun)
		begun, decoding = len(beginnings(vm)), decoders(client)
		client.say("codec %d" % VP8)
		check_codec(vm, client, "VP8", begun)
		lib.check(decoders(client) > decoding, "and vp8dec is used again")
		check_end(vm, client)
		lib.check(client.running() and vm.running(), "client and server run on")
		client.stop()
		vm.stop()
		check_window()


main()
