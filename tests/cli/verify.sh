#!/bin/bash
# `daylight verify` on the bundles of tests/golden/bundles: exit codes, words, JSON.
set -u
. "$(dirname "$0")/expect.bash"
bundles=$ROOT_DIR/tests/golden/bundles

# verify CODE NAME [ARG...]: stdout goes to $DIR/out; nothing may come on stderr.
verify() {
	local wanted=$1 file=$bundles/$2.daylight code=0
	shift 2
	"$DAYLIGHT" verify "$file" "$@" >"$DIR/out" 2>"$DIR/err" || code=$?
	[ "$code" = "$wanted" ] || fail "$file: exit code $code instead of $wanted"
	[ ! -s "$DIR/err" ] || fail "$file: stderr: $(head -n 1 "$DIR/err")"
}

# says LINE: one line of the output is exactly this.
says() {
	grep -qxF -e "$1" "$DIR/out" || fail "no line '$1' in: $(cat "$DIR/out")"
}

verify 0 sealed
says "$bundles/sealed.daylight: intact, not signed"
says 'frames: 10 of 10 good'
says 'end: sealed'
# What stands at the end, and that the bundle is damaged all the same.
verify 1 altered
says "$bundles/altered.daylight: not ok"
says '  altered: frame 7 at offset 342'
says 'end: sealed, but the bundle is damaged'
verify 1 trailing
says "$bundles/trailing.daylight: not ok"
says 'end: trailing'
verify 4 cut
says "$bundles/cut.daylight: cut; intact as far as it goes (5 of 5 frames good)"
says 'frames: 5 of 5 good; 2 more behind the cut'
says 'end: cut'
verify 4 zeros
says "$bundles/zeros.daylight: cut; intact as far as it goes (9 of 9 frames good)"
says 'end: cut'

for name in sealed altered trailing cut zeros; do
	"$DAYLIGHT" verify "$bundles/$name.daylight" >"$DIR/text"
	code=$?
	verify $code $name --json
	"$PYTHON" - "$DIR/out" "$DIR/text" "$bundles/$name.daylight" $code <<'END' || fail "$name --json"
import hashlib, json, sys

doc = json.load(open(sys.argv[1]))
data = open(sys.argv[3], "rb").read()
text = open(sys.argv[2]).read()
keys = "schema file ok damaged sealed complete frames signature timestamp findings end_reason sha256 chain"
assert set(doc) == set(keys.split()), doc
assert set(doc["frames"]) == {"total", "good"}
assert set(doc["signature"]) == {"state", "key_sha256", "trusted"}
assert doc["sha256"] == hashlib.sha256(data).hexdigest()
# The last chain frame: magic, length 40, number, value.
at = data.rindex(bytes.fromhex("542a4d1828000000"))
assert doc["chain"] == data[at + 16:at + 48].hex(), doc["chain"]
assert f"\nsha256: {doc['sha256']}\n" in text and f"\nchain: {doc['chain']}\n" in text
assert doc["ok"] == (sys.argv[4] == "0") and doc["damaged"] == ("altered" in sys.argv[3])
END
done

# Signed and stamped once, and for ever: the authority's certificates expired long ago.
key=107f1a5529eb8a820597333fb5e313d84eb8026c8100f3d464382e3f1a08771e
for name in signed signed-hidden signed-stamped; do
	verify 0 $name
	says "$bundles/$name.daylight: intact, signer $key not checked"
	verify 0 $name --key "$bundles/signer.pub"
	says "$bundles/$name.daylight: intact, signed by $key"
done
verify 0 signed-stamped --key "$bundles/signer.pub" --tsa-ca "$bundles/authority.ca"
says 'timestamp: valid, says 2026-11-29T11:44:22.000000000Z, by CN=golden stamps'
verify 0 stamped --tsa-ca "$bundles/authority.ca"
says "$bundles/stamped.daylight: intact, not signed"
# Damage before the signature: what is not named is as it was signed.
verify 1 signed-altered --key "$bundles/signer.pub"
says "signature: valid, by $key"
verify 4 signed-cut
says "signature: absent, though one was begun or promised ('daylight sign' puts it there)"

# A bundle of which not one link is whole.
head -c 60 "$bundles/sealed.daylight" >"$DIR/head.daylight"
code=0
"$DAYLIGHT" verify "$DIR/head.daylight" >"$DIR/out" || code=$?
[ "$code" = 4 ] || fail "the header alone: exit code $code instead of 4"
says "$DIR/head.daylight: cut before its first chain frame: nothing can be checked"
says 'chain: -'
finish
