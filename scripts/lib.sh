# SPDX-License-Identifier: MIT
# Sourced by the scripts beside it: where things are, and how they speak.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=${SPICEBOX_BUILD_DIR:-$source_dir/build}
cache_dir=${SPICEBOX_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/spicebox}
export SPICEBOX_CACHE=$cache_dir

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# say TEXT: what is being done, on stderr, so that a program's own output stays clean.
say()
{
	[ -n "${quiet:-}" ] || echo "${0##*/}: $*" >&2
}

# log_run LOG COMMAND...: runs it quietly; on failure shows the end of what it wrote.
log_run()
{
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	if ! "$@" > "$log" 2>&1; then
		tail -n 40 "$log" >&2
		die "failed: $* (whole output: $log)"
	fi
}
