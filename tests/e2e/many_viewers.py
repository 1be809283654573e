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
	lib.check(all_guest > 1 and one_guest > all_guest / 2, "the guest keeps its pace")
	lib.check(all(r > 1 for r in one_viewers[1:]), "the other nine get new pictures")
	lib.check(one_viewers[0] == 0, "the stopped one does not")
	lib.check(grown < 32 << 20, "the server's memory stays bounded")
	before = drawings(viewers[0])
	viewers[0].signal(signal.SIGCONT)
	lib.wait_until(lambda: drawings(viewers[0]) > before + 5, 20, "the stopped viewer's catching up")
	lib.check(True, "the stopped one catches up once it goes on")
	vm.stop()
