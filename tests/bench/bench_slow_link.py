#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Typing beside a video over a slow link: how long a letter takes to be shown, how much waits on the
link, how many frames come. Our server with MJPEG and with VP8, and where QEMU is installed the same
guest under QEMU with libspice-server (MJPEG is all that it has), in the same run. One line of JSON a
case.

    SPICEBOX=build/spicebox SPICEBOX_BUILD=build tests/bench/bench_slow_link.py [--kbit 2000]
        [--delay-ms 50] [--jitter-ms 0] [--queue-kb 256] [--letters 40] [--movie 480x320]

The queue is a router's; where it is full, the sender's TCP has to wait.
"""
import argparse
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib  # noqa: E402
import lib_guest  # noqa: E402
import lib_shaper  # noqa: E402
import lib_typing  # noqa: E402


class Qemu(lib.Qemu):
	def __init__(self, append):
		self.serial_path = os.path.join(lib.temporary_folder(), "serial")
		super().__init__(spice="disable-ticketing=on,streaming-video=filter", vga="qxl",
			memory="128", accel="kvm", more=["-kernel", lib_guest.GUEST_ELF,
				"-append", append + " log=1", "-serial", "file:" + self.serial_path])
		self.wait_serial("READY")

	wait_serial = lib_guest.QemuGuest.wait_serial


def percentile(values, part):
	return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def measure(case, server, codec, options):
	shaper = lib_shaper.Shaper(server.port, options.kbit, options.delay_ms, options.jitter_ms,
		options.queue_kb)
	viewer = lib_typing.Typist(shaper.port, codec)
	time.sleep(8)
	start = shaper.stats()["down"]
	began, frames = time.monotonic(), viewer.frames()
	letters = [ms for ms, _ in viewer.type_many(options.letters)]
	seconds = time.monotonic() - began
	down = shaper.stats()["down"]
	way = 2 * options.delay_ms
	print(json.dumps({"case": case, "codec": codec, "kbit": options.kbit,
		"round_trip_ms": way, "letter_ms": round(lib_typing.median(letters)),
		"letter_p90_ms": round(percentile(letters, 0.9)), "letter_max_ms": round(max(letters)),
		"letter_round_trips": round(lib_typing.median(letters) / way, 2),
		"frames_per_s": round((viewer.frames() - frames) / seconds, 1),
		"link_used": round(down["bytes"] * 8 / options.kbit / 1000 / seconds, 2),
		"queue_max_ms": round(down["wait_max_ms"]),
		"queue_max_at_start_ms": round(start["wait_max_ms"])}), flush=True)
	viewer.close()
	shaper.stop()


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--kbit", type=int, default=2000)
	parser.add_argument("--delay-ms", type=float, default=50)
	parser.add_argument("--jitter-ms", type=float, default=0)
	parser.add_argument("--queue-kb", type=int, default=256)
	parser.add_argument("--letters", type=int, default=40)
	parser.add_argument("--movie", default="480x320")
	options = parser.parse_args()
	lib_guest.need_kvm()
	append = "test=movie movie=" + options.movie
	with lib.cleanup():
		for codec in ("mjpeg", "vp8"):
			serve = lib_guest.Spicebox(append)
			serve.wait_serial("READY")
			measure("spicebox", serve, codec, options)
			serve.stop()
		if shutil.which("qemu-system-x86_64"):
			qemu = Qemu(append)
			measure("qemu, libspice-server", qemu, "mjpeg", options)
			qemu.stop()


main()
