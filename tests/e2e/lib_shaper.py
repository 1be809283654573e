# SPDX-License-Identifier: MIT
"""A slow link between a viewer and a server: starts _shaper.py."""
import json
import os
import subprocess
import sys

import lib


class Shaper(lib.Process):
	"""A proxy for the server on `to`, on self.port, with a rate in each direction and a delay one way.
	The queue is a bad modem's, unless told: it takes what it gets for many seconds."""

	def __init__(self, to, kbit=2000, delay_ms=50.0, jitter_ms=0.0, queue_kb=8192):
		path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_shaper.py")
		super().__init__([sys.executable, path, "--to", str(to), "--kbit", str(kbit),
			"--delay-ms", str(delay_ms), "--jitter-ms", str(jitter_ms),
			"--queue-kb", str(queue_kb)],
			stdin=subprocess.PIPE, stdout=subprocess.PIPE, name="shaper")
		self.port = int(self.child.stdout.readline().split()[1])

	def _say(self, line):
		self.child.stdin.write(line.encode() + b"\n")
		self.child.stdin.flush()

	def set_kbit(self, kbit):
		self._say("kbit %d" % kbit)

	def stats(self):
		"""What passed since the last question: {"down": {bytes, wait_max_ms, queued_max_bytes},
		"up": ...}; down is towards the viewer."""
		self._say("stats")
		return json.loads(self.child.stdout.readline())
