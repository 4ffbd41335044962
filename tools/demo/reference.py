#!/usr/bin/python3
"""The reference of the sample service: digests of its files.

    reference.py            writes tools/demo/reference.json
    reference.py --check    exit 1 when it is not current
"""
import hashlib
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "reference.json")


def text():
    files = {}
    for name in sorted(os.listdir(os.path.join(HERE, "sundial"))):
        if name.endswith(".py"):
            with open(os.path.join(HERE, "sundial", name), "rb") as file:
                files["sundial/" + name] = hashlib.sha256(file.read()).hexdigest()
    return json.dumps({"schema": "daylight.reference/0", "component": "sundial",
                       "package": "sundial", "version": "1.0", "kind": "none",
                       "files": files}, indent=2) + "\n"


def main():
    if sys.argv[1:] == ["--check"]:
        with open(OUT, encoding="utf-8") as file:
            if file.read() != text():
                sys.exit("tools/demo/reference.json is not current: run tools/demo/reference.py")
        return
    with open(OUT, "w", encoding="utf-8") as file:
        file.write(text())


if __name__ == "__main__":
    main()
