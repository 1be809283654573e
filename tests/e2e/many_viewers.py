#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ten viewers of one moving guest, one of them stopped by SIGSTOP: the others and the guest go on,
and the server's memory stays bounded."""
import os
import re
import signal
import sys
import time

import lib
import lib_guest as guest

VIEWERS = 10
SECONDS = 6


def guest_frames(vm):
	found = re.findall(r"frame (\d+)", vm.serial())
	return int(found[-1]) if found else 0


def drawings(viewer):
	found = re.findall(r"drawings (\d+)\n", viewer.output())
	return int(found[-1]) if found else 0


def rates(vm, viewers):
	"""Guest frames a second, and the drawings that each viewer got a second."""
	start = time.monotonic()
	frames, got = guest_frames(vm), [drawings(v) for v in viewers]
	time.sleep(SECONDS)
	seconds = time.monotonic() - start
	return ((guest_frames(vm) - frames) / seconds,
		[(drawings(v) - g) / seconds for v, g in zip(viewers, got)])


with lib.cleanup():
	vm = guest.Spicebox("test=video")
	vm.wait_serial("READY")
	lib.wait_until(lambda: guest_frames(vm) > 0, 10, "the guest's count of frames")
	script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_viewer.py")
	viewers = [lib.Process([sys.executable, script, str(vm.port)], name="viewer %d" % i)
		for i in range(VIEWERS)]
	for viewer in viewers:
		viewer.wait_output("drawings", 30)
	all_guest, all_viewers = rates(vm, viewers)
	viewers[0].signal(signal.SIGSTOP)
	time.sleep(2)
	memory = vm.memory()
	one_guest, one_viewers = rates(vm, viewers)
	grown = vm.memory() - memory
	lib.note("all run: guest %.1f frames/s, viewers %s drawings/s" % (
		all_guest, " ".join("%.0f" % r for r in all_viewers)))
	lib.note("one stopped: guest %.1f frames/s, viewers %s drawings/s, memory grew by %d KiB" % (
		one_guest, " ".join("%.0f" % r for r in one_viewers), grown // 1024))
	lib.check(all(v.running() for v in viewers), "all viewers stay")
	# What the rates are depends on the machine; that all go on does not.
	frame, got = guest_frames(vm), [drawings(v) for v in viewers]
	lib.wait_until(lambda: guest_frames(vm) >= frame + 60, 60, "60 more frames of the guest")
	lib.check(True, "the guest goes on")
	lib.wait_until(lambda: all(drawings(v) >= g + 10 for v, g in zip(viewers[1:], got[1:])), 60,
		"ten more drawings for each of the other nine")
	lib.check(True, "the other nine get new pictures")
	lib.check(drawings(viewers[0]) == got[0], "the stopped one does not")
	# Its bounded queue, and one picture that was on its way.
	lib.check(grown < 64 << 20, "the server's memory stays bounded")
	before = drawings(viewers[0])
	viewers[0].signal(signal.SIGCONT)
	lib.wait_until(lambda: drawings(viewers[0]) > before + 5, 20, "the stopped viewer's catching up")
	lib.check(True, "the stopped one catches up once it goes on")
	vm.stop()
