#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The software CPU runs whole machines: the demo guest on one and two CPUs, SeaBIOS with and without
a guest behind it. No KVM is needed."""
import os
import shutil
import subprocess
import time

import lib


def machine(name, marker, *options):
	folder = lib.temporary_folder()
	serial = os.path.join(folder, "serial.log")
	output = open(os.path.join(folder, "output.log"), "w+")
	process = subprocess.Popen([lib.SPICEBOX, "serve", "--cpu", "soft", "--port", "0",
		"-m", "128M", "--serial", "file:" + serial, *options],
		stdin=subprocess.DEVNULL, stdout=output, stderr=output)
	try:
		end = time.monotonic() + 60
		while time.monotonic() < end and process.poll() is None:
			text = ""
			for path in (serial, output.name):
				if os.path.exists(path):
					with open(path, errors="replace") as file:
						text += file.read()
			if marker in text:
				break
			time.sleep(0.05)
		lib.check(marker in text, "%s: %r" % (name, marker))
	finally:
		process.kill()
		process.wait()


with lib.cleanup():
	empty = os.path.join(lib.temporary_folder(), "empty.img")
	with open(empty, "wb") as file:
		file.truncate(1 << 20)
	disk = os.path.join(lib.temporary_folder(), "guest.img")
	shutil.copy(os.path.join(lib.BUILD, "tests", "guest", "guest.img"), disk)
	machine("the demo", "READY", "--demo")
	machine("the demo with two CPUs", "READY", "--demo", "-c", "2")
	machine("SeaBIOS", "No bootable device.", "-v", "-v", empty)
	machine("SeaBIOS and a guest from a disk", "READY", disk)
