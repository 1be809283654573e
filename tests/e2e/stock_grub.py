#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stock programs from a disk on the software CPU, with nothing of ours in the guest: SeaBIOS shows its
boot prompt and starts GRUB; GRUB shows its menu as it does under QEMU, in every pixel, and starts
memtest86+, which runs; from there a reset leads back to GRUB, which starts Debian's cloud kernel with
busybox to a shell; that reboots, and GRUB's halt ends the process with code 0."""
import os
import shutil
import struct
import subprocess

import lib
import lib_guest
import lib_linux as linux

GRUB = "/usr/lib/grub/i386-pc"
MODULES = """biosdisk part_msdos ext2 normal linux serial terminal halt reboot""".split()
CONFIG = """serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=-1
menuentry 'memtest86+' {
	linux /memtest console=ttyS0,115200
}
menuentry 'Linux' {
	linux /vmlinuz %s
	initrd /initramfs
}
menuentry 'Off' {
	halt
}
""" % linux.APPEND
DOWN, ESCAPE = b"\x1b[B", b"\x1b"
SECTOR, PARTITION = 512, 2048


def grub_disk():
	"""What grub-install makes, without its need to mount: boot sector, core image, a partition."""
	folder = lib.temporary_folder()
	root, core, part, disk = (os.path.join(folder, name) for name in (
		"root", "core.img", "part.img", "disk.img"))
	os.makedirs(os.path.join(root, "boot", "grub"))
	with open(os.path.join(root, "boot", "grub", "grub.cfg"), "w") as file:
		file.write(CONFIG)
	shutil.copy(linux.KERNEL, os.path.join(root, "vmlinuz"))
	shutil.copy(linux.MEMTEST, os.path.join(root, "memtest"))
	shutil.copy(linux.initramfs(linux.BEGIN + "echo SHELL-IS-UP\nexec sh\n"),
		os.path.join(root, "initramfs"))
	subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-o", core] +
		MODULES, check=True)
	subprocess.run(["mke2fs", "-q", "-t", "ext2", "-d", root, part, "32M"], check=True)
	with open(os.path.join(GRUB, "boot.img"), "rb") as file:
		boot = bytearray(file.read())
	sectors = os.path.getsize(part) // SECTOR
	boot[446:462] = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff",
		PARTITION, sectors)
	boot[462:510] = bytes(48)
	boot[510:512] = b"\x55\xaa"
	with open(disk, "wb") as out:
		out.write(boot)
		with open(core, "rb") as file:
			out.write(file.read())
		lib.check(out.tell() <= PARTITION * SECTOR, "GRUB's core image is small enough")
		out.seek(PARTITION * SECTOR)
		with open(part, "rb") as file:
			out.write(file.read())
	return disk


class Machine(lib.Process):
	def __init__(self, disk):
		super().__init__([lib.SPICEBOX, "serve", disk, "--cpu", "soft", "--port", "0", "-m", "256M",
			"--snapshot", "--serial", "stdio", "-v", "-v"], stdin=subprocess.PIPE, name="spicebox")
		self.wait_output("Listening on ")
		self.port = int(self.output().split("Listening on spice://")[1].split("\n")[0].rsplit(":")[-1])
		self.read = 0

	def expect(self, text, timeout_s=60):
		"""Waits until the serial line or the log says `text`, after what was expected before."""
		def said():
			if not self.running():
				raise AssertionError("spicebox ended (%s)" % self.child.returncode)
			return text in self.output()[self.read:]
		lib.wait_until(said, timeout_s, "the guest saying %r" % text)
		self.read = self.output().index(text, self.read) + len(text)
		lib.check(True, "the guest says %r" % text)

	def type(self, keys):
		self.child.stdin.write(keys)
		self.child.stdin.flush()

	def picture(self):
		return lib_guest.screenshot(self.port, os.path.join(lib.temporary_folder(), "screen.png"))


SIX_BITS = bytes(value & 0xfc for value in range(256))


def six_bits(picture):
	"""A VGA's colours have six bits; QEMU makes eight of them otherwise."""
	return lib.Picture(picture.width, picture.height, picture.rgb.translate(SIX_BITS))


def same_picture(machine, expected, what, crop=lambda picture: picture):
	last = []

	def same():
		last[:] = [crop(six_bits(machine.picture()))]
		return last[0].difference(crop(expected)) is None
	try:
		lib.wait_until(same, 20, what, 0.2)
	except TimeoutError:
		lib.check(False, "%s is as under QEMU: %s" % (what, last[0].difference(crop(expected))))
	lib.check(True, "%s is as under QEMU in every pixel" % what)


def title(picture):
	"""The first 28 characters of the first row: the rest of memtest86+'s screen counts."""
	return picture.crop(0, 0, 28 * picture.width // 80, picture.height // 25)


def references(disk):
	"""GRUB's menu and memtest86+ under QEMU."""
	qemu = lib.Qemu(vga="qxl", memory="256", more=["-drive",
		"file=%s,format=raw,if=virtio,snapshot=on" % disk, "-serial", "null"])
	menu = qemu.wait_still(2, accept=lambda picture: picture.pixel(0, 0) == (0, 0, 0) and
		picture.rgb.count(b"\xa8\xa8\xa8") > 12000)
	qemu.command("sendkey ret")
	# White on blue.
	lib.wait_until(lambda: qemu.screendump().pixel(0, 300) == (0, 0, 168), 30, "memtest86+", 0.3)
	memtest = qemu.screendump()
	qemu.stop()
	return six_bits(menu), six_bits(memtest)


def main():
	linux.need(linux.MEMTEST)
	lib.need("grub-mkimage", "mke2fs", "qemu-system-x86_64")
	if not os.path.exists(os.path.join(GRUB, "boot.img")):
		lib.skip("grub-pc-bin is not installed")
	disk = grub_disk()
	menu, memtest = references(disk)
	vm = Machine(disk)
	vm.expect("Booting from Hard Disk...")
	vm.expect("GNU GRUB")
	same_picture(vm, menu, "GRUB's menu")
	vm.type(b"\r")
	vm.expect("Memtest86+ v")
	vm.expect("Pass")
	same_picture(vm, memtest, "memtest86+'s title", title)
	vm.type(ESCAPE)
	vm.expect("GNU GRUB")
	vm.type(DOWN + b"\r")
	vm.expect("Linux version")
	vm.expect("SHELL-IS-UP")
	vm.type(b"echo $((6 * 7))-$(uname -s)\n")
	vm.expect("42-Linux")
	vm.type(b"reboot -f\n")
	vm.expect("GNU GRUB")
	vm.type(DOWN + DOWN + b"\r")
	lib.check(vm.wait(30) == 0, "GRUB's halt ends the process with code 0")


with lib.cleanup():
	main()
