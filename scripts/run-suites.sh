#!/usr/bin/env bash
# Runs every test binary of the workspace, and clippy, three at once: most tests wait for servers. Tests that
# measure time stand in modules `alone`, and run one by one when all others have ended.
#
# Prints a line when a suite ends, what a failed one printed, each suite's seconds and the ten slowest tests. All output
# goes to the file named by the first argument, in the form of `cargo test`, for scripts/test-totals.awk.
#
#   SUITES_AT_ONCE=3          binaries side by side
#   RUST_TEST_THREADS=2       tests side by side in each
#   LONGEST_SUITE_THREADS=2   in the longest, which has most of them
set -euo pipefail
cd "$(dirname "$0")/.."

log=$1
suites_at_once=${SUITES_AT_ONCE:-3}
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-2}
longest_suite_threads=${LONGEST_SUITE_THREADS:-2}
# The module of the longest suite that waits most, for limits of time of Kafka's own: it runs as a suite beside the rest.
longest_suite=consumer-it
waiting_module=unknown_outcomes::
say_every_s=60
slowest_shown=10

# The longest first, so that none is left alone at the end; the rest as cargo lists them.
longest_first='consumer faults ops streaming rabbit relane push weather sync-rest stack producer demo'

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

# Name, folder and binary of each suite; cargo runs a test in the folder of its package.
cargo test --workspace --no-run --message-format=json 2>/dev/null |
  jq -r --arg order "$longest_first" '
    select(.reason == "compiler-artifact" and .profile.test and .executable != null)
    | (.manifest_path | sub("/Cargo.toml$"; "")) as $dir
    | ($dir | split("/") | last) as $package
    | (($order | split(" ") | index($package)) // 99) as $rank
    | (if .target.kind[0] == "test" then .target.name else "unit" end) as $part
    | [(if $part == "it" then $rank else $rank + 100 end), $package, $part, $dir, .executable] | @tsv' |
  sort -n -k1,1 -s >"$work/suites"
# Doc tests and clippy compile while others wait. A cold clippy takes minutes of both processors: it begins beside the
# suite that waits most, right behind the longest.
printf '0\tworkspace\tlint\t%s\t-\n' "$PWD" >>"$work/suites"
printf '50\tdocs\tdoc-tests\t%s\t-\n' "$PWD" >>"$work/suites"
sort -n -k1,1 -s -o "$work/suites" "$work/suites"

run_suite() { # NAME FOLDER BINARY [FILTER...]
  local begun=$EPOCHREALTIME code=0 out="$work/$1.out"
  if [[ $1 == docs-doc-tests ]]; then
    nice -n 5 cargo test --workspace --doc >"$out" 2>&1 || code=$?
  elif [[ $1 == workspace-lint ]]; then
    nice -n 5 make --no-print-directory lint >"$out" 2>&1 || code=$?
  else
    [[ $1 != "$longest_suite"* ]] || export RUST_TEST_THREADS=$longest_suite_threads
    printf '     Running %s\n' "$3" >"$out"
    # The time of each test is an option that the stable harness has under this name only.
    (cd "$2" && RUSTC_BOOTSTRAP=1 CARGO_MANIFEST_DIR=$2 "$3" -Z unstable-options --report-time "${@:4}") \
      >>"$out" 2>&1 || code=$?
  fi
  local seconds passed
  seconds=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.0f", b - a }')
  passed=$(awk '/^test result:/ { for (i = 1; i < NF; i++) if ($(i + 1) ~ /^passed;/) n += $i } END { print n + 0 }' "$out")
  printf '%s\t%s\t%s\t%s\n' "$1" "$seconds" "$passed" "$code" >"$work/$1.end"
  if ((code == 0)); then
    printf 'test: %-28s %4s passed in %4s s\n' "$1" "$passed" "$seconds"
  else
    # One write, so that suites that end together do not mix.
    local text
    text=$(awk '/^failures:$/ { is_told = 1 } is_told || /panicked at/ || /^test .* FAILED/' "$out" | tail -n 400)
    [[ -n $text ]] || text=$(tail -n 60 "$out")
    printf 'test: %-28s FAILED (exit %s) after %s s\n%s\n' "$1" "$code" "$seconds" "$text"
  fi
}

begun_s=$SECONDS
(
  while sleep "$say_every_s"; do
    ended=$(find "$work" -name '*.end' | wc -l)
    done_tests=$(cat "$work"/*.out 2>/dev/null | grep -c '^test .* ok' || true)
    printf 'test: %d of %d suites ended, %d tests passed, %d min\n' \
      "$ended" "$(($(wc -l <"$work/suites") + 1))" "$done_tests" "$(((SECONDS - begun_s) / 60))"
  done
) &
ticker=$!

running=0
run_beside_others() { # what `run_suite` takes
  if ((running >= suites_at_once)); then
    wait -n -p ended_pid || true
    running=$((running - 1))
  fi
  run_suite "$@" &
  running=$((running + 1))
}
while IFS=$'\t' read -r _ package part folder binary; do
  if [[ $package-$part == "$longest_suite" ]]; then
    run_beside_others "$longest_suite-waiting" "$folder" "$binary" "$waiting_module" --skip alone::
    run_beside_others "$longest_suite" "$folder" "$binary" --skip "$waiting_module" --skip alone::
  else
    run_beside_others "$package-$part" "$folder" "$binary" --skip alone::
  fi
done <"$work/suites"
# The ticker never ends by itself.
while ((running > 0)); do
  wait -n || true
  running=$((running - 1))
done
while IFS=$'\t' read -r _ package part folder binary; do
  [[ $binary != - ]] || continue
  # The list is read to its end: a reader that leaves at the first match fails the writer, and with it the pipeline.
  tests=$("$binary" --list 2>/dev/null)
  ! grep -qE '(^|::)alone::.*: test$' <<<"$tests" ||
    RUST_TEST_THREADS=1 run_suite "$package-$part-alone" "$folder" "$binary" alone::
done <"$work/suites"
kill "$ticker" 2>/dev/null || true

cat "$work"/*.out >"$log"

echo "test: seconds of each suite"
sort -t $'\t' -k2,2 -n -r "$work"/*.end | awk -F'\t' '$2 > 0 { printf "  %5d s  %4d tests  %s\n", $2, $3, $1 }'
echo "test: the slowest tests"
{ grep -hoE '^test .*<[0-9.]+s>$' "$log" || true; } |
  sed -E 's/^test (.*) \.\.\. .*<([0-9.]+)s>$/\2 \1/' | sort -n -r |
  awk -v most="$slowest_shown" 'NR <= most { printf "  %5d s  %s\n", $1, $2 }'

! grep -qvP '\t0$' <(cat "$work"/*.end)
