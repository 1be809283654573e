# SPDX-License-Identifier: MIT
"""Our viewer on a real server: QEMU's libspice-server. `spicebox screenshot` and the window of
`spicebox connect` equal QEMU's own screendump in every pixel: SeaBIOS's text, mode 13h, and 32-bit
VBE; keys and the pointer arrive; failures are one plain line; a lost connection is offered anew."""
import os
import pty
import re
import select
import signal
import time

import lib

# The text that SeaBIOS left stays, its blinking cursor goes.
TEXT_SECTOR = """
	movw $0x2000, %cx
	movb $1, %ah
	int $0x10
stop:	hlt
	jmp stop
"""

# A picture in 256 colours; each key draws a square in the colour of its character. QEMU shows mode
# 13h twice as large.
MODE13_SECTOR = """
	movw $0x13, %ax
	int $0x10
	movw $0xa000, %ax
	movw %ax, %es
	xorw %di, %di
	xorw %dx, %dx
row:	xorw %cx, %cx
pixel:	movb %cl, %al
	xorb %dl, %al
	addb %ch, %al
	stosb
	incw %cx
	cmpw $320, %cx
	jne pixel
	incw %dx
	cmpw $200, %dx
	jne row
	xorw %bx, %bx
key:	xorb %ah, %ah
	int $0x16
	movw $16, %dx
	movw %bx, %di
line:	movw $16, %cx
	rep stosb
	addw $304, %di
	decw %dx
	jnz line
	addw $16, %bx
	jmp key
"""

# 1024 x 768 in 32 bits, through the 64 KiB window.
VBE_SECTOR = """
	movw $0x4f02, %ax
	movw $0x144, %bx
	int $0x10
	movw $0xa000, %ax
	movw %ax, %es
	xorw %dx, %dx
	movl $0x00102030, %esi
bank:	movw $0x4f05, %ax
	xorw %bx, %bx
	pushw %dx
	int $0x10
	popw %dx
	xorw %di, %di
	movw $16384, %cx
word:	movl %esi, %eax
	stosl
	addl $0x00010307, %esi
	loop word
	incw %dx
	cmpw $48, %dx
	jne bank
stop:	hlt
	jmp stop
"""


def disk(path):
	return ["-drive", "file=%s,format=raw,if=ide,snapshot=on" % path]


def screenshot(server, *options):
	path = os.path.join(lib.temporary_folder(), "shot.png")
	code, _, errors = lib.run([lib.SPICEBOX, "screenshot", *options, server, path])
	return code, errors, lib.read_png(path) if code == 0 else None


def check_screenshot(qemu, what):
	code, errors, picture = screenshot("127.0.0.1:%d" % qemu.port)
	lib.check(code == 0, "%s: screenshot succeeds %s" % (what, errors.strip()))
	difference = picture.difference(qemu.screendump())
	lib.check(difference is None, "%s: it equals QEMU's screendump (%s)" % (
		what, difference or "%dx%d, %d colours" % (
			picture.width, picture.height, picture.colours())))


def check_modes(x):
	cases = (("SeaBIOS text", "text", TEXT_SECTOR, 2, "std", (720, 400)),
		("mode 13h", "mode13", MODE13_SECTOR, 100, "std", (640, 400)),
		("32-bit VBE", "vbe", VBE_SECTOR, 10000, "std", (1024, 768)),
		("32-bit VBE on QXL", "vbe", VBE_SECTOR, 10000, "qxl", (1024, 768)))
	for what, name, source, colours, vga, size in cases:
		image = lib.boot_image(source, name)
		# Default compression in one case: the viewer asks the server for none.
		spice = "disable-ticketing=on"
		if vga == "std":
			spice += ",image-compression=off"
		qemu = lib.Qemu(spice=spice, vga=vga, more=disk(image))
		qemu.wait_still(accept=lambda p: (p.width, p.height) == size and
			p.colours() >= colours)
		check_screenshot(qemu, what)
		viewer = lib.Process([lib.SPICEBOX, "connect", "127.0.0.1:%d" % qemu.port], env=x.env)
		window = x.window("^testvm - spicebox$")
		x.wait_picture(window, qemu.screendump())
		viewer.stop()
		lib.check(viewer.child.returncode == 0, "%s: SIGTERM ends the viewer in order" % what)
		qemu.stop()


