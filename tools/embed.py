#!/usr/bin/python3
"""Writes files as C arrays: embed.py OUT.c ROOT FILE...

The names are relative to ROOT; the order is by name, so the output depends on the files alone.
The C side is userspace/catalog/embedded.h.
"""
import os
import sys


def c_string(text):
    # JSON file names are plain; anything else is a mistake worth stopping for.
    if not all(32 <= ord(c) < 127 and c not in '"\\?' for c in text):
        sys.exit(f"embed.py: {text!r}: rename the file, only plain ASCII names can be embedded")
    return f'"{text}"'


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: embed.py OUT.c ROOT FILE...")
    out, root, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    named = sorted((os.path.relpath(f, root).replace(os.sep, "/"), f) for f in set(files))
    lines = ["/* Written by tools/embed.py; do not edit. */", '#include "catalog/embedded.h"', ""]
    entries = []
    for i, (name, path) in enumerate(named):
        if name.startswith("../"):
            sys.exit(f"embed.py: {path}: does not lie under {root}")
        with open(path, "rb") as f:
            data = f.read()
        # One byte more than size, so that an empty file is no empty array.
        lines.append(f"static const unsigned char file_{i}[{len(data) + 1}] = {{")
        for at in range(0, len(data), 24):
            lines.append("\t" + "".join(f"{b}," for b in data[at:at + 24]))
        lines += ["\t0", "};", ""]
        entries.append(f"\t{{ {c_string(name)}, file_{i}, {len(data)} }},")
    lines.append("const struct catalog_embedded catalog_embedded[] = {")
    lines += entries or ["\t{ 0, 0, 0 },"]
    lines += ["};", f"const size_t catalog_embedded_count = {len(named)};", ""]
    # The Makefile deletes a half-written target when this fails.
    with open(out, "w", encoding="ascii") as f:
        f.write("\n".join(lines))


main()
