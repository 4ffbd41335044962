#!/bin/bash
# The judge of recall itself: it passes what is right, and finds each kind of wrong.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
mkdir "$DIR/truth"

# Two requests of one route. Functions 0 and 1 are the service's; 2 is another's; 3 stood on the
# stack before; 4 is the recorder's; 5 came after the last part; 6 is generated, its name is cut.
long=$(printf 'g%.0s' {1..80})
{
	printf 'f\t0\t10\t/srv/own/a.py\tA.first\nf\t1\t20\t/srv/own/b.py\tsecond\n'
	printf 'f\t2\t30\t/usr/lib/c.py\tthird\nf\t3\t1\t/usr/bin/serve\tmain\n'
	printf 'f\t4\t0\trecorder\t\nf\t5\t50\t/usr/lib/c.py\tclose\nf\t6\t1\t<%s>\tmade\n' "$long"
	printf 'c\treq-1\tGET\t/x\t200\t6\t3^ 4 0 1+ 2 6 5!\n'
	printf 'c\treq-2\tGET\t/x\t200\t4\t3^ 4 0 2\n'
} >"$DIR/truth/1.truth"

# call ID EVIDENCE LINK FUNCTION...: a function is FILE:QUALNAME:LINE
call() {
	local id=$1 evidence=$2 link=$3 text='' function
	shift 3
	for function in "$@"; do
		text="$text,{\"path\":\"${function%%:*}\",\"qualname\":\"$(cut -d: -f2 <<<"$function")\",\"line\":${function##*:},\"links\":[\"$link\"],\"sources\":[\"$evidence\"]}"
	done
	printf '{"request_id":"%s","method":"GET","route":"/x","status":200,"evidence":"%s","process":{"id":1},"start":"a","end":"b","functions":[%s]}\n' \
		"$id" "$evidence" "${text:1}"
}

A=/srv/own/a.py:A.first:10 B=/srv/own/b.py:second:20 C=/usr/lib/c.py:third:30
MAIN=/usr/bin/serve:main:1 CLOSE=/usr/lib/c.py:close:50 MADE="<${long:0:60}...:made:1"
NATIVE=/usr/lib/libc.so.6:read:null
RECORDER=/srv/tests/recall_record.py:hook:1
judge() {
	/usr/bin/python3 "$HERE/recall.py" "$DIR/calls" "$DIR/truth" --code '/srv/own/*' --files 100 \
		--functions 99 --deep 1 --deep-all 100 --calls 2 "$@" >"$DIR/out"
}
# right | wrong TEXT
right() { judge || { cat "$DIR/out" && exit 1; }; }
wrong() {
	! judge "${@:2}" || { echo "FAIL: not found: $1" && exit 1; }
	grep -q "$1" "$DIR/out" || { cat "$DIR/out" && echo "FAIL: no word of: $1" && exit 1; }
}

{
	call req-1 deep thread $A $B $C $MAIN $CLOSE "$MADE" $RECORDER $NATIVE
	call req-2 stacks thread $A
} >"$DIR/calls"
right
wrong "1 deep calls, not 2" --deep 2
wrong "2 calls, not 3" --calls 3
wrong "0 calls overlap, not 1" --overlap 1
call req-3 stacks thread $A >>"$DIR/calls" # a call that the service did not record is not compared
right
{
	call req-1 deep thread $A $C "$MADE"
	call req-2 stacks thread $A $B
} >"$DIR/calls"
wrong "req-2\|1 calls have ('/srv/own/b.py', 'second', 20), which did not run"
wrong "1 deep calls without ('/srv/own/b.py', 'second', 20)"
{
	call req-1 deep ambiguous $A $B $C "$MADE"
	call req-2 stacks thread $A
} >"$DIR/calls"
wrong "50.00 % of 2 files, not 100"
{
	call req-1 deep thread $A $B $C
	call req-2 stacks thread $A
} >"$DIR/calls"
wrong "a deep call has 75.00 % of all functions"
# A line that is another one is another function.
{
	call req-1 deep thread $A /srv/own/b.py:second:21 $C "$MADE"
	call req-2 stacks thread $A
} >"$DIR/calls"
wrong "('/srv/own/b.py', 'second', 21), which did not run"
{
	call req-1 stacks thread $A
	call req-2 stacks thread $A
} >"$DIR/calls"
{
	call req-7 deep thread $A $B
	call req-8 stacks thread $CLOSE $RECORDER
} >"$DIR/plain"
judge --plain "$DIR/plain" && exit 1
grep -q "a deep call has 50.00 %" "$DIR/out" || { cat "$DIR/out" && exit 1; }
/usr/bin/python3 "$HERE/recall.py" "$DIR/calls" "$DIR/truth" --plain "$DIR/plain" --calls 2 \
	--code '/srv/own/*' --files 100 --functions 99 --deep 1 >"$DIR/out" || { cat "$DIR/out" && exit 1; }
