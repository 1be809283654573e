#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots the guest on QEMU's software CPU: a machine, a display and a BIOS that are not ours.

The screen dump must be what the guest says it drew (test=still) and what patterns.md says (vga=...),
directly booted and from the disk image; a key and a pointer event must come back on COM1.
Usage: check_on_qemu.py FOLDER_OF_GUEST_ELF_AND_IMG
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zlib

QEMU = "qemu-system-x86_64"
TIMEOUT_S = 60


class Machine:
    """One QEMU with COM1 in a file and QMP on a socket."""

    def __init__(self, folder, arguments):
        self.folder = folder
        self.serial = os.path.join(folder, "serial")
        path = os.path.join(folder, "qmp")
        for old in (self.serial, path):
            if os.path.exists(old):
                os.unlink(old)
        self.process = subprocess.Popen(
            [QEMU, "-accel", "tcg", "-m", "256", "-vga", "qxl", "-display", "none", "-nic", "none",
             "-no-reboot", "-serial", "file:" + self.serial,
             "-qmp", "unix:%s,server=on,wait=off" % path] + arguments)
        end = time.monotonic() + TIMEOUT_S
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.stream = self.socket.makefile("rw")
        self.stream.readline()
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        self.stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            reply = json.loads(self.stream.readline())
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise RuntimeError(reply["error"])

    def wait_for(self, text):
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            with open(self.serial, errors="replace") as f:
                log = f.read()
            if text in log:
                return log
            if self.process.poll() is not None:
                raise RuntimeError("QEMU ended early")
            time.sleep(0.05)
        raise RuntimeError("no %r on COM1, but %r" % (text, log))

    def screen(self):
        path = os.path.join(self.folder, "screen.ppm")
        self.command("screendump", filename=path)
        with open(path, "rb") as f:
            data = f.read()
        width, height = (int(v) for v in data.split(None, 3)[1:3])
        return width, height, data[-width * height * 3:]

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.socket.close()


def level(k):
    six = 2 * k if k < 8 else 49 + 2 * (k - 8)
    return (six << 2 | six >> 4) & 255


PALETTE = [bytes((level(i & 15), level(i >> 4), level((i * 7 + 3) & 15))) for i in range(256)]


def pixel_text(x, y):
    cell_x, cell_y, column = x // 9, y // 16, x % 9
    char = (cell_x + cell_y * 3) & 255
    attribute = (cell_x * 5 + cell_y * 11) & 0x7f
    row = (char * 17 + y % 16 * 37) & 255
    if column == 8:
        lit = 0xc0 <= char <= 0xdf and row & 1
    else:
        lit = row >> (7 - column) & 1
    return PALETTE[attribute & 15 if lit else attribute >> 4]


def pixel_13h(x, y):
    return PALETTE[(x // 2 + y // 2 * 3) & 255]  # QEMU shows it doubled


def pixel_12h(x, y):
    return PALETTE[(x ^ x >> 4 ^ y) & 15]


def pixel_vbe(x, y):
    return bytes((x & 255, y & 255, (x + y) & 255))


VGA = [("vga=text", 720, 400, pixel_text), ("vga=13h", 640, 400, pixel_13h),
       ("vga=12h", 640, 480, pixel_12h), ("vga=vbe mode=640x480", 640, 480, pixel_vbe)]


def check(condition, what):
    if not condition:
        sys.exit("FAILED: " + what)
    print("ok: " + what)


def check_still(machine, what):
    told = machine.wait_for("READY").split("FRAME crc32 ")[1][:8]
    width, height, pixels = machine.screen()
    quads = bytearray(width * height * 4)
    quads[0::4], quads[1::4], quads[2::4] = pixels[2::3], pixels[1::3], pixels[0::3]
    check((width, height) == (1024, 768), what + ": the size")
    check("%08x" % zlib.crc32(bytes(quads)) == told, what + ": the dump has the told CRC")


def check_input(machine):
    machine.wait_for("INPUT")
    machine.command("input-send-event", events=[
        {"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": "a"}}}])
    machine.wait_for("key 1e")
    machine.command("input-send-event", events=[
        {"type": "abs", "data": {"axis": "x", "value": 16384}},
        {"type": "abs", "data": {"axis": "y", "value": 32767}}])
    machine.wait_for("mouse 511 767 0")
    machine.command("system_powerdown")
    check(machine.process.wait(TIMEOUT_S) == 0, "keys, pointer and power button")


def main():
    if not shutil.which(QEMU):
        print("skipped: no " + QEMU)
        return 77
    images = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        def run(arguments, action, *rest):
            machine = Machine(folder, arguments)
            try:
                action(machine, *rest)
            finally:
                machine.close()

        def direct(options):
            return ["-kernel", os.path.join(images, "guest.elf"), "-append", options]

        def check_vga(machine, options, width, height, pixel):
            machine.wait_for("READY")
            got_width, got_height, pixels = machine.screen()
            check((got_width, got_height) == (width, height), options + ": the size")
            want = b"".join(pixel(x, y) for y in range(height) for x in range(width))
            check(pixels == want, options + ": every pixel")

        run(direct("test=still"), check_still, "direct boot")
        disk = os.path.join(folder, "disk.img")
        shutil.copy(os.path.join(images, "guest.img"), disk)
        with open(disk, "r+b") as f:
            f.seek(512)
            f.write(b"test=still".ljust(512, b"\0"))
        run(["-drive", "file=%s,format=raw,if=virtio" % disk], check_still, "disk boot")
        run(direct("log=1") + ["-device", "virtio-tablet-pci"], check_input)
        for case in VGA:
            run(direct(case[0]), check_vga, *case)
    return 0


if __name__ == "__main__":
    sys.exit(main())
