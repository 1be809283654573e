#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A slow link on the loopback: a TCP proxy with a rate, a delay, jitter and a queue.

    _shaper.py --to PORT [--kbit N] [--delay-ms N] [--jitter-ms N] [--queue-kb N]

All connections share one bottleneck in each direction, first in, first out, as behind a modem: each
piece waits for those before it, takes its size by the rate, and arrives after the delay (of one way),
plus a random part of the jitter, never before what its connection sent earlier. While the queue is
full nothing more is read. Prints "port N"; then answers each line on standard input: "stats" with one
line of JSON about the time since the last one, "kbit N" by changing the rate. Ends with its input.
"""
import argparse
import collections
import heapq
import json
import os
import random
import selectors
import socket
import sys
import time

PIECE_MIN, PIECE_MAX = 1448, 16 << 10


class Direction:
	def __init__(self, options):
		self.options = options
		self.rate = options.kbit * 125.0 # bytes a second
		self.limit = options.queue_kb << 10
		self.busy_until = 0.0
		self.random = random.Random(1)
		self.due = [] # a heap of (time, number, end, bytes)
		self.number = 0
		self.reset()

	def reset(self):
		self.bytes = 0
		self.wait_max = 0.0
		self.queued_max = 0

	def queued(self, now):
		return max(0.0, self.busy_until - now) * self.rate

	def put(self, now, end, data):
		"""Queues what was read for the other end."""
		size = PIECE_MIN if self.rate < 6e6 else PIECE_MAX
		for at in range(0, len(data), size):
			piece = data[at:at + size]
			begin = max(now, self.busy_until)
			self.wait_max = max(self.wait_max, begin - now)
			self.busy_until = begin + len(piece) / self.rate
			arrival = self.busy_until + (self.options.delay_ms +
				self.random.random() * self.options.jitter_ms) / 1e3
			end.last_arrival = max(end.last_arrival, arrival)
			self.number += 1
			heapq.heappush(self.due, (end.last_arrival, self.number, end, piece))
			self.bytes += len(piece)
		self.queued_max = max(self.queued_max, self.queued(now))

	def stats(self):
		row = {"bytes": self.bytes, "wait_max_ms": round(self.wait_max * 1e3, 1),
			"queued_max_bytes": int(self.queued_max)}
		self.reset()
		return row


class End:
	"""One socket of a pair; `outgoing` is what has arrived for it and was not taken yet."""

	def __init__(self, proxy, sock, direction):
		sock.setblocking(False)
		sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		self.proxy, self.socket, self.direction = proxy, sock, direction
		self.peer = None
		self.outgoing = collections.deque()
		self.last_arrival = 0.0
		self.reading = True
		self.ending = False # its peer says no more
		self.mask = 0

	def watch(self):
		mask = (selectors.EVENT_READ if self.reading and not self.proxy.full(self.direction)
			else 0) | (selectors.EVENT_WRITE if self.outgoing else 0)
		if mask == self.mask:
			return
		if not self.mask:
			self.proxy.selector.register(self.socket, mask, self)
		elif not mask:
			self.proxy.selector.unregister(self.socket)
		else:
			self.proxy.selector.modify(self.socket, mask, self)
		self.mask = mask

	def read(self, now):
		try:
			data = self.socket.recv(65536)
		except BlockingIOError:
			return
		except OSError:
			data = b""
		if data:
			self.direction.put(now, self.peer, data)
			return
		self.reading = False
		# The end goes the same way as the bytes.
		heapq.heappush(self.direction.due, (max(now, self.peer.last_arrival),
			self.direction.number + 1, self.peer, b""))
		self.direction.number += 1

	def write(self):
		try:
			while self.outgoing:
				sent = self.socket.send(self.outgoing[0])
				if sent < len(self.outgoing[0]):
					self.outgoing[0] = self.outgoing[0][sent:]
					return
				self.outgoing.popleft()
			if self.ending:
				self.socket.shutdown(socket.SHUT_WR)
				self.ending = False
		except BlockingIOError:
			pass
		except OSError:
			self.outgoing.clear()
			self.reading = False

	def arrive(self, data):
		if data:
			self.outgoing.append(data)
		else:
			self.ending = True
		self.write()


class Proxy:
	def __init__(self, options):
		self.to = options.to
		self.selector = selectors.DefaultSelector()
		self.up, self.down = Direction(options), Direction(options)
		self.ends = []
		self.listener = socket.create_server(("127.0.0.1", 0), backlog=32)
		self.listener.setblocking(False)
		self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
		self.selector.register(sys.stdin, selectors.EVENT_READ, self.command)
		self.ended = False
		self.now = time.monotonic()
		print("port", self.listener.getsockname()[1], flush=True)

	def full(self, direction):
		return direction.queued(self.now) > direction.limit

	def accept(self):
		client = self.listener.accept()[0]
		try:
			server = socket.create_connection(("127.0.0.1", self.to), 5)
		except OSError:
			client.close()
			return
		a, b = End(self, client, self.up), End(self, server, self.down)
		a.peer, b.peer = b, a
		self.ends += [a, b]

	def command(self):
		line = sys.stdin.readline().split()
		if not line:
			self.ended = True
		elif line[0] == "stats":
			print(json.dumps({"down": self.down.stats(), "up": self.up.stats()}), flush=True)
		elif line[0] == "kbit":
			for direction in (self.up, self.down):
				direction.rate = int(line[1]) * 125.0

	def deliver(self, now):
		for direction in (self.up, self.down):
			while direction.due and direction.due[0][0] <= now:
				_, _, end, data = heapq.heappop(direction.due)
				end.arrive(data)

	def run(self):
		while not self.ended:
			for end in self.ends:
				end.watch()
			wait = min((d.due[0][0] for d in (self.up, self.down) if d.due), default=None)
			# A full queue has room again after a while.
			if self.full(self.up) or self.full(self.down):
				wait = min(wait or 1e18, self.now + 0.005)
			events = self.selector.select(
				None if wait is None else max(0.0, wait - time.monotonic()))
			self.now = time.monotonic()
			for key, mask in events:
				if not isinstance(key.data, End):
					key.data()
					continue
				if mask & selectors.EVENT_WRITE:
					key.data.write()
				if mask & selectors.EVENT_READ:
					key.data.read(self.now)
			self.deliver(self.now)
			self.drop()

	def drop(self):
		gone = [e for e in self.ends if not (e.reading or e.peer.reading or e.outgoing or
			e.peer.outgoing)]
		for end in gone:
			if end.ending or end.peer.ending:
				continue
			if any(d[2] in (end, end.peer) for direction in (self.up, self.down)
					for d in direction.due):
				continue
			end.outgoing.clear()
			end.watch()
			end.socket.close()
			self.ends.remove(end)


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--to", type=int, required=True)
	parser.add_argument("--kbit", type=int, default=2000)
	parser.add_argument("--delay-ms", type=float, default=50.0)
	parser.add_argument("--jitter-ms", type=float, default=0.0)
	parser.add_argument("--queue-kb", type=int, default=8192)
	Proxy(parser.parse_args()).run()


main()
