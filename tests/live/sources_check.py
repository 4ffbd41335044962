"""sources_check.py BUNDLE FUNCTIONS APP HOW: the function_source records of a bundle. Those of the
file APP/sources_shapes.py must be of all its shapes and have `how` HOW; every digest is compared
with what tests/cli/pysource_check.py gets from the file."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli"))
import pysource_check  # noqa: E402

bundle, functions, app, want = sys.argv[1:5]
shapes = os.path.join(app, "sources_shapes.py")
daylight = os.environ["DAYLIGHT"]
SPECIAL = {"<lambda>": "lambda", "<listcomp>": "expression", "<genexpr>": "expression",
           "<module>": "module"}
if want == "source":
    SPECIAL.update(Local="class", f="no-definition")


def record(number):
    done = subprocess.run([daylight, "inspect", bundle, "record", "function_source", str(number),
                           "--json"], capture_output=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


known = {}
with open(functions, encoding="utf-8") as f:
    for line in f:
        row = json.loads(line)
        known[row["function"]] = row
seen, expected, number, compared, ghosts = {}, {}, 1, 0, 0
while True:
    rec = record(number)
    if not rec:
        break
    number += 1
    row = known[rec["function"]]
    assert rec["function"] not in seen, "two records of function %d" % rec["function"]
    seen[rec["function"]] = rec["how"]
    if rec["how"] != "source":
        assert rec["tokens"] is None and rec["docstring"] is None, rec
    path = row["path"]
    if path == shapes:
        assert rec["how"] == SPECIAL.get(row["name"], want), (row, rec)
    if path == os.path.join(app, "ghost.py"):
        assert rec["how"] == "missing", (row, rec)
        ghosts += 1
    if rec["how"] != "source":
        continue
    if path not in expected:
        with open(path, "rb") as f:
            expected[path] = list(pysource_check.functions_of(pysource_check.read_text(f.read())))
    match = [e for e in expected[path] if e[1] == row["line"] and e[2] == row["qualname"]]
    assert len(match) == 1, (row, match)
    doc = None if match[0][4] == "-" else match[0][4]
    assert (rec["tokens"], rec["docstring"]) == (match[0][3], doc), (row, rec, match)
    compared += 1
for number, row in known.items():
    if row["path"].startswith("/") and row["path"].endswith(".py"):
        assert number in seen, "no record of %s" % row
names = {row["name"] for row in known.values() if row["path"] == shapes}
missing = {"wrapper", "ask", "one_line", "method", "inside", "nested", "handle", "<lambda>",
           "<listcomp>", "<genexpr>", "Local", "f"} - names
assert not missing and ghosts, "not seen: %s; %d of ghost.py" % (missing, ghosts)
hows = {}
for how in seen.values():
    hows[how] = hows.get(how, 0) + 1
print("%d records: %s; %d digests compared" % (len(seen), hows, compared))
