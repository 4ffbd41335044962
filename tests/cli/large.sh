#!/bin/bash
# `daylight inspect` on a bundle with more sightings than it holds at a time: its figures are those
# of the maker, its filters leave out what they should, its memory is bounded.
set -u
. "$(dirname "$0")/expect.bash"
cd "$ROOT_DIR" || exit 1
"${CC:-gcc}" -O2 -std=gnu11 -D_GNU_SOURCE -Iuserspace -include userspace/base/banned.h \
	-o "$DIR/make" tools/bench/large_bundle.c userspace/bundle/*.c userspace/base/*.c \
	-lzstd -lcrypto -lpthread || exit 1
made=$("$DIR/make" "$DIR/large.daylight" 450000) || fail "the maker lost records"
size=$(stat -c %s "$DIR/large.daylight")
head -c $((size / 2)) "$DIR/large.daylight" >"$DIR/cut.daylight"
timeout 300 "$PYTHON" -B - "$DAYLIGHT" "$DIR" "$made" <<'END' || fail "see above"
import json
import subprocess
import sys

daylight, folder, made = sys.argv[1:]
calls, deep, count = map(int, made.split())


def inspect(*arguments, file="large", code=0):
    """Rows of a view."""
    out = subprocess.run([daylight, "inspect", f"{folder}/{file}.daylight", *arguments],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert out.returncode == code, (arguments, out.returncode, out.stderr)
    return [json.loads(line) for line in out.stdout.splitlines()]


def names(row):
    return {f["qualname"] for f in row["functions"]}


[summary] = inspect("summary", "--jsonl")
assert summary["counts"]["sightings"] == calls * 100, summary["counts"]
assert summary["counts"]["calls"] == summary["counts"]["calls_complete"] == calls
assert summary["deep"]["calls"] == deep, summary["deep"]
stacks = inspect("stacks", "--jsonl")
assert sum(row["count"] for row in stacks) == count
assert sum(row["sightings"] for row in stacks) == calls * 100

rows = inspect("calls", "--jsonl")
assert [row["call"] for row in rows] == list(range(1, calls + 1))
assert [row["evidence"] for row in rows].count("deep") == deep
# The outermost function is in each whole stack; an entered function is alone.
total = sum(f["count"] for row in rows for f in row["functions"]
            if row["evidence"] == "deep" or f["function"] == 39)
assert total == count, (total, count)

middle = rows[calls // 3]["start"]
module = "service/part_7.py"
for arguments, fits in (
        (["--status", "500"], lambda r: r["status"] == 500),
        (["--status", "2xx"], lambda r: r["status"] == 200),
        (["--route", "items-3"], lambda r: r["route"] == "items-3"),
        (["--since", middle], lambda r: r["start"] >= middle),
        (["--until", middle], lambda r: r["start"] < middle),
        (["--process", "4001"], lambda r: True),
        (["--process", "4002"], lambda r: False),
        (["--request-id", rows[calls - 7]["request_id"]], lambda r: r["call"] == calls - 6),
        (["--function", "Manager.do_999"], lambda r: "Manager.do_999" in names(r)),
        (["--function", "do_999", "--route", "items-3"],
         lambda r: "Manager.do_999" in names(r) and r["route"] == "items-3"),
        (["--module", module],
         lambda r: any(f["path"].endswith("/" + module) for f in r["functions"])),
        (["--module", "art_7.py"], lambda r: False)):
    got = inspect("calls", "--jsonl", *arguments)
    wanted = [row for row in rows if fits(row)]
    assert got == wanted, (arguments, len(got), len(wanted))
assert len(inspect("functions", "--jsonl", "--module", "part_7.py")) == 10
assert len(inspect("modules", "--jsonl", "--module", "part_7.py")) == 1
some = [row for row in stacks if any(f["name"] == "do_999" for f in row["frames"])]
assert inspect("stacks", "--jsonl", "--function", "do_999") == some and some

[record] = inspect("record", "sighting", str(calls * 100 - 5), "--jsonl")
assert record["context"] == calls, record
inspect("record", "sighting", str(calls * 100 + 1), code=2)
inspect("loss", "--status", "500", code=2)

# Without its end: no index, the same rows as far as it goes.
part = inspect("calls", "--jsonl", file="cut", code=4)
assert part and len(part) < calls
for row, whole in zip(part[:-1000], rows):
    assert row["functions"] == whole["functions"], row["call"]
END
for view in summary stacks calls; do
	"$PYTHON" - "$DAYLIGHT" "$DIR/large.daylight" $view <<'END' || fail "$view: memory"
import resource
import subprocess
import sys

subprocess.run([sys.argv[1], "inspect", *sys.argv[2:], "--jsonl"], stdout=subprocess.DEVNULL,
               check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(f"{sys.argv[3]}: {used} KiB")
sys.exit(used > 100 << 10)
END
done
finish
