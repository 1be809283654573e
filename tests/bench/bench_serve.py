#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What serving a VM costs: start to the demo's first frame, key to first drawing at a headless
viewer, private memory beyond the guest's RAM, and wake-ups when idle. One line of JSON a case; where
QEMU is installed, the same guest under QEMU and libspice-server in the same run, interleaved.

    SPICEBOX=build/spicebox SPICEBOX_BUILD=build tests/bench/bench_serve.py [--runs N]
"""
import argparse
import json
import os
import shutil
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib  # noqa: E402
import lib_guest as guest  # noqa: E402
import lib_spice as spice  # noqa: E402


def median(values):
	return statistics.median(values)


def report(case, unit, ours, peers=None, **more):
	row = {"case": case, "unit": unit, "spicebox": round(median(ours), 3),
		"spicebox_min": round(min(ours), 3), "spicebox_max": round(max(ours), 3), "runs": len(ours)}
	if peers:
		row["qemu"] = round(median(peers), 3)
		row["ratio"] = round(median(ours) / median(peers), 3) if median(peers) else None
	row.update(more)
	print(json.dumps(row), flush=True)


def start_to_first_frame():
	"""Milliseconds from the program's start to the guest's READY, which it logs after its first
	frame."""
	start = time.monotonic()
	vm = guest.Spicebox("")
	lib.wait_until(lambda: "READY" in vm.serial(), 30, "READY", pause_s=0.001)
	ms = (time.monotonic() - start) * 1e3
	vm.stop()
	return ms


def drain(viewer, seconds=1.0):
	"""Reads what the start brings until it is quiet."""
	viewer.display.socket.settimeout(seconds)
	try:
		while True:
			viewer.display.message()
	except TimeoutError:
		pass
	viewer.display.socket.settimeout(20)


def key_to_drawing(port):
	"""The median of bench_key's 100 keys, in milliseconds."""
	out = lib.run([os.path.join(lib.BUILD, "tests", "bench", "bench_key"), str(port)])[1]
	return json.loads(out)["median"]


def private_bytes(pid, guest_ram):
	"""Private memory without the mapping that holds the guest's RAM (the largest ones)."""
	total = skipped = 0
	size = private = 0
	with open("/proc/%d/smaps" % pid) as f:
		for line in f:
			if line.startswith("Size:"):
				size = int(line.split()[1]) * 1024
				private = 0
			elif line.startswith(("Private_Clean:", "Private_Dirty:")):
				private += int(line.split()[1]) * 1024
			elif line.startswith("VmFlags:"):
				# Guest RAM, and the QXL device's two memories of 64 MiB.
				if size >= guest_ram // 2 or size == 64 << 20:
					skipped += private
				else:
					total += private
	return total


def switches(pid):
	"""Context switches of all threads: each wake-up is one."""
	total = 0
	for task in os.listdir("/proc/%d/task" % pid):
		with open("/proc/%d/task/%s/status" % (pid, task)) as f:
			for line in f:
				if line.startswith("voluntary_ctxt_switches"):
					total += int(line.split()[1])
	return total


def idle_wakeups(pid, seconds=10):
	before = switches(pid)
	time.sleep(seconds)
	return (switches(pid) - before) / seconds


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--runs", type=int, default=5)
	runs = parser.parse_args().runs
	qemu = shutil.which("qemu-system-x86_64") is not None
	report("start to the demo's first frame", "ms", [start_to_first_frame() for _ in range(runs)],
		target=300)
	ours, peers, peers_kvm, memory, peer_memory, idle, peer_idle = [], [], [], [], [], [], []
	for _ in range(runs):
		vm = guest.Spicebox("test=bench-latency")
		vm.wait_serial("READY")
		ours.append(key_to_drawing(vm.port))
		vm.stop()
		vm = guest.Spicebox("test=idle")
		vm.wait_serial("READY")
		viewer = spice.Viewer(vm.port)
		drain(viewer)
		memory.append(private_bytes(vm.pid, 128 << 20) / 1e6)
		idle.append(idle_wakeups(vm.pid, 5))
		viewer.close()
		vm.stop()
		if qemu:
			for accel, found in (("tcg", peers), ("kvm", peers_kvm)):
				peer = guest.QemuGuest("test=bench-latency", accel)
				found.append(key_to_drawing(peer.port))
				peer.stop()
			peer = guest.QemuGuest("test=idle")
			viewer = spice.Viewer(peer.port)
			drain(viewer)
			peer_memory.append(private_bytes(peer.pid, 128 << 20) / 1e6)
			peer_idle.append(idle_wakeups(peer.pid, 5))
			viewer.close()
			peer.stop()
	report("key to first drawing", "ms", ours, peers_kvm, target=0.7, note="QEMU on the same KVM")
	report("key to first drawing", "ms", ours, peers, target=0.7, note="QEMU on its software CPU")
	report("private memory beyond guest memory, one viewer", "MB", memory, peer_memory, target=10)
	report("wake-ups when idle", "1/s", idle, peer_idle, target=0)


if __name__ == "__main__":
	with lib.cleanup():
		main()
