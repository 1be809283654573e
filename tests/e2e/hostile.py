#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hostile peers and guests: broken handshakes and messages close that link only; bad ring contents
break the QXL device only. A healthy viewer stays through all of it."""
import os
import random
import re
import socket
import struct

import lib
import lib_guest as guest
import lib_spice as spice

SEED = 20260301
BAD_RINGS = 30  # as tests/guest/README.md numbers them
# What a link may be sent, by channel.
CHANNELS = (spice.MAIN, spice.DISPLAY, spice.INPUTS, spice.CURSOR)


def no_report(vm):
	lib.check(not re.search(r"Sanitizer|runtime error", vm.output()), "no sanitizer report")


def raw(port, data):
	"""Sends bytes instead of a handshake and reads until the server closes or is silent."""
	with socket.create_connection(("127.0.0.1", port), 5) as s:
		s.settimeout(0.2)
		try:
			s.sendall(data)
			s.shutdown(socket.SHUT_WR)
			while s.recv(65536):
				pass
		except OSError:
			pass


def handshake_bytes():
	mess = struct.pack("<IBBIII", 0, spice.MAIN, 0, 1, 0, 18) + struct.pack("<I", 11)
	return struct.pack("<4sIII", b"REDQ", 2, 2, len(mess)) + mess


def broken_handshakes(vm, rng):
	good = handshake_bytes()
	for size in range(len(good)):
		raw(vm.port, good[:size])
	for _ in range(300):
		bad = bytearray(good)
		for _ in range(rng.randint(1, 6)):
			bad[rng.randrange(len(bad))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
		raw(vm.port, bytes(bad) + rng.randbytes(rng.randint(0, 200)))
	lib.check(vm.running(), "%d broken handshakes" % (len(good) + 300))


def broken_messages(vm, rng, count):
	for i in range(count):
		session = spice.Viewer(vm.port)
		kind = CHANNELS[i % len(CHANNELS)]
		link = {spice.MAIN: session.main, spice.DISPLAY: session.display,
			spice.INPUTS: session.inputs}.get(kind)
		if link is None:
			link = spice.Link(vm.port, kind, session.session)
		try:
			for _ in range(20):
				size = rng.choice((0, 1, 3, 8, 30, 300))
				claimed = rng.choice((size, size, size, 0, 0x7fffffff, 0xffffffff))
				link.socket.sendall(struct.pack("<HI", rng.choice((
					rng.randrange(120), rng.randrange(100, 112), 0xffff)), claimed) +
					rng.randbytes(size))
		except OSError:
			pass  # the server closed it: right
		session.close()
		link.close()
	lib.check(vm.running(), "%d sessions with broken messages" % count)


def bad_rings():
	for number in range(1, BAD_RINGS + 1):
		vm = guest.Spicebox("bad=%d" % number)
		vm.wait_serial("sent", 20)
		name = re.search(r"bad %d (\S+) sent" % number, vm.serial()).group(1)
		spice.Viewer(vm.port).close()
		vm.wait_serial("alive 2", 20)
		lib.check(vm.running(), "bad ring %d (%s): the VM goes on, viewers are served" % (number, name))
		no_report(vm)
		lib.check(vm.stop() == 0, "and it ends with code 0")
	vm = guest.Spicebox("bad=all")
	vm.wait_serial("mended", 60)
	lib.check("mended yes" in vm.serial() and "mended no" not in vm.serial(),
		"after a reset the device draws again")
	no_report(vm)
	vm.stop()


with lib.cleanup():
	rng = random.Random(SEED)
	vm = guest.Spicebox("test=keys")
	vm.wait_serial("READY")
	healthy = spice.Viewer(vm.port)
	healthy.wait_drawing()
	broken_handshakes(vm, rng)
	broken_messages(vm, rng, 60)
	healthy.key(0x1e)
	vm.wait_serial("key 1e", 10)
	healthy.wait_drawing()
	lib.check(True, "the healthy viewer's key still reaches the guest, and its drawing comes")
	no_report(vm)
	lib.check(vm.stop() == 0, "the program ends with code 0")
	bad_rings()
