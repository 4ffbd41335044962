#!/bin/bash
# `daylight inspect` on the fixed bundle: exit codes, keys of the contract, early ends, full output.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
daylight=${DAYLIGHT:-$root/build/daylight}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

fail() {
	echo "FAIL: $*"
	bad=1
}

# run WANTED_CODE ARGUMENT...: output in $work/out and $work/err
run() {
	local want=$1
	shift
	"$daylight" inspect "$@" >"$work/out" 2>"$work/err"
	local code=$?
	[ $code = "$want" ] || fail "inspect $*: exit code $code, not $want: $(head -3 "$work/err")"
	! grep -qiE 'sanitizer|runtime error' "$work/err" || fail "inspect $*: $(cat "$work/err")"
}

# says FILE TEXT: the output holds the text
says() {
	grep -qF -e "$2" "$work/$1" || fail "no '$2' in: $(head -5 "$work/$1")"
}

cd "$root" || exit 1
"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -Iuserspace -include userspace/base/banned.h \
	-o "$work/make" tests/cli/inspect_bundle.c userspace/bundle/*.c userspace/base/*.c \
	-lcmocka -lzstd -lcrypto -lpthread || exit 1
"$work/make" "$work/one.daylight" || exit 1
file=$work/one.daylight

run 0 "$file"
says out '3 calls, complete 2, 3 connections, 2 processes'
run 0 "$file" summary --json
/usr/bin/python3 - "$work/out" <<'PY' || fail "summary --json"
import json, sys

doc = json.load(open(sys.argv[1]))


def need(value, keys, where):
    missing = set(keys.split()) - set(value)
    assert not missing, f"{where}: {missing}"


need(doc, "schema bundle window host collector counts deep loss lost_total unsupported visibility",
     "top")
need(doc["deep"], "spans reasons calls", "deep")
need(doc["bundle"], "format bytes sealed complete end_offset end_reason", "bundle")
need(doc["window"], "id challenge start stop start_reason stop_reason gaps", "window")
need(doc["host"], "name kernel boot_id arch", "host")
need(doc["collector"], "version exe_sha256 options probes bpf", "collector")
need(doc["collector"]["probes"][0], "name sha256 shipped", "probes")
need(doc["collector"]["bpf"][0], "name tag", "bpf")
need(doc["counts"], "processes modules functions stacks sightings connections calls calls_complete "
     "interpositions", "counts")
need(doc["loss"][0], "stage attempted delivered skipped lost", "loss")
need(doc["unsupported"][0], "process what version", "unsupported")
need(doc["visibility"], "listeners connections", "visibility")
need(doc["visibility"]["listeners"][0], "address covered", "listeners")
need(doc["visibility"]["connections"], "accepted decoded undecoded", "connections")
assert doc["lost_total"] == 3
for stage in doc["loss"]:
    assert stage["attempted"] == (stage["delivered"] + sum(stage["skipped"].values())
                                  + sum(stage["lost"].values())), stage
seen = doc["visibility"]["connections"]
assert seen["accepted"] == seen["decoded"] + sum(seen["undecoded"].values())
PY

run 0 "$file" calls --jsonl
/usr/bin/python3 - "$work/out" <<'PY' || fail "calls --jsonl"
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1])]
keys = """call process connection seq protocol method path route status start first_byte end
end_reason request_bytes response_bytes request_id request_ids evidence hops lost functions"""
for row in rows:
    assert not set(keys.split()) - set(row), row
    assert {"id", "pid", "exe"} <= set(row["process"])
    for function in row["functions"]:
        assert not set(("function name qualname module path line offset language links "
                        "sources count").split()) \
            - set(function), function
assert [row["evidence"] for row in rows] == ["deep", "stacks", "none"], rows
PY

run 0 "$file" modules --jsonl
/usr/bin/python3 - "$work/out" <<'PY' || fail "modules --jsonl"
import json, sys

keys = """module kind path device inode size mtime ctime sha256 build_id package digest
changed_after_load language"""
for row in map(json.loads, open(sys.argv[1])):
    assert not set(keys.split()) - set(row), row
    assert {"how", "when"} <= set(row["digest"])
    assert row["package"] is None or \
        {"manager", "name", "version", "digest_matches"} <= set(row["package"])
PY

run 0 "$file" functions --jsonl
/usr/bin/python3 - "$work/out" <<'PY' || fail "functions --jsonl"
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1])]
keys = "function name qualname module path line offset language source memory memory_matches"
for row in rows:
    assert not set(keys.split()) - set(row), row
