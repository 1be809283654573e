# SPDX-License-Identifier: MIT
"""Captures messages between a SPICE client and a SPICE server that are not ours, as golden bytes.

    capture_spice.py FOLDER

starts QEMU with its libspice-server at the SeaBIOS screen and lets spicy (under Xvfb, with xdotool
for keys and pointer) connect through a proxy that keeps the first few bodies of each type of message,
at most 4 KiB each, as FOLDER/<channel>-<from>-<type>-<n>.bin, and the link messages as
FOLDER/<channel>-<from>-link.bin. Nothing of it is random but ids, keys and times. The files in
tests/golden/spice were made so, with Debian 12's QEMU 7.2, libspice-server 0.15.1 and spicy 0.42; empty ones were left out."""
import os
import select
import socket
import struct
import subprocess
import sys
import time

CHANNELS = {1: "main", 2: "display", 3: "inputs", 4: "cursor"}
KEPT, MAX_BYTES = 2, 4096
folder = sys.argv[1]
counts = {}


class Side:
	"""One direction of one connection, taken apart."""

	def __init__(self, talk, name):
		self.talk, self.name, self.data, self.stage = talk, name, b"", "link"

	def take(self, size):
		if len(self.data) < size:
			return None
		head, self.data = self.data[:size], self.data[size:]
		return head

	def feed(self, data):
		self.data += data
		while self.step():
			pass

	def step(self):
		if self.stage == "link":
			if len(self.data) < 16:
				return False
			body = self.take(16 + struct.unpack_from("<I", self.data, 12)[0])
			if body is None:
				return False
			if self.name == "client":
				self.talk["channel"] = CHANNELS.get(body[20], "other")
			keep(f"{self.talk['channel']}-{self.name}-link", body)
			self.stage = "ticket"
			return True
		if self.stage == "ticket":  # mechanism and ticket, or the result
			if self.take(132 if self.name == "client" else 4) is None:
				return False
			self.stage = "messages"
			return True
		if len(self.data) < 6:
			return False
		kind, size = struct.unpack_from("<HI", self.data)
		body = self.take(6 + size)
		if body is None:
			return False
		key = f"{self.talk['channel']}-{self.name}-{kind}"
		count = counts[key] = counts.get(key, 0) + 1
		if count <= KEPT and size <= MAX_BYTES:
			keep(f"{key}-{count}", body[6:])
		return True


def keep(name, data):
	if "other" not in name:
		with open(os.path.join(folder, name + ".bin"), "wb") as file:
			file.write(data)


def free_port():
	with socket.socket() as s:
		s.bind(("127.0.0.1", 0))
		return s.getsockname()[1]


def proxy(listener, to_port, until):
	peers, pending = {}, {}
	while time.monotonic() < until:
		ready = select.select([listener, *peers], [], [], 0.1)[0]
		for sock in ready:
			if sock is listener:
				client = listener.accept()[0]
				server = socket.create_connection(("127.0.0.1", to_port))
				talk = {"channel": "other"}
				peers[client] = (server, Side(talk, "client"))
				peers[server] = (client, Side(talk, "server"))
				continue
			if sock not in peers:
				continue
			other, side = peers[sock]
			data = sock.recv(65536)
			if not data:
				for s in (sock, other):
					peers.pop(s, None)
					s.close()
				continue
			side.feed(data)
			other.sendall(data)
		act(until - time.monotonic())


def act(left, done=set()):
	"""Keys and pointer, once the viewer is there."""
	steps = {6: "mousemove 300 250 click 1", 5: "key a key Right", 4: "mousemove 310 260 click 4"}
	for at, words in steps.items():
		if left < at and at not in done:
			done.add(at)
			subprocess.Popen(["xdotool", *words.split()], env=environment)


qemu_port, proxy_port = free_port(), free_port()
read_end, write_end = os.pipe()
xvfb = subprocess.Popen(["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1024x900x24"],
	pass_fds=[write_end], stderr=subprocess.DEVNULL)
environment = dict(os.environ, DISPLAY=":" + os.read(read_end, 16).decode().strip())
qemu = subprocess.Popen(["qemu-system-x86_64", "-machine", "accel=tcg", "-vga", "qxl", "-name", "golden",
	"-uuid", "00112233-4455-6677-8899-aabbccddeeff", "-display", "none", "-spice",
	f"addr=127.0.0.1,port={qemu_port},disable-ticketing=on,image-compression=off"])
time.sleep(4)
listener = socket.create_server(("127.0.0.1", proxy_port))
spicy = subprocess.Popen(["spicy", "-h", "127.0.0.1", "-p", str(proxy_port)], env=environment)
try:
	proxy(listener, qemu_port, time.monotonic() + 9)
finally:
	for child in (spicy, qemu, xvfb):
		child.terminate()
		child.wait()
