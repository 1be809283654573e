# SPDX-License-Identifier: MIT
"""A headless real client, spice-gtk's library: _gtk_viewer.py URI. For each path that comes on the
standard input it writes what it shows there (PPM; an empty file while it shows nothing). On a line
"codec N" it tells the server which codec it prefers for videos. It ends with its input."""
import ctypes
import os
import sys

spice = ctypes.CDLL("libspice-client-glib-2.0.so.8")
glib = ctypes.CDLL("libglib-2.0.so.0")
gobject = ctypes.CDLL("libgobject-2.0.so.0")
pointer = ctypes.c_void_p


class Primary(ctypes.Structure):
	"""SpiceDisplayPrimary of spice-client-glib."""
	_fields_ = [("format", ctypes.c_int), ("width", ctypes.c_int), ("height", ctypes.c_int),
		("stride", ctypes.c_int), ("shmid", ctypes.c_int), ("data", pointer),
		("marked", ctypes.c_int)]


for function in (spice.spice_session_new, glib.g_main_loop_new, glib.g_io_channel_unix_new):
	function.restype = pointer
CHANNEL_NEW = ctypes.CFUNCTYPE(None, pointer, pointer, pointer)
WATCH = ctypes.CFUNCTYPE(ctypes.c_int, pointer, ctypes.c_int, pointer)
display = None


def on_channel(session, channel, _):
	global display
	kind = ctypes.c_int(-1)
	gobject.g_object_get(pointer(channel), b"channel-type", ctypes.byref(kind), None)
	if kind.value == 2:
		display = channel
	if kind.value in (2, 4):  # display and cursor
		spice.spice_channel_connect(pointer(channel))


def picture():
	primary = Primary()
	if not display or not spice.spice_display_channel_get_primary(
			pointer(display), 0, ctypes.byref(primary)) or not primary.marked:
		return None
	bgrx = bytearray(ctypes.string_at(primary.data, primary.stride * primary.height))
	rgb = bytearray(primary.width * primary.height * 3)
	assert primary.stride == primary.width * 4, "a surface of 32 bits without gaps"
	for channel in range(3):
		rgb[channel::3] = bgrx[2 - channel::4]
	return b"P6\n%d %d\n255\n" % (primary.width, primary.height) + bytes(rgb)


def on_input(channel, condition, loop):
	path = sys.stdin.buffer.readline().strip()
	if not path:
		glib.g_main_loop_quit(pointer(loop))
		return 0
	if path.startswith(b"codec "):
		codecs = (ctypes.c_int * 1)(int(path[6:]))
		assert spice.spice_display_channel_change_preferred_video_codec_types(pointer(display),
			codecs, ctypes.c_size_t(1), None), "the server takes no such wish"
		return 1
	with open(path + b".part", "wb") as f:
		f.write(picture() or b"")
	os.rename(path + b".part", path)
	return 1


main_loop = glib.g_main_loop_new(None, 0)
session = spice.spice_session_new()
gobject.g_object_set(pointer(session), b"uri", sys.argv[1].encode(), None)
channel_new, watch = CHANNEL_NEW(on_channel), WATCH(on_input)
gobject.g_signal_connect_data(pointer(session), b"channel-new", channel_new, None, None, 0)
glib.g_io_add_watch(pointer(glib.g_io_channel_unix_new(0)), 1 | 16, watch, pointer(main_loop))
spice.spice_session_connect(pointer(session))
glib.g_main_loop_run(pointer(main_loop))
