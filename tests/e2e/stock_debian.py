#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The standard Debian guest, stock kernel and stock QXL drivers, on two software CPUs: it comes to its
login on the serial port and to its desktop; the picture of that, and of what is typed into it through
our viewer, equals QEMU's with its QXL device in every pixel; so does the desktop when X is started
again with the driver's off-screen surfaces and caches, which are off by default; the kernel has no
complaint; poweroff ends the process with code 0. (QEMU's pictures are made once for each image and
version of QEMU, with the defaults.)"""
import os
import re
import time

import lib
import lib_debian as debian
import lib_guest

TYPED = "echo Typed through SPICE | tee /tmp/typed"
KEYS = {" ": "spc", "/": "slash", "|": "shift-backslash"}
COMPLAINTS = re.compile(r".*(unstable|TSC warp|BUG:|WARNING:|Oops|general protection|invalid opcode|"
	r"segfault|trap |No irq handler|Kernel panic|not responding|hung_task|blocked for more).*")
STEPS = ("desktop", "typed")
SURFACES = r"""Section "Device"\n Identifier "qxl"\n Driver "qxl"\n Option "EnableSurfaces" "True"\n
 Option "EnableImageCache" "True"\n Option "EnableFallbackCache" "True"\nEndSection\n""".replace("\n", "")


def reference_paths(image):
	version = re.search(r"version (\S+)", lib.run(["qemu-system-x86_64", "--version"])[1]).group(1)
	return {step: os.path.join(image, "qemu-%s-%s.png" % (version, step)) for step in STEPS}


def sendkey(qemu, text):
	for letter in text:
		name = KEYS.get(letter) or ("shift-" if letter.isupper() else "") + letter.lower()
		qemu.command("sendkey " + name)
		time.sleep(0.15) # each is held for 0.1 s
	qemu.command("sendkey ret")


def make_references(qemu, image, paths):
	"""The same guest's frames under QEMU. It is begun anew when its session gets stuck: only its pictures
	are wanted."""
	for patience_s in (150, 200, 0):
		try:
			qemu.wait_serial("XREADY", patience_s or 300)
			break
		except TimeoutError:
			if not patience_s:
				raise
			lib.note("QEMU's guest got stuck on its way to the desktop: once more")
			qemu.stop()
			qemu = debian.Qemu(image)
	pictures = {"desktop": qemu.wait_still(3)}
	sendkey(qemu, TYPED)
	pictures["typed"] = qemu.wait_still(3, accept=lambda picture:
		picture.difference(pictures["desktop"]) is not None)
	qemu.stop()
	for step, picture in pictures.items():
		picture.write_png(paths[step] + ".new")
		os.rename(paths[step] + ".new", paths[step])


def check_same(take, expected, what, timeout_s=30):
	"""The last drawings may be on their way."""
	end = time.monotonic() + timeout_s
	while True:
		picture = take()
		difference = picture.difference(expected)
		if difference is None or time.monotonic() > end:
			break
		time.sleep(0.5)
	if difference is not None and os.environ.get("SPICEBOX_TEST_PICTURES"):
		picture.write_png(os.environ["SPICEBOX_TEST_PICTURES"])
	lib.check(difference is None, "%s equals QEMU's: %s" % (what, difference or "every pixel"))


def screenshot(vm):
	return lib_guest.screenshot(vm.port, os.path.join(lib.temporary_folder(), "shot.png"))


def boot(vm, begun):
	vm.expect("debian login: ", 240)
	lib.note("login after %.1f s" % (time.monotonic() - begun))
	vm.expect("XREADY", 240)
	lib.note("desktop after %.1f s" % (time.monotonic() - begun))
	vm.type("root")
	vm.expect("root@debian:~# ", 60)
	lib.check(True, "root logs in on the serial port")


def check_guest(vm):
	said = vm.ask("nproc; lsmod | grep -o '^qxl'; grep -o 'Loading.*qxl_drv.so' /var/log/Xorg.0.log")
	lib.check(re.fullmatch(r"(?s)2\nqxl\nLoading /usr/lib/xorg/modules/drivers/qxl_drv.so",
		"\n".join(line for line in said.split("\n") if "root@" not in line).strip()),
		"two CPUs, the stock kernel's qxl and the X server's (%r)" % said)
	found = COMPLAINTS.search(vm.output())
	lib.check(not found, "the kernel has no complaint" + (": " + found.group() if found else ""))


def type_into(vm, x, pictures):
	viewer = lib.Process([lib.SPICEBOX, "connect", "127.0.0.1:%d" % vm.port], env=x.env)
	window = x.window("spicebox|guest")
	check_same(lambda: x.picture(window), pictures["desktop"], "the desktop in our viewer")
	x.xdotool("windowfocus", "--sync", window)
	x.xdotool("type", "--delay", "60", TYPED)
	x.xdotool("key", "Return")
	check_same(lambda: x.picture(window), pictures["typed"], "what is typed, in our viewer,")
	check_same(lambda: screenshot(vm), pictures["typed"], "what is typed, as a screenshot,")
	lib.check("Typed through SPICE" in vm.ask("cat /tmp/typed"), "what was typed was done")
	viewer.stop()


def start_again_with_surfaces(vm, pictures):
	"""The login on the screen starts X anew when it ends."""
	vm.ask("mkdir -p /etc/X11/xorg.conf.d; printf '%s' > /etc/X11/xorg.conf.d/qxl.conf" % SURFACES)
	vm.type("rm /run/xready; systemctl restart xready; pkill Xorg")
	vm.expect("XREADY", 120)
	check_same(lambda: screenshot(vm), pictures["desktop"], "the desktop with off-screen surfaces")
	said = vm.ask("grep -ohE '(Surfaces|Cache): .*' /var/log/Xorg.0.log")
	lib.check(said.count("Enabled") == 3, "the driver says that they are on (%r)" % said)


def main():
	lib.need("qemu-system-x86_64", "Xvfb", "xdotool", "spicy-screenshot")
	image = debian.folder()
	paths = reference_paths(image)
	known = all(os.path.exists(path) for path in paths.values())
	lib.note("QEMU's pictures of this image " + ("are from an earlier run" if known else
		"are made in this run, at the same time"))
	qemu = None if known else debian.Qemu(image)
	x = lib.XServer(1280, 1024)
	begun = time.monotonic()
	vm = debian.Spicebox(image, cpus=2)
	boot(vm, begun)
	if qemu:
		make_references(qemu, image, paths)
	pictures = {step: lib.read_png(path) for step, path in paths.items()}
	lib.check(pictures["desktop"].colours() > 500, "the desktop is a rich picture (%d colours)" %
		pictures["desktop"].colours())
	check_same(lambda: screenshot(vm), pictures["desktop"], "the desktop")
	check_same(lambda: lib_guest.spicy_screenshot(vm.port, os.path.join(lib.temporary_folder(),
		"spicy.ppm")), pictures["desktop"], "the desktop at spicy-screenshot")
	type_into(vm, x, pictures)
	check_guest(vm)
	start_again_with_surfaces(vm, pictures)
	vm.type("poweroff")
	lib.check(vm.wait(120) == 0, "poweroff ends the process with code 0")
	found = COMPLAINTS.search(vm.output())
	lib.check(not found, "nor on its way down" + (": " + found.group() if found else ""))


with lib.cleanup():
	main()
