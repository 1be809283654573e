# SPDX-License-Identifier: MIT
"""The viewer's window under a real window manager (openbox): full screen and back, the user's size,
closing, and twice the size on a screen of twice the density. The server is QEMU."""
import os

import lib

# 640 x 400 (mode 13h doubled): every pixel differs from its neighbours.
SECTOR = """
	movw $0x13, %ax
	int $0x10
	movw $0xa000, %ax
	movw %ax, %es
	xorw %di, %di
	xorw %ax, %ax
pixel:	stosb
	addb $7, %al
	cmpw $64000, %di
	jne pixel
stop:	hlt
	jmp stop
"""


def scaled(picture, factor, width, height):
	"""The picture `factor` times as large in the middle of a black window."""
	left, top = (width - picture.width * factor) // 2, (height - picture.height * factor) // 2
	black, rows = b"\0" * 3, []
	for y in range(height):
		at = (y - top) // factor
		if not 0 <= at < picture.height:
			rows.append(black * width)
			continue
		row = picture.row(at)
		wide = b"".join(row[i:i + 3] * factor for i in range(0, len(row), 3))
		rows.append(black * left + wide + black * (width - left - picture.width * factor))
	return lib.Picture(width, height, b"".join(rows))


def main():
	lib.need("qemu-system-x86_64", "Xvfb", "xdotool", "xwd", "xprop", "openbox", "as", "objcopy")
	with lib.cleanup():
		qemu = lib.Qemu(more=["-drive", "file=%s,format=raw,if=ide,snapshot=on" %
			lib.boot_image(SECTOR)])
		guest = qemu.wait_still(accept=lambda p: p.colours() > 100)
		x = lib.XServer(1600, 900)
		# It says when it has begun: a window that is mapped while it begins may never be shown.
		begun = os.path.join(lib.temporary_folder(), "begun")
		lib.Process(["openbox", "--sm-disable", "--startup", "touch " + begun], env=x.env)
		lib.wait_until(lambda: os.path.exists(begun), what="openbox")
		connect = [lib.SPICEBOX, "connect", "127.0.0.1:%d" % qemu.port]

		viewer = lib.Process(connect, env=x.env)
		window = x.window("^testvm - spicebox$")
		x.wait_picture(window, guest)
		x.xdotool("windowactivate", "--sync", window)
		x.xdotool("mousemove", "--window", window, 100, 100, "key", "F11")
		lib.wait_until(lambda: x.window_size(window) == (1600, 900), what="full screen")
		# 2.25 times as large is smoothed: only the bars beside it are known in every pixel.
		def with_bars():
			full = x.picture(window)
			return (full.crop(0, 0, 80, 900).colours() == 1 and
				full.crop(80, 0, 100, 900).colours() > 100 and
				full.crop(1520, 0, 80, 900).colours() == 1)
		lib.wait_until(with_bars, what="the picture on the whole screen")
		lib.check(True, "F11 fills the screen, with bars at the sides")
		x.xdotool("key", "F11")
		lib.wait_until(lambda: x.window_size(window) == (640, 400), what="the window's size again")
		x.wait_picture(window, guest)
		x.xdotool("windowsize", window, 1290, 806)
		lib.wait_until(lambda: x.window_size(window) == (1290, 806), what="the user's size")
		x.wait_picture(window, scaled(guest, 2, 1290, 806))
		lib.check(viewer.stop() == 0, "SIGTERM ends the viewer in order")

		lib.run(["xprop", "-root", "-f", "RESOURCE_MANAGER", "8s", "-set", "RESOURCE_MANAGER",
			"Xft.dpi:\t192\n"], env=x.env)
		viewer = lib.Process(connect, env=x.env)
		window = x.window("^testvm - spicebox$")
		x.wait_picture(window, scaled(guest, 2, 1280, 800))
		lib.check(x.window_size(window) == (1280, 800), "twice the density: twice the size")
		x.xdotool("windowactivate", "--sync", window, "key", "alt+F4")
		lib.check(viewer.wait(10) == 0, "closing the window ends the viewer in order")

		viewer = lib.Process(connect + ["--full-screen"], env=x.env)
		window = x.window("^testvm - spicebox$")
		lib.wait_until(lambda: x.window_size(window) == (1600, 900), what="--full-screen")
		viewer.stop()


main()
