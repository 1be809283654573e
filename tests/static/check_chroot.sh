#!/bin/bash
# SPDX-License-Identifier: MIT
# The program works from a folder that holds nothing but itself.
set -u
jail=$(mktemp -d /tmp/spicebox-chroot.XXXXXX)
trap 'rm -rf "$jail"' EXIT
cp "$SPICEBOX" "$jail/spicebox"

in_jail=(chroot)
[ "$(id -u)" = 0 ] || in_jail=(unshare -r chroot)
if ! "${in_jail[@]}" "$jail" /spicebox --version > "$jail/out" 2>&1; then
	if ! "${in_jail[@]}" / true 2> /dev/null; then
		echo "skipped: chroot is not permitted here (run as root, or allow user namespaces)"
		exit 77
	fi
	echo "FAILED: spicebox --version in an empty chroot: $(cat "$jail/out")"
	exit 1
fi
echo "--version: $(cat "$jail/out")"
grep -q '^spicebox [0-9]' "$jail/out" || { echo "FAILED: no version in it"; exit 1; }

# doctor may find something lacking (there is no /dev here), but must run to its end and say so.
env -i PATH="$PATH" "${in_jail[@]}" "$jail" /spicebox doctor > "$jail/out" 2>&1
status=$?
cat "$jail/out"
if [ $status -gt 1 ] || ! grep -qi 'kvm' "$jail/out"; then
	echo "FAILED: doctor in an empty chroot (exit code $status)"
	exit 1
fi
