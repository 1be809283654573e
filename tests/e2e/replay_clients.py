#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recordings of QXL work replayed to real clients: remote-viewer watches a replay from its beginning,
our viewer joins in its course and spicy-screenshot at its end; all of them show what our canvas made
of the recording, in every pixel."""
import glob
import json
import os
import signal
import sys

import lib
import lib_guest as guest
import lib_trace

REPLAY = os.path.join(lib.BUILD, "tests/bench/qxl-replay")
CLIENT = os.path.join(lib.BUILD, "tests/bench/replay-client")
RECORDINGS = os.path.join(lib.SOURCE, "../shared/traces/*.qxl*")


def replay(x, trace, pace):
	name = os.path.basename(trace)
	folder = lib.temporary_folder()
	canvas = os.path.join(folder, "canvas.png")
	port = lib.free_port()
	server = lib.Process([REPLAY, "--port", str(port), "--pace", pace, "--stay", "--final", canvas,
		trace], name="qxl-replay")
	server.wait_output("listening")
	viewer = lib.Process(["remote-viewer", "spice://127.0.0.1:%d" % port], env=x.env,
		name="remote-viewer")
	window = x.window("viewer|qxl-replay")
	own = os.path.join(folder, "own.png")
	second = lib.Process([CLIENT, "--final", own, "127.0.0.1:%d" % port], name="replay-client")
	server.wait_output('"wall_s"', 200)
	result = json.loads([line for line in server.output().splitlines() if line.startswith("{")][0])
	lib.check(result["draws"] > 100 and result["left_out"] == 0, "%s: %d drawings played (%s)" % (
		name, result["draws"], pace))
	expected = lib.read_png(canvas)
	lib.check(expected.colours() > 50, "%s: the end is a rich picture" % name)
	lib.wait_until(lambda: x.picture(window).find(expected), 20, "remote-viewer's picture of " + name,
		0.5)
	lib.check(True, "%s: remote-viewer, there from the beginning, shows it in every pixel" % name)
	viewer.stop()
	shot = guest.spicy_screenshot(port, os.path.join(folder, "spicy.ppm"))
	lib.check(shot.difference(expected) is None, "%s: spicy-screenshot equals it: %s" % (name,
		shot.difference(expected) or "every pixel"))
	second.signal(signal.SIGTERM)
	second.wait()
	shot = lib.read_png(own)
	lib.check(shot.difference(expected) is None, "%s: replay-client equals it: %s" % (name,
		shot.difference(expected) or "every pixel"))
	server.stop()


with lib.cleanup():
	lib.need("spicy-screenshot", "remote-viewer")
	if not os.path.exists(REPLAY):
		lib.skip("qxl-replay is not built")
	x = lib.XServer()
	for seed, pace in ((1, "fast"), (2, "recorded"), (3, "flood")):
		path = os.path.join(lib.temporary_folder(), "seed-%d.qxl" % seed)
		lib_trace.write(path, seed)
		replay(x, path, pace)
	recordings = sorted(glob.glob(RECORDINGS))
	if not recordings:
		print("no recordings in ../shared/traces: that part is skipped")
	for trace in recordings:
		replay(x, trace, "fast")
	sys.exit(0)
