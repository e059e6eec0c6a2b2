#!/bin/sh
# Run the fuzzers that the preset "fuzz" has built: run_fuzzers.sh RUNS SEED
#
# Each begins with its kept inputs, tests/fuzz/corpus. RUNS are those of decode_request; the others
# get a tenth. SEED: the same one makes the same inputs, 0 others each time. What is new goes to
# build/fuzz/corpus, and what breaks a rule to build/fuzz/found.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/fuzz/found

# fuzz TARGET RUNS SEED
fuzz() {
  new="build/fuzz/corpus/$1"
  log="build/fuzz/$1.log"
  mkdir -p "$new"
  # Out of memory is an answer, as in the other tests.
  if ASAN_OPTIONS=allocator_may_return_null=1 "build/fuzz/tests/fuzz/$1_fuzzer" \
    -dict="tests/fuzz/$1.dict" -runs="$2" -seed="$3" -max_len=4096 -timeout=25 \
    -rss_limit_mb=2048 -artifact_prefix=build/fuzz/found/ "$new" "tests/fuzz/corpus/$1" \
    >"$log" 2>&1; then
    echo "$1: $(grep '^Done' "$log")"
  else
    tail -n 60 "$log"
    return 1
  fi
}

fuzz decode_request "$1" "$2"
fuzz manifest "$(($1 / 10))" "$2"
fuzz model_settings "$(($1 / 10))" "$2"
