#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recordings of QXL work served by us and by libspice-server: bytes, CPU and pictures, one line of
JSON a trace and pace.

    SPICEBOX_BUILD=build tests/bench/bench_replay.py [--runs N] [--pace fast|recorded]...
        [--area WxH+X+Y] TRACE...

The peer is libspice-server's own spice-server-replay (at the recorded pace, which that program does
not have: peer/replay_peer.c on the same library), built here from Debian's source package `spice`
with meson, once, in the cache folder; when that cannot be had, the reason is printed and only our
figures are. Both read the same unpacked file, and reading it is part of the CPU seconds of both. The
same viewer, replay-client, looks at both; runs are interleaved, and figures are medians. With --area
the frames shown there are compared with the recording's (PSNR and SSIM of their brightness).
"""
import argparse
import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from bench_codecs import HERE, VERSION, Missing, cache_folder, fetch, run

BUILD = os.path.join(os.environ.get("SPICEBOX_BUILD", "build"), "tests/bench")
# A cursor's move: it makes spice-server-replay pass on what it has read before.
NUDGE = b"event 0 0 3 0\ncursor_cmd\ntype 1\npoint16 5 5\n"
NUDGES = 150
LIMIT_S = 300


# ---- the peer ----

def build_peer():
	"""The folder with spice-server-replay and replay_peer."""
	folder = os.path.join(cache_folder(), f"bench-spice-{VERSION}")
	build = os.path.join(folder, "meson")
	program = os.path.join(build, "server/tests/spice-server-replay")
	own = os.path.join(build, "replay_peer")
	wrapper = os.path.join(HERE, "peer", "replay_peer.c")
	if os.path.exists(program) and os.path.exists(own) and \
			os.path.getmtime(own) > os.path.getmtime(wrapper):
		return build
	for tool in ("meson", "ninja", "pkg-config", "c++"):
		if not shutil.which(tool):
			raise Missing(f"{tool} is not installed")
	os.makedirs(folder, exist_ok=True)
	tree = fetch(folder)
	if not os.path.exists(os.path.join(build, "build.ninja")):
		run("meson", "setup", "--buildtype=debugoptimized", "-Dgstreamer=no", "-Dsasl=false",
			"-Dsmartcard=disabled", "-Dmanual=false", "-Dopus=enabled", build, tree)
	print("building libspice-server (some two minutes, once)", file=sys.stderr)
	run("ninja", "-C", build, "server/tests/spice-server-replay")
	flags = run("pkg-config", "--cflags", "--libs", "glib-2.0", "gio-2.0", "spice-protocol",
		"pixman-1").split()
	run("cc", "-O2", "-w", "-o", own, wrapper, f"{tree}/server/tests/basic-event-loop.c",
		f"{tree}/server/event-loop.c", f"-I{build}", f"-I{build}/server", f"-I{tree}",
		f"-I{tree}/server", f"-I{tree}/server/tests", f"-I{tree}/subprojects/spice-common",
		f"-L{build}/server", "-lspice-server",
		f"{build}/subprojects/spice-common/common/libspice-common.a", *flags,
		f"-Wl,-rpath,{build}/server", "-lpthread")
	return build


# ---- programs ----

def free_port():
	with socket.socket() as s:
		s.bind(("127.0.0.1", 0))
		return s.getsockname()[1]


def wait_port(port, process):
	"""Until somebody listens; without connecting, which would be a viewer to it."""
	wanted = ":%04X" % port
	for _ in range(1000):
		with open("/proc/net/tcp", encoding="ascii") as f:
			lines = f.read().splitlines()[1:]
		with contextlib.suppress(FileNotFoundError):
			with open("/proc/net/tcp6", encoding="ascii") as f:
				lines += f.read().splitlines()[1:]
		if any(l.split()[1].endswith(wanted) and l.split()[3] == "0A" for l in lines):
			return
		if process.poll() is not None:
			break
		time.sleep(0.01)
	raise RuntimeError("the server does not listen")


class Viewer:
	"""replay-client, its last picture and the frames it was shown."""

	def __init__(self, port, final, frames, args):
		argv = [os.path.join(BUILD, "replay-client"), "--final", final]
		if args.area:
			argv += ["--frames", frames, "--every", "4", "--area", args.area]
		self.frames = frames if args.area else None
		self.process = subprocess.Popen(argv + args.client + [f"127.0.0.1:{port}"],
			stdout=subprocess.PIPE, text=True)

	def end_when_quiet(self):
		self.process.send_signal(signal.SIGUSR1)

	def result(self):
		out, _ = self.process.communicate(timeout=LIMIT_S)
		if self.process.returncode:
			raise RuntimeError("replay-client failed")
		return json.loads(out)


def quality(trace, viewer):
	if not viewer.frames:
		return {}
	out = json.loads(run(os.path.join(BUILD, "replay-quality"), trace, viewer.frames))
	os.unlink(viewer.frames)
	return out


def run_ours(trace, pace, folder, args):
	port = free_port()
	final = os.path.join(folder, "canvas.png")
	server = subprocess.Popen([os.path.join(BUILD, "qxl-replay"), "--port", str(port), "--pace", pace,
		"--final", final, *args.server, trace], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
		text=True)
	wait_port(port, server)
	viewer = Viewer(port, os.path.join(folder, "ours.png"), os.path.join(folder, "frames"), args)
	out, _ = server.communicate(timeout=LIMIT_S)
	result = json.loads(out)
	seen = viewer.result()
	return {**result, "received": seen["received_bytes"], **quality(trace, viewer)}


def feed(trace, pipe, done):
	with contextlib.suppress(BrokenPipeError):
		with open(trace, "rb") as f:
			shutil.copyfileobj(f, pipe, 1 << 16)
		pipe.write(NUDGE * NUDGES + b"e")
		pipe.flush()
	done.set()


def run_peer(build, trace, pace, folder, args):
	port = free_port()
	if pace == "fast":
		# Fed by a pipe that stays open, or it would end before all was sent.
		server = subprocess.Popen([os.path.join(build, "server/tests/spice-server-replay"), "-p",
			str(port), "-w", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
			stderr=subprocess.DEVNULL)
		done = threading.Event()
		threading.Thread(target=feed, args=(trace, server.stdin, done), daemon=True).start()
		played = done.wait
	else:
		server = subprocess.Popen([os.path.join(build, "replay_peer"), str(port), trace],
			stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
		played = lambda _: server.stdout.readline()
	wait_port(port, server)
	viewer = Viewer(port, os.path.join(folder, "peer.png"), os.path.join(folder, "frames"), args)
	played(LIMIT_S)
	viewer.end_when_quiet()
	seen = viewer.result()
	server.terminate()
	_, _, usage = os.wait4(server.pid, 0)
	server.returncode = 0
	return {"received": seen["received_bytes"], "cpu_s": usage.ru_utime + usage.ru_stime,
		**quality(trace, viewer)}


# ---- the comparison ----

def pixels_differ(folder, a, b):
	done = subprocess.run(["compare", "-metric", "AE", os.path.join(folder, a),
		os.path.join(folder, b), "null:"], stderr=subprocess.PIPE, text=True, check=False)
	return float(done.stderr.split()[0]) if done.stderr.split() else None


def medians(results, digits=3):
	out = {}
	for key in results[0]:
		values = [r[key] for r in results]
		out[key] = round(statistics.median(values), digits) if \
			all(isinstance(v, (int, float)) for v in values) else values[-1]
	return out


def unpack(trace, folder):
	if not trace.endswith(".zst"):
		return trace
	plain = os.path.join(folder, os.path.basename(trace)[:-4])
	run("zstd", "-dqf", trace, "-o", plain)
	return plain


def warm(path):
	"""Into the page cache: the disk is not what is measured."""
	with open(path, "rb", buffering=0) as f:
		while f.read(1 << 16):
			pass


def compare(trace, pace, build, args):
	ours, peers = [], []
	row = {"trace": os.path.basename(trace), "pace": pace, "runs": args.runs}
	with tempfile.TemporaryDirectory(prefix="bench-replay-") as folder:
		plain = unpack(trace, folder)
		for _ in range(args.runs):
			warm(plain)
			ours.append(run_ours(plain, pace, folder, args))
			if build:
				warm(plain)
				peers.append(run_peer(build, plain, pace, folder, args))
		row["ours"] = medians(ours)
		row["viewer_differs_from_canvas"] = pixels_differ(folder, "canvas.png", "ours.png")
		if peers:
			row["peer"] = medians(peers)
			row["bytes_ratio"] = round(row["ours"]["received"] / row["peer"]["received"], 3)
			row["cpu_ratio"] = round(row["ours"]["cpu_s"] / row["peer"]["cpu_s"], 3)
			row["viewer_differs_from_peers"] = pixels_differ(folder, "peer.png", "ours.png")
	print(json.dumps(row), flush=True)


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--runs", type=int, default=3)
	parser.add_argument("--pace", action="append", choices=("fast", "recorded"))
	parser.add_argument("--area", help="where the video is, for PSNR and SSIM")
	parser.add_argument("--server", action="append", default=[], help="an option for qxl-replay")
	parser.add_argument("--client", action="append", default=[],
		help="an option for replay-client (--client=--mjpeg: it knows no VP8)")
	parser.add_argument("--no-peer", action="store_true")
	parser.add_argument("traces", nargs="*")
	args = parser.parse_args()
	traces = args.traces or sorted(glob.glob(os.path.join(HERE, "../../../shared/traces/*.qxl*")))
	for needed in (os.path.join(BUILD, "qxl-replay"), "compare", "zstd"):
		if not shutil.which(needed):
			print(f"skipped: no {needed}")
			return 77
	if not traces:
		print("skipped: no traces")
		return 77
	build = None
	try:
		build = None if args.no_peer else build_peer()
	except Missing as missing:
		print(f"without the peer: {missing}", file=sys.stderr)
	for trace in traces:
		for pace in args.pace or ["fast"]:
			compare(trace, pace, build, args)
	return 0


if __name__ == "__main__":
	sys.exit(main())
