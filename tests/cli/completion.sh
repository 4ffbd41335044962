#!/bin/bash
# The completion script for bash: what is offered where.
set -u
. "$(dirname "$0")/expect.bash"

"$DAYLIGHT" completion >"$DIR/daylight.bash" || fail "completion: exit code $?"
# shellcheck disable=SC1091 # made just now
. "$DIR/daylight.bash" || fail "the script cannot be sourced"
mkdir "$DIR/here" "$DIR/here/folder"
: >"$DIR/here/host.daylight"
cd "$DIR/here" || exit 1

# offers WANTED WORD...: the last word is the one to complete; WANTED: what comes, sorted.
offers() {
	local wanted=$1 got
	shift
	COMP_WORDS=(daylight "$@") COMP_CWORD=$#
	COMPREPLY=()
	_daylight
	got=$(printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | paste -sd ' ')
	[ "$got" = "$wanted" ] || fail "daylight $*: '$got' instead of '$wanted'"
}
files='folder host.daylight'

offers 'inspect' ins
offers '--help --version' --
offers '--version' --v
offers 'verify' help ver
offers '--function --help --json --jsonl --memory --module --process'\
' --request-id --route --since --status --until' inspect --
offers "$files" inspect ''
offers 'host.daylight' inspect ho
offers 'calls connections functions interpositions loss modules processes record stacks summary' \
	inspect host.daylight ''
offers 'calls connections' inspect --json host.daylight c
offers 'connection connection_end context' inspect host.daylight record co
offers '' inspect host.daylight calls ''
offers '' inspect host.daylight record call ''
offers '--json --jsonl' inspect host.daylight --j
offers "$files" verify --key ''
offers "$files" verify --tsa-ca ''
offers 'new show' key ''
offers "$files" key show ''
offers '' key new ''
offers "$files" key new -o ''
offers "$files" sign --key ''
offers "$files" sign ''
offers 'add request' timestamp ''
offers "$files" timestamp add host.daylight ''
offers "$files" verify --key = ''
offers "$files" analyze host.daylight ''
offers 'folder' analyze --services ''
offers "$files" analyze host.daylight -g ''
offers "$files" verify --json ''

# The kinds are those that `record` knows.
kinds=$("$DAYLIGHT" inspect . record bogus 1 2>&1 | sed 's/.*there are //; s/, /\n/g' |
	LC_ALL=C sort | paste -sd ' ')
[ "$(wc -w <<<"$kinds")" -gt 20 ] || fail "no list of kinds: $kinds"
offers "$kinds" inspect host.daylight record ''

if "$DAYLIGHT" --help | grep -q '^  collect '; then
	offers 'auto syscalls tracepoints' collect --boundary ''
	offers 'tracepoints' collect --boundary t
	offers 'tracepoints' collect --boundary = t
	offers 'auto syscalls tracepoints' collect --boundary =
	offers '' collect --pid ''
	offers '' collect --unit ho
	offers '' collect ''
	offers "$files" collect -o ''
	offers "$files" collect --resume ''
	offers 'folder' collect --probes ''
	offers '--pid --port --probes' collect -o host.daylight --p
	offers "$files" collect -- sh ''
	offers 'folder' collect -- sh -c f
fi
finish
