#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`spicebox serve --control`: while a viewer is connected and a video plays, `spicebox control` changes
how pictures are packed, whether they go as JPEG, and whether the video is one; the messages on the wire
follow. The socket is its owner's alone, is removed at the end, and survives what is not a command."""
import os
import socket
import stat
import struct
import time

import lib
import lib_guest
import lib_spice

STREAM_CREATE, STREAM_DATA, STREAM_DESTROY, DRAW_COPY = 122, 123, 125, 304
BITMAP, QUIC, LZ_RGB, GLZ_RGB, JPEG, ZLIB_GLZ, LZ4 = 0, 1, 101, 102, 105, 107, 109
# composite, a8, lz4; many codecs, MJPEG
CAPS = 1 << 2 | 1 << 3 | 1 << 5 | 1 << 8 | 1 << 9
MOVIE_WIDTH, MOVIE_HEIGHT = 320, 240


def image_type(body):
	"""The type of the picture that a DRAW_COPY brings; None if it is not one of the movie's size."""
	clip, at = body[20], 21
	if clip == 1:
		at += 4 + 16 * struct.unpack_from("<I", body, at)[0]
	at = struct.unpack_from("<I", body, at)[0]
	_, kind, _, width, height = struct.unpack_from("<QBBII", body, at)
	return kind if width >= MOVIE_WIDTH // 2 and height >= MOVIE_HEIGHT // 2 else None


def next_event(viewer):
	"""What happens next to the movie: the image type of a drawn frame, or a stream's message."""
	while True:
		kind, body = viewer.display.message()
		if kind in (STREAM_CREATE, STREAM_DATA, STREAM_DESTROY):
			return "stream", kind
		if kind == DRAW_COPY and image_type(body) is not None:
			return "image", image_type(body)


def wait_for(viewer, wanted, what, timeout_s=30):
	"""Reads until six events in a row are as wanted: what was on its way has come by then."""
	end, row, seen = time.monotonic() + timeout_s, 0, []
	while row < 6:
		seen.append(next_event(viewer))
		row = row + 1 if seen[-1] in wanted else 0
		if time.monotonic() > end:
			break
	lib.check(row == 6, "%s (%d messages later; the last: %s)" % (what, len(seen) - row, seen[-1]))
	return seen


class Control:
	def __init__(self, path):
		self.path = path

	def __call__(self, *words, code=0):
		got, out, err = lib.run([lib.SPICEBOX, "control", self.path] + list(words), timeout_s=20)
		if got != code:
			raise AssertionError("control %s ended with %d: %s%s" % (words, got, out, err))
		return (out if code == 0 else err).strip()


def images(*kinds):
	return [("image", kind) for kind in kinds]


def check_settings(control, viewer):
	lib.check(control("get") == "image-compression=quic jpeg=never video=off",
		"the settings are those of the command line")
	wait_for(viewer, images(QUIC), "frames come as QUIC images")
	for name, kinds in (("lz", (LZ_RGB,)), ("glz", (GLZ_RGB, ZLIB_GLZ)), ("lz4", (LZ4,)),
			("off", (BITMAP,)), ("quic", (QUIC,))):
		lib.check(control("set", "image-compression", name) == "", "set image-compression " + name)
		wait_for(viewer, images(*kinds), "frames come as %s from then on" % name)
		lib.check(control("get", "image-compression") == name, "and that is told")
	control("set", "image-compression", "auto")
	control("set", "jpeg", "always")
	wait_for(viewer, images(JPEG), "set jpeg always: frames come as JPEG images")
	control("set", "jpeg", "never")
	wait_for(viewer, images(BITMAP, QUIC, LZ_RGB, GLZ_RGB, LZ4),
		"set jpeg never: they come exactly again")
	control("set", "video", "all")
	seen = wait_for(viewer, [("stream", STREAM_DATA)], "set video all: they come as a stream")
	lib.check(("stream", STREAM_CREATE) in seen, "which began then")
	control("set", "video", "all")
	for _ in range(20):
		event = next_event(viewer)
		if event != ("stream", STREAM_DATA):
			raise AssertionError("setting it once more changed something: %s" % (event,))
	lib.check(True, "setting what is set already ends no stream")
	control("set", "video", "off")
	seen = wait_for(viewer, images(BITMAP, QUIC, LZ_RGB, GLZ_RGB, LZ4),
		"set video off: they come as images")
	lib.check(("stream", STREAM_DESTROY) in seen, "and the stream was ended")


