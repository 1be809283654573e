#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the include rule of the design: which folder may include which, and who may know which
library. First proves on a broken tree that it finds each kind of breach, then checks ours."""
import os
import re
import sys
import tempfile

# folder -> folders whose headers it may include, besides its own.
MAY_INCLUDE = {
    "core": [],
    "codecs": ["core"],
    "hypervisor": ["core"],
    "qxl": ["core", "hypervisor"],
    "channels": ["core", "codecs"],
    "ui": ["core", "channels/client"],
    "cmd": ["core", "codecs", "hypervisor", "qxl", "channels", "ui"],
}

# Within channels/: the two ends stand on proto and link, never on each other.
NEVER = [("channels/server", "channels/client"), ("channels/client", "channels/server"),
         ("channels/proto", "channels/server"), ("channels/proto", "channels/client"),
         ("channels/link", "channels/server"), ("channels/link", "channels/client")]

# A header in angle brackets that matches -> the only folders that may include it.
ONLY = [
    (r"SDL", ["ui"]),
    (r"X11/|xcb/", ["ui"]),
    (r"linux/kvm|asm/kvm", ["hypervisor"]),
    (r"liburing", ["hypervisor"]),
    (r"linux/(virtio|pci|fs\.h|falloc)", ["hypervisor"]),
    (r"spice/", ["channels", "qxl"]),
    (r"openssl/", ["channels"]),
    (r"pixman", ["core"]),
    (r"zlib", ["codecs", "cmd"]),  # cmd/ writes PNG files
    (r"(lz4|zstd|jpeglib|turbojpeg|vpx/|libyuv|opus/)", ["codecs"]),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def within(path, folder):
    return path == folder or path.startswith(folder + "/")


def judge(path, quote, header):
    """What is wrong with `path` including `header`, or None."""
    top = path.split("/")[0]
    if quote == "<":
        for pattern, folders in ONLY:
            if re.match(pattern, header) and top not in folders:
                return "<%s> belongs to %s alone" % (header, " and ".join(folders))
        return None
    target = header.split("/")[0]
    if target not in MAY_INCLUDE:
        return '"%s" is not written from the root of the repository' % header
    if target != top and not any(within(header, ok) for ok in MAY_INCLUDE[top]):
        return '%s/ may not include "%s"' % (top, header)
    for source, forbidden in NEVER:
        if within(path, source) and within(header, forbidden):
            return '%s/ may not include "%s"' % (source, header)
    return None


def check(root):
    """Prints each breach as file:line; returns how many, and how many includes were seen."""
    breaches, seen = [], 0
    for top in MAY_INCLUDE:
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in sorted(files):
                if not name.endswith((".c", ".h")):
                    continue
                path = os.path.relpath(os.path.join(folder, name), root)
                with open(os.path.join(root, path), encoding="utf-8") as source:
                    for number, line in enumerate(source, 1):
                        match = INCLUDE.match(line)
                        if not match:
                            continue
                        seen += 1
                        wrong = judge(path, *match.groups())
                        if wrong:
                            breaches.append("%s:%d: %s" % (path, number, wrong))
    return breaches, seen


BROKEN = {
    "core/a.c": '#include "hypervisor/memory.h"',
    "core/b.c": "#include <spice/enums.h>",
    "core/c.h": "#include <SDL.h>",
    "codecs/a.c": '#include "channels/proto/ids.h"',
    "hypervisor/a.c": '#include "qxl/qxl.h"',
    "qxl/a.c": '#include "channels/server/server.h"',
    "qxl/b.c": "  #  include <linux/kvm.h>",
    "channels/server/a.c": '#include "channels/client/client.h"',
    "channels/client/a.c": '#include "channels/server/server.h"',
    "channels/proto/a.c": '#include "channels/link/link.h"\n#include "channels/server/server.h"',
    "channels/link/a.c": '#include "ui/window.h"',
    "ui/a.c": '#include "channels/server/server.h"',
    "ui/b.c": '#include "qxl/qxl.h"',
    "cmd/a.c": "#include <SDL2/SDL.h>",
    "cmd/b.c": '#include "main.h"',
}
SOUND = {
    "core/ok.c": '#include "core/loop.h"\n#include <pixman.h>\n#include <stdio.h>',
    "qxl/ok.c": '#include "hypervisor/pci.h"\n#include <spice/qxl_dev.h>',
    "ui/ok.c": '#include "channels/client/client.h"\n#include <SDL.h>',
    "cmd/ok.c": '#include "channels/server/server.h"\n#include "ui/window.h"',
}


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**BROKEN, **SOUND}.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as source:
                source.write(text + "\n")
        found = sorted(breach.split(":")[0] for breach in check(root)[0])
        if found != sorted(BROKEN):
            print("the check itself is wrong: found", found, "wanted", sorted(BROKEN))
            return False
    return True


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if not self_test():
        return 1
    breaches, seen = check(root)
    for breach in breaches:
        print(breach)
    print("%d includes, %d breaches of the include rule" % (seen, len(breaches)))
    return 1 if breaches or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
