#!/bin/bash
# `analyze -o` puts its report over nothing but a report: not over an input, nor another file.
set -u
. "$(dirname "$0")/expect.bash"

bundle=$ROOT_DIR/tests/golden/bundles/sealed.daylight
cp "$bundle" "$DIR/bundle.daylight"
cp "$ROOT_DIR/tools/demo/guideline.json" "$DIR/guideline.json"
cp "$ROOT_DIR/tools/demo/reference.json" "$DIR/reference.json"
mkdir "$DIR/services"
cp "$ROOT_DIR/probes/services/sample.json" "$DIR/services/sample.json"
echo "a note" >"$DIR/note"
ln "$DIR/bundle.daylight" "$DIR/other-name"
(cd "$DIR" && sha256sum bundle.daylight guideline.json reference.json services/sample.json note >sums)

run() {
	expect "$1" "$2" "$DAYLIGHT" analyze "$DIR/bundle.daylight" --guideline "$DIR/guideline.json" \
		--reference "$DIR/reference.json" --services "$DIR/services" -o "$3"
}
for name in bundle.daylight guideline.json reference.json services/sample.json other-name; do
	run 2 "is the input .* another -o" "$DIR/$name"
done
run 2 "not a report.* another -o" "$DIR/note"
(cd "$DIR" && sha256sum --quiet -c sums) || fail "an input was changed"
finish
