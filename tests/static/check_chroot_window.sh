#!/bin/bash
# SPDX-License-Identifier: MIT
# The viewer opens its window from a chroot that holds only the program and the X11 socket.
set -u
work=$(mktemp -d /tmp/spicebox-window.XXXXXX)
jail=$work/jail
pids=()
finish()
{
	for pid in "${pids[@]}"; do
		kill "$pid" 2> /dev/null
		wait "$pid" 2> /dev/null
	done
	mountpoint -q "$jail/tmp/.X11-unix" && umount "$jail/tmp/.X11-unix"
	rm -rf --one-file-system "$work"
}
trap finish EXIT
skip()
{
	echo "skipped: $*"
	exit 77
}
fail()
{
	echo "FAILED: $*"
	tail -n 20 "$work"/*.log
	exit 1
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for()
{
	local tries=$(($1 * 10))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $((tries -= 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}

[ "$(id -u)" = 0 ] || skip "a bind mount needs root"
[ -w /dev/kvm ] || skip "no /dev/kvm to run the demo guest"
for tool in Xvfb xdotool import; do
	command -v $tool > /dev/null || skip "$tool is not installed"
done

mkdir -p "$jail/tmp/.X11-unix"
mkdir -p -m 1777 /tmp/.X11-unix
cp "$SPICEBOX" "$jail/spicebox"
mount --bind /tmp/.X11-unix "$jail/tmp/.X11-unix" 2> "$work/mount.log" ||
	skip "bind mounts are not permitted here: $(cat "$work/mount.log")"

# Without the abstract socket, which a chroot would not shut out.
Xvfb -displayfd 3 -nolisten local -screen 0 1280x1024x24 3> "$work/display" \
	2> "$work/xvfb.log" &
pids+=($!)
wait_for 10 test -s "$work/display" || fail "Xvfb did not start"
export DISPLAY=:$(cat "$work/display")

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$SPICEBOX" serve --demo --port "$port" > "$work/serve.log" 2>&1 &
pids+=($!)
wait_for 10 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port" || fail "serve --demo did not listen"

env -i PATH="$PATH" DISPLAY="$DISPLAY" chroot "$jail" /spicebox connect "127.0.0.1:$port" \
	> "$work/connect.log" 2>&1 &
pids+=($!)
wait_for 15 bash -c 'xdotool search --onlyvisible --class spicebox | grep -q .' ||
	fail "no window appeared"

# More than one colour: the guest's picture, not an empty window.
colours()
{
	[ "$(import -window root png:- | identify -format %k -)" -gt 8 ]
}
wait_for 15 colours || fail "the window shows no picture"
kill -0 "${pids[2]}" 2> /dev/null || fail "the viewer ended"
echo "the viewer shows the guest from a chroot with only itself and the X11 socket"
