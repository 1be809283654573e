# SPDX-License-Identifier: MIT
"""A small SPICE client of the tests' own, in plain Python: links, mini headers, acks. It knows the
protocol from its description and shares no code with the program, so it also serves to send what no
real client would."""
import hashlib
import os
import socket
import struct

MAIN, DISPLAY, INPUTS, CURSOR = 1, 2, 3, 4

# Common messages of servers and clients.
SET_ACK, PING = 3, 4
ACK_SYNC, ACK, PONG = 1, 2, 3
MAIN_INIT, MAIN_CHANNELS, MAIN_ATTACH = 103, 104, 104
DISPLAY_INIT, DISPLAY_MARK, STREAM_DATA, DRAW_FIRST, DRAW_LAST = 101, 102, 123, 302, 318
COPY_BITS = 104
INPUTS_KEY_DOWN, INPUTS_KEY_UP = 101, 102

AUTH_SELECTION, AUTH_SPICE, MINI_HEADER = 1 << 0, 1 << 1, 1 << 3


class Refused(Exception):
	"""The server answered the link with this error code."""


def _mgf1(seed, size):
	out = b""
	for i in range((size + 19) // 20):
		out += hashlib.sha1(seed + struct.pack(">I", i)).digest()
	return out[:size]


def _xor(a, b):
	return bytes(x ^ y for x, y in zip(a, b))


def encrypt_ticket(der, password):
	"""RSA-OAEP with SHA-1 of the password and its closing NUL (PKCS #1, section 7.1.1)."""
	at = der.index(b"\x02\x81\x81\x00") + 4
	modulus = int.from_bytes(der[at:at + 128], "big")
	message = password.encode() + b"\0"
	data = hashlib.sha1(b"").digest() + bytes(128 - len(message) - 42) + b"\1" + message
	seed = os.urandom(20)
	data = _xor(data, _mgf1(seed, len(data)))
	block = b"\0" + _xor(seed, _mgf1(data, 20)) + data
	return pow(int.from_bytes(block, "big"), 65537, modulus).to_bytes(128, "big")


class Link:
	"""One channel. After the constructor the link is up."""

	def __init__(self, port, kind, connection_id=0, password="", timeout_s=20, channel_caps=()):
		self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
		self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		self.data = b""
		self.window = self.until_ack = 0
		common = AUTH_SELECTION | AUTH_SPICE | MINI_HEADER
		mess = struct.pack("<IBBIII", connection_id, kind, 0, 1, len(channel_caps), 18)
		mess += struct.pack("<I", common) + b"".join(struct.pack("<I", c) for c in channel_caps)
		self.socket.sendall(struct.pack("<4sIII", b"REDQ", 2, 2, len(mess)) + mess)
		magic, _, _, size = struct.unpack("<4sIII", self.read(16))
		assert magic == b"REDQ"
		reply = self.read(size)
		error = struct.unpack("<I", reply[:4])[0]
		if error:
			raise Refused(error)
		self.socket.sendall(struct.pack("<I", 1) + encrypt_ticket(reply[4:166], password))
		error = struct.unpack("<I", self.read(4))[0]
		if error:
			raise Refused(error)

	def read(self, size):
		while len(self.data) < size:
			part = self.socket.recv(65536)
			if not part:
				raise ConnectionError("the server closed the link")
			self.data += part
		out, self.data = self.data[:size], self.data[size:]
		return out

	def send(self, kind, body=b""):
		self.socket.sendall(struct.pack("<HI", kind, len(body)) + body)

	def message(self):
		"""The next message (type, body); acks and pings are answered underway."""
		while True:
			kind, size = struct.unpack("<HI", self.read(6))
			body = self.read(size)
			if kind == SET_ACK:
				generation, self.window = struct.unpack("<II", body)
				self.until_ack = self.window
				self.send(ACK_SYNC, struct.pack("<I", generation))
				continue
			if self.window:
				self.until_ack -= 1
				if self.until_ack == 0:
					self.until_ack = self.window
					self.send(ACK)
			if kind == PING:
				self.send(PONG, body[:12])
				continue
			return kind, body

	def wait(self, *kinds):
		"""The body of the next message of one of these types."""
		while True:
			kind, body = self.message()
			if kind in kinds:
				return body

	def close(self):
		self.socket.close()


class Viewer:
	"""Main, display and inputs channels of one session."""

	def __init__(self, port, password="", display_caps=()):
		self.main = Link(port, MAIN, password=password)
		self.session = struct.unpack("<I", self.main.wait(MAIN_INIT)[:4])[0]
		self.main.send(MAIN_ATTACH)
		self.main.wait(MAIN_CHANNELS)
		self.display = Link(port, DISPLAY, self.session, password, channel_caps=display_caps)
		# Pixmap cache 1 of 1 MiB, GLZ dictionary 1 of 1 Mi pixels.
		self.display.send(DISPLAY_INIT, struct.pack("<BqBi", 1, 1 << 18, 1, 1 << 18))
		self.inputs = Link(port, INPUTS, self.session, password)

	def wait_drawing(self):
		"""Reads up to the next drawing of any kind, or frame of a stream."""
		while True:
			kind, _ = self.display.message()
			if kind in (COPY_BITS, STREAM_DATA) or DRAW_FIRST <= kind <= DRAW_LAST:
				return kind

	def key(self, scancode):
		self.inputs.send(INPUTS_KEY_DOWN, struct.pack("<I", scancode))
		self.inputs.send(INPUTS_KEY_UP, struct.pack("<I", scancode | 0x80))

	def close(self):
		for link in (self.inputs, self.display, self.main):
			link.close()
