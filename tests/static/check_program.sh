#!/bin/bash
# SPDX-License-Identifier: MIT
# The program is one file: static, position-independent, stripped, below 15 MB, hardened.
set -u
failed=0
fail()
{
	echo "FAILED: $*"
	failed=1
}

[ -x "$SPICEBOX" ] || { echo "no program at $SPICEBOX"; exit 1; }

ldd_says=$(ldd "$SPICEBOX" 2>&1)
echo "ldd: $ldd_says"
[[ $ldd_says == *"statically linked"* ]] || fail "not statically linked"

header=$(readelf -hW "$SPICEBOX")
segments=$(readelf -lW "$SPICEBOX")
dynamic=$(readelf -dW "$SPICEBOX")
grep -q 'Type: *DYN' <<< "$header" || fail "not position-independent (ELF type is not DYN)"
grep -q 'PIE' <<< "$dynamic" || fail "no PIE flag"
grep -q 'INTERP' <<< "$segments" && fail "asks for a program interpreter"
grep -q 'NEEDED' <<< "$dynamic" && fail "needs shared libraries"
grep -q 'GNU_RELRO' <<< "$segments" || fail "no read-only relocations"
grep -q 'BIND_NOW\|FLAGS_1.*NOW' <<< "$dynamic" || fail "relocations are not bound at start"
grep 'GNU_STACK' <<< "$segments" | grep -q 'RWE' && fail "executable stack"
readelf -SW "$SPICEBOX" | grep -q '\.symtab\|\.debug_info' && fail "not stripped"

size=$(stat -c %s "$SPICEBOX")
echo "size: $size bytes"
[ "$size" -lt 15000000 ] || fail "15 MB or more"

exit $failed