def check_hands(x):
	image = lib.boot_image(MODE13_SECTOR, "mode13")
	qemu = lib.Qemu(more=disk(image))
	before = qemu.wait_still(accept=lambda p: p.colours() >= 100)
	viewer = lib.Process([lib.SPICEBOX, "connect", "127.0.0.1:%d" % qemu.port], env=x.env)
	window = x.window("^testvm - spicebox$")
	x.wait_picture(window, before)
	# The picture comes before the inputs channel is up.
	lib.wait_until(lambda: "channel name: inputs" in qemu.command("info spice"), what="the inputs channel")
	x.xdotool("mousemove", "--window", window, 100, 100)
	x.xdotool("windowfocus", "--sync", window)
	x.xdotool("key", "k")
	after = lib.wait_until(lambda: (lambda p: p if p.difference(before) else None)(
		qemu.screendump()), what="a key at the guest")
	square = after.crop(0, 0, 32, 32)
	lib.check(square.colours() == 1, "the guest echoes the key that was typed in the window")
	lib.check(after.crop(32, 0, 608, 400).difference(before.crop(32, 0, 608, 400)) is None,
		"and nothing else changed")
	x.wait_picture(window, after)
	# The character's number is the colour: 'z' makes another one than 'k'.
	x.xdotool("key", "z")
	def second():
		picture = qemu.screendump()
		return picture if picture.pixel(40, 4) != after.pixel(40, 4) else None
	later = lib.wait_until(second, what="a second key at the guest")
	lib.check(later.pixel(40, 4) != later.pixel(4, 4), "another key draws another colour")
	x.wait_picture(window, later)
	return qemu, viewer, window, later


def check_reconnect(qemu, viewer, window, last, x):
	port = qemu.port
	qemu.stop()
	lib.wait_until(lambda: x.picture(window).difference(last), what="the notice")
	notice = x.picture(window)
	corner, dimmed = last.crop(0, 180, 40, 20), notice.crop(0, 180, 40, 20)
	lib.check(dimmed.rgb == bytes((v >> 1) for v in corner.rgb),
		"the last picture stays, dimmed, under the notice")
	x.xdotool("key", "Return")
	time.sleep(0.5)
	lib.check(viewer.running(), "reconnecting to nothing keeps the window")
	folder = lib.temporary_folder()
	image = lib.boot_image(TEXT_SECTOR, "text")
	monitor = ["-spice", "addr=127.0.0.1,port=%d,disable-ticketing=on" % port]
	again = lib.Process(["qemu-system-x86_64", "-accel", "tcg", "-m", "64", "-nodefaults",
		"-display", "none", "-vga", "std", "-name", "second"] + monitor + disk(image))
	lib.wait_until(lambda: lib.port_open(port), what="the second server")
	x.xdotool("key", "Return")
	lib.wait_until(lambda: x.xdotool("getwindowname", window) == "second - spicebox",
		what="the second server's name in the title")
	lib.wait_until(lambda: x.window_size(window) == (720, 400), what="the second server's picture")
	lib.check(True, "Enter reconnects: name and size are the new server's")
	again.stop()
	viewer.stop()


