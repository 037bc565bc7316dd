#!/bin/sh
# flip-evaluator 1.7: a wrong argument of `evaluate`, or a path that does not exist, ends the program that
# calls it: a sentence on standard output and `sys.exit(1)`, from inside the library.
#
# SystemExit is no Exception, so `except Exception` around a metric does not help; a benchmark of hours
# ends at the one image that is missing, and its standard output, which may be JSON, gets the sentence.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flip-evaluator==1.7 numpy==2.4.6
code=0
"$folder/venv/bin/python" - >"$folder/out" <<'END' || code=$?
import flip_evaluator
import numpy as np

image = np.zeros((32, 32, 3), np.float32)
for test, kind in (("missing.png", "LDR"), (image, "SDR")):
    try:
        flip_evaluator.evaluate(image, test, kind)
    except SystemExit as end:
        assert end.code == 1
    else:
        raise AssertionError
try:
    flip_evaluator.evaluate("missing.png", image, "LDR")
except Exception:
    print("an exception")  # which is what a caller prepares for
print("still here")
END
cat "$folder/out"
[ "$code" = 1 ]
grep -q "does not exist" "$folder/out"
! grep -q "still here" "$folder/out"
