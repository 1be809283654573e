# SPDX-License-Identifier: MIT
"""Our viewer's video streams: a guest plays a video in a part of its screen. From QEMU's libspice-server
with each `streaming-video` setting, and from our own server, the frames come as a stream where they
should and are shown; when the video stops, the window soon equals the server's own picture in every
pixel."""
import os
import re

import lib
import lib_guest

# QEMU's setting, and whether it sends this video (smooth pictures, always in one place) as a stream.
SETTINGS = (("all", True), ("filter", True), ("off", False))
# On a software CPU few frames may come in time to be a video.
ACCEL = "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


def streams(log):
	"""What the viewer counted: (streams, frames, shown) of each codec's sum."""
	line = re.findall(r"display: streams received: (.*)", log)[-1]
	mjpeg, mjpeg_frames, vp8, vp8_frames = map(int, re.match(
		r"(\d+) MJPEG with (\d+) frames, (\d+) VP8 with (\d+) frames", line).groups())
	shown = int(re.search(r"(\d+) shown", line).group(1))
	failed = int(re.search(r"(\d+) failed", line).group(1))
	return mjpeg + vp8, mjpeg_frames + vp8_frames, shown, failed, line


def connect(x, port, title, more=()):
	viewer = lib.Process([lib.SPICEBOX, "connect", "-vv", *more, "127.0.0.1:%d" % port], env=x.env)
	return viewer, x.window(title)


def moving(x, window, picture_count=4):
	"""Waits until the window has shown so many different pictures."""
	seen = []

	def more():
		now = x.picture(window)
		if not seen or now.difference(seen[-1]):
			seen.append(now)
		return len(seen) >= picture_count
	lib.wait_until(more, 60, "a moving picture in the window")


def check_counts(viewer, streamed, what):
	lib.check(viewer.stop() == 0, "%s: the viewer ends in order" % what)
	count, frames, shown, failed, line = streams(viewer.output())
	if streamed:
		lib.check(count and frames >= 10 and shown >= 5 and not failed,
			"%s: the video came as a stream and was shown (%s)" % (what, line))
	else:
		lib.check(not count and not frames, "%s: no stream came (%s)" % (what, line))


class Qemu(lib.Qemu):
	def __init__(self, setting):
		self.serial_path = os.path.join(lib.temporary_folder(), "serial")
		super().__init__(spice="disable-ticketing=on,streaming-video=" + setting, vga="qxl",
			memory="128", accel=ACCEL, more=["-kernel", lib_guest.GUEST_ELF, "-append",
				"test=movie movie=320x240 mode=800x600 log=1",
				"-serial", "file:" + self.serial_path])
		self.wait_serial("READY")

	wait_serial = lib_guest.QemuGuest.wait_serial


def check_qemu(x, setting, streamed):
	what = "streaming-video=" + setting
	qemu = Qemu(setting)
	viewer, window = connect(x, qemu.port, "^testvm - spicebox$")
	if streamed:
		lib.wait_until(lambda: "stream 49: MJPEG" in viewer.output() or
			re.search(r"stream \d+: MJPEG, 320x240", viewer.output()), 60, "a stream")
		qemu.command("sendkey a") # a drawing beside it
	moving(x, window)
	qemu.wait_serial("frame 90")
	qemu.command("sendkey ret")
	qemu.wait_serial("movie off")
	x.wait_picture(window, qemu.wait_still(0.3))
	# And once more, when a stream was there before.
	qemu.command("sendkey ret")
	qemu.wait_serial("movie on")
	moving(x, window)
	qemu.command("sendkey ret")
	lib.wait_until(lambda: open(qemu.serial_path).read().count("movie off") == 2, what="the end")
	x.wait_picture(window, qemu.wait_still(0.3))
	check_counts(viewer, streamed, what)
	qemu.stop()


def check_own(x, setting, streamed):
	what = "our server, --video " + setting
	serve = lib_guest.Spicebox("test=movie movie=320x240 mode=800x600",
		more=["--video", setting])
	serve.wait_serial("READY")
	viewer, window = connect(x, serve.port, "spicebox$")
	moving(x, window)
	serve.wait_serial("frame 90", 60)
	x.xdotool("windowfocus", "--sync", window)

	def off():
		if "movie off" not in serve.serial():
			x.xdotool("key", "Return")
			return False
		return True
	lib.wait_until(off, 30, "the end of the video", pause_s=0.5)
	# Who joins now gets the exact pixels.
	path = os.path.join(serve.folder, "shot.png")
	x.wait_picture(window, lib_guest.screenshot(serve.port, path))
	check_counts(viewer, streamed, what)
	serve.stop()


def main():
	lib.need("qemu-system-x86_64", "Xvfb", "xdotool", "xwd")
	with lib.cleanup():
		x = lib.XServer(1280, 1024)
		for setting, streamed in SETTINGS:
			check_qemu(x, setting, streamed)
		if ACCEL == "kvm":
			for setting, streamed in (("auto", True), ("off", False)):
				check_own(x, setting, streamed)
		else:
			lib.note("skipped: our own server, as /dev/kvm cannot be used here")


main()
