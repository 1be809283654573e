# SPDX-License-Identifier: MIT
"""A headless viewer: _viewer.py PORT. Prints a line for each hundredth of a second in which drawings
came, with their number so far."""
import sys
import time

import lib_spice

viewer = lib_spice.Viewer(int(sys.argv[1]))
drawings, said = 0, 0.0
while True:
	viewer.wait_drawing()
	drawings += 1
	if time.monotonic() - said >= 0.01:
		said = time.monotonic()
		print("drawings", drawings, flush=True)