def check_mistakes(control, folder):
	text = control("set", "video", "often", code=1)
	lib.check(text == "spicebox: it wants auto, all or off", "a wrong value: %r" % text)
	text = control("set", "colour", "red", code=1)
	lib.check("no such setting" in text, "a wrong setting: %r" % text)
	text = control("become", "a teapot", code=1)
	lib.check("no such command" in text, "a wrong command: %r" % text)
	control("get\nset video all", code=2)
	control("x" * 400, code=2)
	text = Control(os.path.join(folder, "nobody"))("get", code=1)
	lib.check("does a VM run with --control" in text, "where no VM is: %r" % text)
	lib.check("image-compression: auto" in control("help"), "help lists the settings")
	lib.check(control("get", "video") == "off", "nothing of that changed anything")


def check_hostile(control):
	"""Bytes that are no commands, and connections that stay."""
	held = []
	for data in (b"", b"\0" * 300, b"\xff\xfe\n" * 90, b"set video", b"a" * 100000, b"\n" * 20000):
		s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
		s.connect(control.path)
		s.settimeout(5)
		held.append(s)
		try:
			s.sendall(data)
		except OSError:  # closed on the way, or never read any more
			pass
		lib.check(control("get", "video") == "off", "%d hostile bytes: another is served" % len(data))
	for _ in range(30):
		s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
		s.connect(control.path)
		held.append(s)
	lib.check(control("get", "video") == "off", "36 connections: another is served")
	for s in held:
		s.close()


def check_path(vm, control):
	mode = os.lstat(control.path).st_mode
	lib.check(stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600, "a socket of mode 0600")
	code, _, err = lib.run([lib.SPICEBOX, "serve", "--demo", "--port", "0", "--control", control.path])
	lib.check(code == 1 and "cannot make the control socket" in err,
		"a path in use is refused: %r" % err.strip().split("\n")[-1])
	lib.check(control("get", "video") == "off", "and the first goes on")
	path = os.path.join(vm.folder, "file")
	with open(path, "w") as f:
		f.write("mine")
	code, _, err = lib.run([lib.SPICEBOX, "serve", "--demo", "--port", "0", "--control", path])
	with open(path) as f:
		lib.check(code == 1 and f.read() == "mine", "a file is refused and stays")
	code, _, err = lib.run([lib.SPICEBOX, "run", "--demo", "--headless", "--control", path])
	lib.check(code == 2 and "--port" in err, "without viewers there is nothing to control: %r" % err)


def main():
	with lib.cleanup():
		folder = lib.temporary_folder()
		control = Control(os.path.join(folder, "control"))
		vm = lib_guest.Spicebox("test=movie movie=%dx%d mode=640x480" % (MOVIE_WIDTH, MOVIE_HEIGHT),
			more=["--image-compression", "quic", "--jpeg", "never", "--video", "off",
				"--control", control.path])
		vm.wait_serial("READY")
		viewer = lib_spice.Viewer(vm.port, display_caps=(CAPS,))
		check_settings(control, viewer)
		viewer.close()
		check_mistakes(control, folder)
		check_hostile(control)
		check_path(vm, control)
		lib.check(vm.running(), "the VM runs on")
		lib.check(vm.stop(timeout_s=90) == 0, "and ends in order")
		lib.check(not os.path.lexists(control.path), "the socket is removed at the end")


main()
