#!/bin/sh
# What a GPU is borrowed for, in order and in time: check, train, evaluate, tests, speed, rates.
#
#   benchmarks/gpu.sh --seconds 840 --data 'packs/pack-*.safetensors' --valid valid/pack-1.safetensors
#
# No part takes more than its seconds, all together no more than --seconds; what a part found is in
# the folder of results even if the next one fails: log.txt, results.jsonl, and of the training
# log.jsonl and averaged-*.safetensors, none larger than 16 MiB.
#
#   --seconds N        in all (840)
#   --out FOLDER       of results ($OUT, or runs/gpu)
#   --data PATTERN     packs to train on, made by python -m benchmarks.pack
#   --valid FILE       pack to evaluate on
#   --wheels FOLDER    packages to install where they are missing
#   --order 'PARTS'    other parts, or another order
#   --train-seconds N  of training; what the others leave if not given
#   --device cpu, --tiny   to try the script without a GPU
# All other options go to python -m benchmarks.gpu: --warm-start FILE, --preset, --batch, --float32 ...
set -u
total=840 out=${OUT:-runs/gpu} data="" valid="" wheels="" device=cuda tiny="" train_seconds=""
order="check train evaluate tests speed rates"
others=""
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) total=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        --data) data=$2; shift 2 ;;
        --valid) valid=$2; shift 2 ;;
        --wheels) wheels=$2; shift 2 ;;
        --order) order=$2; shift 2 ;;
        --train-seconds) train_seconds=$2; shift 2 ;;
        --device) device=$2; shift 2 ;;
        --tiny) tiny=--tiny; shift ;;
        *) others="$others $1"; shift ;;
    esac
done
[ -f benchmarks/gpu.py ] || { echo "start this in the root of the checkout" >&2; exit 2; }
deadline=$(($(date +%s) + total))
python=${PYTHON:-python3}
mkdir -p "$out"
log=$out/log.txt
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

seconds_of() { # the most that a part takes
    case $1 in
        check) echo 60 ;;
        tests) echo 60 ;;
        speed) echo 60 ;;
        rates) echo 140 ;;
        profile) echo 60 ;;
        evaluate) echo 90 ;;
        *) echo 0 ;;
    esac
}

left() { # seconds until the end; a part that is cut off has 3 more to stop
    echo $((deadline - $(date +%s) - 4))
}

part() { # NAME SECONDS COMMAND...: run it, cut off in time; what it says goes to the log
    name=$1 limit=$2
    shift 2
    [ "$limit" -le "$(left)" ] || limit=$(left)
    if [ "$limit" -lt 1 ]; then
        echo "{\"part\": \"$name\", \"exit\": \"no time left\"}" | tee -a "$out/results.jsonl"
        return
    fi
    echo "== $name, at most $limit s" | tee -a "$log"
    began=$(date +%s)
    timeout -k 3 "$limit" "$@" >>"$log" 2>&1
    code=$?
    took=$(($(date +%s) - began))
    echo "{\"part\": \"$name\", \"exit\": $code, \"seconds\": $took}" | tee -a "$out/results.jsonl"
    [ $code -eq 0 ] || tail -n 5 "$log"
}

benchmark() { # shellcheck disable=SC2086 - options are words
    which=$1 seconds=$2
    shift 2
    part "$which" "$seconds" "$python" -m benchmarks.gpu "$which" --out "$out" \
        --device "$device" $tiny "$@" $others
}

for what in $order; do
    case $what in
        check)
            lacking=$("$python" -m benchmarks.gpu missing)
            if [ -n "$wheels" ] && [ -n "$lacking" ]; then
                site=$(mktemp -d)
                # one by one: what has no wheel does not keep the others out
                for package in $lacking; do
                    part "install-$package" 30 "$python" -m pip install --quiet --no-index --no-deps \
                        --no-compile --find-links "$wheels" --target "$site" "$package"
                done
                PYTHONPATH="$PYTHONPATH:$site"
            fi
            benchmark check "$(seconds_of check)"
            ;;
        tests)
            # shellcheck disable=SC2046 - files are words; others may import what is not here
            part tests "$(seconds_of tests)" "$python" -m pytest -m gpu -p no:cacheprovider \
                $(grep -l 'mark\.gpu' tests/test_*.py)
            ;;
        train)
            after=0 met=""
            for other in $order; do
                [ -z "$met" ] || after=$((after + $(seconds_of "$other")))
                [ "$other" != train ] || met=yes
            done
            limit=$(($(left) - after))
            [ -z "$train_seconds" ] || limit=$train_seconds
            # shellcheck disable=SC2086 - a pattern
            benchmark train "$limit" --data $data --until $(($(date +%s) + limit - 5))
            ;;
        speed) benchmark speed "$(seconds_of speed)" ;;
        # shellcheck disable=SC2086 - a pattern
        rates | profile) benchmark "$what" "$(seconds_of "$what")" --data $data ;;
        evaluate)
            [ -n "$valid" ] || { echo "nothing is evaluated without --valid"; continue; }
            benchmark evaluate "$(seconds_of evaluate)" --valid "$valid"
            ;;
        *) echo "no part is called $what; expected check, tests, speed, rates, profile, train or evaluate" ;;
    esac
done
ls -l "$out"
