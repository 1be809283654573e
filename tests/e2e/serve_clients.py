#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our server with real clients: spicy-screenshot and our own screenshot equal the guest's frame in
every pixel; remote-viewer and spicy connect, stay, and take keys that the guest echoes."""
import os
import time

import lib_guest as guest
import lib


def pictures():
	vm = guest.Spicebox("test=still")
	vm.wait_serial("READY")
	expected = guest.reference("test=still")
	lib.check(expected.colours() > 50, "the still pattern is a rich picture (%d colours)" %
		expected.colours())
	shot = guest.spicy_screenshot(vm.port, os.path.join(vm.folder, "spicy.ppm"))
	lib.check(shot.difference(expected) is None, "spicy-screenshot equals the guest's frame: %s" %
		(shot.difference(expected) or "every pixel"))
	shot = guest.screenshot(vm.port, os.path.join(vm.folder, "own.png"))
	lib.check(shot.difference(expected) is None, "spicebox screenshot equals it: %s" %
		(shot.difference(expected) or "every pixel"))
	vm.stop()


def viewer(x, name, argv, title):
	vm = guest.Spicebox("test=keys")
	vm.wait_serial("READY")
	program = lib.Process([word.replace("PORT", str(vm.port)) for word in argv], env=x.env, name=name)
	window = x.window(title)
	time.sleep(1.0)  # no window manager: the window takes the focus when told so
	width, height = x.window_size(window)
	lib.check(width > 200 and height > 200, "%s shows a window of %dx%d" % (name, width, height))
	x.xdotool("mousemove", "--window", window, width // 2, height // 2)
	x.xdotool("windowfocus", window)
	x.xdotool("click", 1)

	def typed():
		x.xdotool("key", "--window", window, "a")
		x.xdotool("key", "a")
		return "key 1e" in vm.serial()
	lib.wait_until(typed, 20, "%s's key at the guest (it logged %r)" % (name, vm.serial()), 0.5)
	lib.check(True, "a key typed into %s arrives at the guest" % name)
	time.sleep(2)
	lib.check(program.running() and vm.running(), "%s stays connected" % name)
	program.stop()
	vm.stop()


with lib.cleanup():
	lib.need("spicy-screenshot", "remote-viewer", "spicy", "qemu-system-x86_64")
	pictures()
	server = lib.XServer()
	viewer(server, "remote-viewer", ["remote-viewer", "spice://127.0.0.1:PORT"], "viewer|demo")
	viewer(server, "spicy", ["spicy", "-h", "127.0.0.1", "-p", "PORT"], "spice|spicy|demo")
