# SPDX-License-Identifier: MIT
"""From the start of a viewer to its first whole picture on the window: ours and the peers that are
installed, on the same QEMU, in the same run. Also the viewer's memory and its wake-ups when idle.
One line of JSON a case.

    SPICEBOX=build/spicebox SPICEBOX_BUILD=build python3 tests/bench/bench_connect.py
"""
import json
import os
import shutil
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib

COLOUR = 0xd04070
RUNS = 9

# 1024 x 768 in one colour, then halt.
SECTOR = """
	movw $0x4f02, %%ax
	movw $0x144, %%bx
	int $0x10
	movw $0xa000, %%ax
	movw %%ax, %%es
	xorw %%dx, %%dx
bank:	movw $0x4f05, %%ax
	xorw %%bx, %%bx
	pushw %%dx
	int $0x10
	popw %%dx
	xorw %%di, %%di
	movw $16384, %%cx
	movl $0x%06x, %%eax
	rep stosl
	incw %%dx
	cmpw $48, %%dx
	jne bank
stop:	hlt
	jmp stop
""" % COLOUR


def say(**case):
	print(json.dumps(case), flush=True)


def first_frame(x, argv, colour=COLOUR):
	"""Milliseconds of each run."""
	env = dict(x.env, NO_AT_BRIDGE="1", GDK_BACKEND="x11")
	times = []
	for _ in range(RUNS):
		code, out, errors = lib.run([os.path.join(lib.BUILD, "tests/bench/bench_connect"),
			"%06x" % colour] + argv, env=env)
		if code:
			break
		times.append(float(out))
		time.sleep(0.3)
	return times


def context_switches(pid):
	total = 0
	for thread in os.listdir("/proc/%d/task" % pid):
		with open("/proc/%d/task/%s/status" % (pid, thread)) as f:
			total += sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)
	return total


def resting(x, server):
	viewer = lib.Process([lib.SPICEBOX, "connect", server], env=x.env)
	x.window("spicebox")
	time.sleep(2)
	before = context_switches(viewer.pid)
	time.sleep(10)
	wakeups = (context_switches(viewer.pid) - before) / 10
	with open("/proc/%d/status" % viewer.pid) as f:
		sizes = dict(line.split(":", 1) for line in f)
	say(bench="viewer_resident_kb", program="spicebox",
		kb=int(sizes["VmRSS"].split()[0]), peak_kb=int(sizes["VmHWM"].split()[0]))
	say(bench="viewer_idle_wakeups_per_s", program="spicebox", value=wakeups)
	viewer.stop()


def compare(x, server_name, port, colour):
	server = "127.0.0.1:%d" % port
	viewers = [("spicebox", [lib.SPICEBOX, "connect", server]),
		("spicy", ["spicy", "-h", "127.0.0.1", "-p", str(port)]),
		("remote-viewer", ["remote-viewer", "spice://" + server])]
	ours = None
	for name, argv in viewers:
		if name != "spicebox" and not shutil.which(argv[0]):
			continue
		times = first_frame(x, argv, colour)
		if not times:
			say(bench="connect_to_first_frame_ms", server=server_name, program=name, failed=True)
			continue
		median = statistics.median(times)
		ours = ours or median
		say(bench="connect_to_first_frame_ms", server=server_name, program=name,
			median=round(median, 1), min=min(times), max=max(times),
			times_ours=round(median / ours, 2))


def commonest_colour(server):
	"""Of what the server shows: on a blank screen it tells that the picture is there."""
	path = os.path.join(lib.temporary_folder(), "shot.png")
	lib.run([lib.SPICEBOX, "screenshot", server, path])
	picture = lib.read_png(path)
	counts = {}
	for i in range(0, len(picture.rgb), 3):
		pixel = picture.rgb[i:i + 3]
		counts[pixel] = counts.get(pixel, 0) + 1
	return int.from_bytes(max(counts, key=counts.get), "big")


def main():
	with lib.cleanup():
		x = lib.XServer(1280, 1024)
		qemu = lib.Qemu(more=["-drive", "file=%s,format=raw,if=ide,snapshot=on" %
			lib.boot_image(SECTOR)])
		qemu.wait_still(accept=lambda p: p.width == 1024 and p.colours() == 1)
		compare(x, "qemu", qemu.port, COLOUR)
		resting(x, "127.0.0.1:%d" % qemu.port)
		qemu.stop()
		port = lib.free_port()
		serve = lib.Process([lib.SPICEBOX, "serve", "--demo", "--port", str(port)])
		serve.wait_output("Listening")
		time.sleep(2)
		compare(x, "spicebox", port, commonest_colour("127.0.0.1:%d" % port))


main()