def check_failures():
	port = lib.free_port()
	def one_line(what, expected, *arguments, command="screenshot"):
		code, _, errors = lib.run([lib.SPICEBOX, command, *arguments])
		lib.check(code == 1 and errors.count("\n") == 1 and re.search(expected, errors),
			"%s: %s" % (what, errors.strip()))
	one_line("nobody listens", "refused the connection: is a server running", 
		"127.0.0.1:%d" % port, "/dev/null")
	one_line("no such name", "does not exist", "no-such-host.invalid:%d" % port, "/dev/null")
	one_line("no such socket", "does not exist", "spice+unix:///nonexistent", "/dev/null")
	other = lib.Process(["python3", "-c", "import socket\n"
		"s = socket.create_server(('127.0.0.1', %d))\n"
		"while True:\n"
		"\tc, _ = s.accept()\n"
		"\tc.sendall(b'SSH-2.0-OpenSSH_9.2\\r\\n')\n"
		"\tc.recv(1000)\n" % port])
	lib.wait_until(lambda: lib.port_open(port), what="another server")
	one_line("another kind of server", "is not a SPICE server", "127.0.0.1:%d" % port, "/dev/null")
	other.stop()
	env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
	code, _, errors = lib.run([lib.SPICEBOX, "connect", "127.0.0.1:%d" % port], env=env)
	lib.check(code == 1 and errors.count("\n") == 1, "connect without a display: " + errors.strip())


class Terminal:
	"""The viewer on a terminal of its own."""

	def __init__(self, argv, env):
		self.pid, self.fd = pty.fork()
		if self.pid == 0:
			os.execve(argv[0], argv, env)
		self.text = b""

	def wait_text(self, text):
		end = time.monotonic() + 20
		while text.encode() not in self.text:
			ready = select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]
			if not ready:
				raise TimeoutError("the terminal shows %r, not %r" % (self.text, text))
			self.text += os.read(self.fd, 4096)

	def type(self, text):
		os.write(self.fd, text.encode())

	def end(self):
		os.kill(self.pid, signal.SIGTERM)
		code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
		os.close(self.fd)
		return code


def check_terminal(qemu, x):
	terminal = Terminal([lib.SPICEBOX, "connect", "127.0.0.1:%d" % qemu.port], x.env)
	terminal.wait_text("Password for 127.0.0.1:%d: " % qemu.port)
	terminal.type("wrong one\n")
	terminal.wait_text("the password is wrong. Password for")
	terminal.type("right one\n")
	window = x.window("^testvm - spicebox$")
	x.wait_picture(window, qemu.screendump())
	lib.check(b"right one" not in terminal.text, "the password asked for is not echoed")
	lib.check(terminal.end() == 0, "and the viewer ends in order")


def check_password(folder, x):
	image = lib.boot_image(TEXT_SECTOR, "text")
	secret = os.path.join(folder, "secret")
	with open(secret, "w") as f:
		f.write("right one\n")
	wrong = os.path.join(folder, "wrong")
	with open(wrong, "w") as f:
		f.write("wrong one\n")
	qemu = lib.Qemu(spice="password-secret=pw,image-compression=off",
		more=["-object", "secret,id=pw,data=right one"] + disk(image))
	qemu.wait_still(accept=lambda p: p.colours() > 1)
	server = "127.0.0.1:%d" % qemu.port
	code, errors, _ = screenshot(server)
	lib.check(code == 1 and "asks for a password" in errors, "no password: " + errors.strip())
	code, errors, _ = screenshot(server, "--password-file", wrong)
	lib.check(code == 1 and "password is wrong" in errors, "wrong password: " + errors.strip())
	code, errors, picture = screenshot(server, "--password-file", secret)
	lib.check(code == 0 and picture.difference(qemu.screendump()) is None,
		"the right password lets in " + errors.strip())
	code, errors, picture = screenshot("localhost:%d" % qemu.port, "--password-file", secret)
	lib.check(code == 0, "a name is resolved, its addresses tried " + errors.strip())
	code, errors, picture = screenshot("spice://%s?password=right%%20one" % server)
	lib.check(code == 0, "so does one in the address " + errors.strip())
	check_terminal(qemu, x)
	qemu.stop()


def main():
	lib.need("qemu-system-x86_64", "Xvfb", "xdotool", "xwd", "as", "objcopy")
	with lib.cleanup():
		folder = lib.temporary_folder()
		x = lib.XServer(1280, 1024)
		check_modes(x)
		check_reconnect(*check_hands(x), x)
		check_password(folder, x)
		check_failures()


main()
