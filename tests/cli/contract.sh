#!/bin/bash
# What programs may rely on: every key is there in what the verbs print of a bundle of the sample
# service; the ledger adds up; every pointer of the report resolves; every file has a digest.
set -u
. "$(dirname "$0")/expect.bash"
need_collect

sample_start
collect_start "$DIR/sample.daylight" --port "$SAMPLE_PORT"
sample_drive
collect_stop
[ "$COLLECT_CODE" = 0 ] || fail "collect: exit code $COLLECT_CODE: $(tail -n 3 "$DIR/collect.log")"
"$DAYLIGHT" analyze "$DIR/sample.daylight" --guideline "$ROOT_DIR/tools/demo/guideline.json" \
	-o "$DIR/report.json" >/dev/null || fail "analyze: exit code $?"
"$PYTHON" "$CLI_DIR/contract_check.py" "$DAYLIGHT" "$DIR/sample.daylight" "$DIR/report.json" ||
	fail "contract_check.py"
finish
