#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The codecs' speed beside libspice-server's own, one line of JSON a case.

    SPICEBOX_BUILD=build tests/bench/bench_codecs.py [--runs N] [--only quic|lz|glz] [PICTURE...]

Pictures are whatever ImageMagick reads, best screenshots; they are brought to 1920x1080. Without any
it makes two itself. The peer is built here from Debian's source package `spice`, which apt fetches
(and verifies) into the cache folder once; when that cannot be had, the reason is printed and only
our figures are. Without the bench program or ImageMagick it exits with 77.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

VERSION = "0.15.1-1"
WIDTH, HEIGHT = 1920, 1080
HERE = os.path.dirname(os.path.abspath(__file__))
# What the sources ask of their build system's configuration.
CONFIG = '#define PACKAGE_STRING "spice"\n#define ENABLE_EXTRA_CHECKS 0\n'
SOURCES = ["subprojects/spice-common/common/" + name + ".c" for name in
	("quic", "lz", "log", "mem", "backtrace")] + ["server/glz-encoder.c", "server/glz-encoder-dict.c"]


class Missing(Exception):
	"""What is not to be had, for people."""


def run(*command, cwd=None):
	done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
	if done.returncode:
		raise Missing(f"{command[0]} failed: " + " ".join(done.stdout.strip().splitlines()[-2:]))
	return done.stdout


def cache_folder():
	base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
	return os.environ.get("SPICEBOX_CACHE") or os.path.join(base, "spicebox")


def apt(folder, *command):
	"""apt with lists of its own: the machine's need not have the sources, nor change."""
	apt_folder = os.path.join(folder, "apt")
	for name in ("lists/partial", "archives/partial"):
		os.makedirs(os.path.join(apt_folder, name), exist_ok=True)
	sources = os.path.join(apt_folder, "sources.list")
	with open(sources, "w", encoding="ascii") as out:
		out.write("deb-src http://deb.debian.org/debian bookworm main\n")
	options = {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "/dev/null",
		"Dir::State::lists": os.path.join(apt_folder, "lists"),
		"Dir::Cache": apt_folder, "APT::Sandbox::User": ""}
	return run("apt-get", *[f"-o{key}={value}" for key, value in options.items()], *command, cwd=folder)


def fetch(folder):
	"""The source tree, unpacked and verified by dpkg-source."""
	tree = os.path.join(folder, "source")
	if os.path.isdir(tree):
		return tree
	for tool in ("apt-get", "dpkg-source"):
		if not shutil.which(tool):
			raise Missing(f"{tool} is not installed")
	apt(folder, "update")
	apt(folder, "source", "--download-only", f"spice={VERSION}")
	with tempfile.TemporaryDirectory(dir=folder) as work:
		unpacked = os.path.join(work, "source")
		run("dpkg-source", "-x", os.path.join(folder, f"spice_{VERSION}.dsc"), unpacked)
		os.rename(unpacked, tree)
	return tree


def build_peer():
	"""Path of the peer's library, built as Debian builds it (-O2)."""
	folder = os.path.join(cache_folder(), f"bench-spice-{VERSION}")
	os.makedirs(folder, exist_ok=True)
	library = os.path.join(folder, "libpeer.so")
	wrapper = os.path.join(HERE, "peer", "codecs_peer.c")
	if os.path.exists(library) and os.path.getmtime(library) > os.path.getmtime(wrapper):
		return library
	tree = fetch(folder)
	with open(os.path.join(folder, "config.h"), "w", encoding="ascii") as out:
		out.write(CONFIG)
	flags = run("pkg-config", "--cflags", "--libs", "glib-2.0", "spice-protocol", "pixman-1").split()
	run("cc", "-O2", "-fPIC", "-shared", "-w", "-fvisibility=hidden", "-o", library + ".new",
		"-I" + folder, f"-I{tree}/subprojects/spice-common", f"-I{tree}/server", wrapper,
		*[os.path.join(tree, name) for name in SOURCES], *flags, "-lpthread")
	os.rename(library + ".new", library)
	return library


def make_raw(picture, folder):
	name = os.path.splitext(os.path.basename(picture.split(":")[-1]))[0]
	raw = os.path.join(folder, name + ".raw")
	size = f"{WIDTH}x{HEIGHT}"
	run("convert", "-size", size, "-seed", "1", picture, "-resize", size + "!", "-depth", "8",
		"-alpha", "opaque", "BGRA:" + raw)
	return raw


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--runs", type=int, default=7)
	parser.add_argument("--only", choices=["quic", "lz", "glz"])
	parser.add_argument("pictures", nargs="*")
	args = parser.parse_args()
	program = os.path.join(os.environ.get("SPICEBOX_BUILD", "build"), "tests/bench/bench_codecs")
	for needed in (program, "convert"):
		if not shutil.which(needed):
			print(f"skipped: no {needed}")
			return 77
	peer = []
	try:
		peer = ["--peer", build_peer()]
	except Missing as missing:
		print(f"without the peer: {missing}", file=sys.stderr)
	with tempfile.TemporaryDirectory() as folder:
		pictures = [make_raw(p, folder) for p in args.pictures or ["plasma:fractal", "pattern:bricks"]]
		only = ["--only", args.only] if args.only else []
		return subprocess.run([program, *peer, *only, "--runs", str(args.runs), str(WIDTH), str(HEIGHT),
			*pictures], check=False).returncode


if __name__ == "__main__":
	try:
		sys.exit(main())
	except Missing as missing:
		sys.exit(f"bench_codecs: {missing}")
