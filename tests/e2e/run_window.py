#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`spicebox run` in a window: the picture equals the guest's frame, keys and pointer come back,
SeaBIOS's text from a disk image is readable, power-off ends the process with code 0."""
import os
import re
import shutil
import signal

import lib_guest as guest
import lib


def still(x):
	expected = guest.reference("test=still")
	vm = guest.Spicebox("test=still", command="run", env=x.env, more=["--port", "0"])
	vm.wait_serial("READY")
	window = x.window("spicebox")
	x.wait_picture(window, expected)
	shot = guest.spicy_screenshot(vm.port, os.path.join(vm.folder, "spicy.ppm"))
	lib.check(shot.difference(expected) is None, "a viewer that joins sees the same picture: %s" %
		(shot.difference(expected) or "every pixel"))
	vm.stop()


def keys(x):
	vm = guest.Spicebox("test=keys", command="run", env=x.env)
	vm.wait_serial("INPUT")
	window = x.window("spicebox")
	x.xdotool("windowfocus", "--sync", window)
	x.xdotool("key", "b")
	vm.wait_serial("key b0", 10)
	lib.check("key 30" in vm.serial(), "a typed key comes back from the guest")
	vm.signal(signal.SIGTERM)
	lib.check(vm.wait(20) == 0, "SIGTERM powers the guest off, code 0")
	lib.check("power button" in vm.serial(), "by its power button")


def pointer(x):
	vm = guest.Spicebox("test=pointer", command="run", env=x.env)
	vm.wait_serial("INPUT")
	window = x.window("spicebox")
	for place in ((300, 200), (311, 222)):
		x.xdotool("mousemove", "--window", window, *place)
		lib.wait_until(lambda: re.search(r"mouse %d %d " % place, vm.serial()), 10,
			"the pointer's place %s at the guest (it logged %r)" % (place, vm.serial()[-300:]))
	lib.check(True, "the pointer's place comes back from the guest, to the pixel")
	vm.stop()


def power_off(x):
	vm = guest.Spicebox("poweroff=2", command="run", env=x.env)
	vm.wait_serial("READY")
	lib.check(vm.wait(30) == 0, "the guest's power-off ends the process with code 0")


def firmware(x):
	disk = os.path.join(lib.temporary_folder(), "empty.img")
	with open(disk, "wb") as file:
		file.truncate(1 << 20)
	vm = guest.Spicebox(command="run", env=x.env, disk=disk)
	window = x.window("spicebox")
	# Text mode 3: light grey on black, 720x400 or 640x400. Nothing boots, so that it stays.
	def text_screen():
		size = x.window_size(window)
		picture = x.picture(window)
		return size in ((720, 400), (640, 400)) and picture.rgb.count(b"\xaa\xaa\xaa") > 300
	lib.wait_until(text_screen, 120, "text of SeaBIOS in the window")
	x.picture(window).write_png(os.path.join(vm.folder, "seabios.png"))
	lib.check(True, "SeaBIOS's text shows in the window")
	vm.stop()
	disk = os.path.join(lib.temporary_folder(), "guest.img")
	shutil.copy(guest.GUEST_IMG, disk)
	vm = guest.Spicebox(command="run", env=x.env, disk=disk)
	vm.wait_serial("READY", 180)
	lib.check(True, "disk -> SeaBIOS -> guest runs")
	vm.stop()


with lib.cleanup():
	lib.need("qemu-system-x86_64", "Xvfb", "spicy-screenshot")
	server = lib.XServer()
	still(server)
	keys(server)
	pointer(server)
	power_off(server)
	firmware(server)
