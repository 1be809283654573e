#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random drawings of every type, with all rops, masks, clips and scalings, drawn by three canvases: our
server's, our viewer's and spice-gtk's, the two viewers connected before the drawings are made. All
three pictures agree in every pixel.

    drawings.py [BATCHES [SEED]]        a batch has 2304 drawings; 9 by default, more than 20,000
"""
import os
import sys

import lib_guest as guest
import lib_spice as spice
import lib


def compare(name, take, expected, batch):
	"""Waits for the picture to equal what is expected; tells what differs, and in how many cells."""
	def equal():
		picture = take()
		return picture is not None and picture.difference(expected) is None
	cells = []
	try:
		lib.wait_until(equal, 8, "equal pictures", 0.2)
	except TimeoutError:
		cells = guest.differing_cells(take(), expected, batch)
	lib.note("batch %d: %s: %s" % (batch, name, "; ".join(
		"%d (%s): %s" % (cell, ", ".join(kinds), part) for cell, kinds, part in cells[:12]) or
		"every pixel"))
	return len(cells)


def main(batches=9, seed=1):
	append = "test=drawings seed=%d" % seed
	vm, x = guest.Spicebox(append), lib.XServer()
	vm.wait_serial("INPUT")
	gtk = guest.GtkViewer(vm.port)
	viewer = lib.Process([lib.SPICEBOX, "connect", "127.0.0.1:%d" % vm.port],
		env=x.env, name="spicebox connect")
	lib.wait_until(gtk.picture, 20, "spice-gtk's first picture")
	window = x.window("spicebox|demo")
	path, differing = os.path.join(vm.folder, "screenshot.png"), 0
	for batch in range(1, batches + 1):
		keys = spice.Viewer(vm.port)
		keys.key(0x1e)
		vm.wait_serial("batch %d drawings" % batch)
		keys.close()
		expected = guest.screenshot(vm.port, path)
		lib.check(expected.colours() > 10000, "batch %d is a rich picture" % batch)
		differing += compare("spice-gtk", gtk.picture, expected, batch)
		differing += compare("our viewer", lambda: x.picture(window), expected, batch)
	lib.check(differing == 0, "%d drawings look the same everywhere" % (batches * 2304))
	lib.check(viewer.running() and gtk.running(), "all stayed")


with lib.cleanup():
	main(*[int(word) for word in sys.argv[1:]])
