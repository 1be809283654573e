# SPDX-License-Identifier: MIT
"""Our server over a slow link (2 Mbit/s, 50 ms each way, a queue that takes seconds): a video plays,
and what is typed beside it comes through. Nothing queues for a second, neither at the start nor
later; the letters do not wait behind the video's frames; and our viewer ends with the exact picture.
Nor does a large picture that viewers are to keep hold up the link.
(How long a letter takes is measured by tests/bench/bench_slow_link.py.)"""
import os
import signal

import lib
import lib_guest
import lib_shaper
import lib_trace
import lib_typing

KBIT, DELAY_MS, LETTERS = 2000, 50, 20
WALLPAPER_BYTES_LEAST = 2 * KBIT * 125


def check_typing(codec, jitter_ms):
	what = "%s, %d ms of jitter" % (codec, jitter_ms)
	serve = lib_guest.Spicebox("test=movie movie=320x240")
	serve.wait_serial("READY")
	shaper = lib_shaper.Shaper(serve.port, KBIT, DELAY_MS, jitter_ms)
	viewer = lib_typing.Typist(shaper.port, codec)
	lib.wait_until(lambda: viewer.frames() >= 60, 60, "the video")
	start = shaper.stats()["down"]
	lib.check(start["wait_max_ms"] < 1000, "%s: from the connection to the video nothing queues for "
		"a second (%s)" % (what, start))
	before = viewer.frames()
	letters = viewer.type_many(LETTERS)
	then = shaper.stats()["down"]
	lib.check(then["queued_max_bytes"] < KBIT * 125 / 2,
		"%s: while it plays, less than half a second waits (%s)" % (what, then))
	frames = [n for _, n in letters]
	lib.check(lib_typing.median(frames) <= 15, "%s: letters overtake the video (%s frames in between)"
		% (what, frames))
	lib.check(viewer.frames() - before >= LETTERS, "%s: the video goes on meanwhile (%d frames)" % (
		what, viewer.frames() - before))
	lib.note("%s: letters took %d ms, median, of which 100 are the way" % (
		what, lib_typing.median([ms for ms, _ in letters])))
	viewer.close()
	shaper.stop()
	serve.stop()


def check_end(x):
	serve = lib_guest.Spicebox("test=movie movie=320x240")
	serve.wait_serial("READY")
	shaper = lib_shaper.Shaper(serve.port, KBIT, DELAY_MS)
	viewer = lib.Process([lib.SPICEBOX, "connect", "127.0.0.1:%d" % shaper.port], env=x.env)
	window = x.window("spicebox$")
	serve.wait_serial("frame 60", 60)

	def off():
		if "movie off" not in serve.serial():
			x.xdotool("windowfocus", "--sync", window, "key", "Return")
			return False
		return True
	lib.wait_until(off, 30, "the end of the video", pause_s=1.0)
	expected = lib_guest.screenshot(serve.port, os.path.join(serve.folder, "shot.png"))
	x.wait_picture(window, expected, timeout_s=30)
	lib.check(viewer.stop() == 0, "our viewer over the slow link ends with the exact picture")
	shaper.stop()
	serve.stop()


def check_wallpaper():
	folder = lib.temporary_folder()
	trace, canvas, shown = (os.path.join(folder, n) for n in ("w.qxl", "canvas.png", "shown.png"))
	lib_trace.write_wallpaper(trace, 4)
	port = lib.free_port()
	server = lib.Process([os.path.join(lib.BUILD, "tests/bench/qxl-replay"), "--port", str(port),
		"--pace", "recorded", "--stay", "--final", canvas, trace], name="qxl-replay")
	server.wait_output("listening")
	shaper = lib_shaper.Shaper(port, KBIT, DELAY_MS)
	viewer = lib.Process([os.path.join(lib.BUILD, "tests/bench/replay-client"), "--final", shown,
		"127.0.0.1:%d" % shaper.port], name="replay-client")
	server.wait_output('"wall_s"', 200)
	down = shaper.stats()["down"]
	lib.note("a wallpaper three times: %s" % down)
	lib.check(down["bytes"] > WALLPAPER_BYTES_LEAST, "the wallpaper is more than the link carries in "
		"a second (%s)" % down)
	lib.check(down["wait_max_ms"] < 1000, "a large picture that is to be kept does not queue for a "
		"second (%s)" % down)
	viewer.signal(signal.SIGTERM)
	viewer.wait()
	difference = lib.read_png(shown).difference(lib.read_png(canvas))
	lib.check(difference is None, "the wallpaper ends exact: %s" % (difference or "every pixel"))
	shaper.stop()
	server.stop()


def main():
	lib.need("Xvfb", "xdotool", "xwd")
	lib_guest.need_kvm()
	with lib.cleanup():
		check_wallpaper()
		check_typing("mjpeg", 0)
		check_typing("vp8", 20)
		check_end(lib.XServer(1280, 1024))


main()