assert [row["memory_matches"] for row in rows] == [True, False, None, None, None], rows
assert [row["offset"] for row in rows] == [None] * 4 + [0x1f30], rows
PY
run 0 "$file" stacks --jsonl
/usr/bin/python3 - "$work/out" <<'PY' || fail "stacks --jsonl"
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1])]
keys = "stack process partial kind sightings count outermost frames"
for row in rows:
    assert not set(keys.split()) - set(row), row
    assert (row["outermost"] is not None) == (row["kind"] == "whole"), row
assert [row["kind"] for row in rows] == \
    ["whole", "partial", "whole", "entered", "whole", "partial"], rows
PY
run 0 "$file" interpositions --jsonl
/usr/bin/python3 - "$work/out" <<'PY' || fail "interpositions --jsonl"
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1])]
keys = "interposition process kind place module module_path by by_path detail when"
for row in rows:
    assert not set(keys.split()) - set(row), row
assert [row["kind"] for row in rows] == ["rebound", "preload"], rows
PY

# The document's rows are the lines.
for view in calls processes modules functions stacks interpositions connections loss; do
	run 0 "$file" $view --jsonl
	mv "$work/out" "$work/lines"
	run 0 "$file" $view --json
	/usr/bin/python3 - "$work/lines" "$work/out" $view <<'PY' || fail "$view --json"
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1])]
assert json.load(open(sys.argv[2]))[sys.argv[3]] == rows and rows
PY
	run 0 "$file" $view
	says out "lost: 3 events"
done

for kind in window window_end label probe program gap target listener process process_end mapping \
	module identity pyc function stack context sighting binding connection connection_end call \
	hop loss unsupported deep function_source function_memory interposition; do
	run 0 "$file" record $kind 1 --json
	says out "\"record\": \"$kind\""
	run 0 "$file" record $kind 1
done

# Names and values are pairs, not one list.
run 0 "$file" record call 1
says out 'request_ids         X-Openstack-Request-Id=req-1'
says out '                    X-Openstack-Request-Id=req-client'
run 0 "$file"
says out 'target       port=5000'

# Every cause of loss is shown; an exit code is not the raw wait status, which stays in the record.
"$work/make" "$work/more.daylight" more || exit 1
for view in summary loss; do
	run 0 "$work/more.daylight" $view
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		grep -qE "(^| )some-cause-$i=$i( |\$)" "$work/out" || fail "$view: no some-cause-$i"
	done
	[ "$(wc -L <"$work/out")" -le 100 ] || fail "$view: a line is longer than 100 columns"
done
run 0 "$work/more.daylight" processes --jsonl
says out '"exit_code":3,"signal":null'
says out '"exit_code":null,"signal":9'
run 0 "$work/more.daylight" processes
grep -qE '^ +1 .* 3 +- +keystone' "$work/out" || fail "processes: no exit code 3"
run 0 "$work/more.daylight" record process_end 2
says out 'exit_code           768'

# Usage, and what is no bundle.
run 2
says err 'FILE'
run 2 "$file" nothing
says err 'summary, calls'
run 2 "$file" call
run 2 "$file" record
run 2 "$file" record call
run 2 "$file" record call 9
says err 'ids from 1 to 3'
run 2 "$file" record nothing 1
says err 'window, window_end'
run 2 "$file" record call 1 more
run 2 "$file" --json --jsonl
run 2 "$work/absent"
says err 'absent'
run 2 "$root/Makefile"
run 2 "$work"
: >"$work/empty"
run 2 "$work/empty"
mkfifo "$work/fifo"
timeout 10 "$daylight" inspect "$work/fifo" >/dev/null 2>&1
[ $? = 2 ] || fail "a FIFO: not exit code 2"

# A bundle that ends early is printed and told.
size=$(stat -c %s "$file")
head -c $((size - 5)) "$file" >"$work/cut"
run 4 "$work/cut"
says out 'the bundle ends early'
run 4 "$work/cut" calls --jsonl
says err 'ends early'
[ "$(wc -l <"$work/out")" = 3 ] || fail "the cut bundle's calls are not printed"
run 4 "$work/cut" --json
says out '"complete": false'
for keep in 8 100 400 $((size / 2)); do
	head -c $keep "$file" >"$work/cut"
	"$daylight" inspect "$work/cut" >"$work/out" 2>"$work/err"
	code=$?
	[ $code = 2 ] || [ $code = 4 ] || fail "cut at $keep: exit code $code"
done

# Output that cannot be written is an error.
for format in '' --json --jsonl; do
	# shellcheck disable=SC2086 # no format is no argument
	"$daylight" inspect "$file" calls $format >/dev/full 2>"$work/err"
	[ $? = 4 ] || fail "a full output $format: not exit code 4"
	says err 'No space left'
done

exit $bad
