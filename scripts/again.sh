# A second attempt for the few tests that failed. What passes then is not forgotten but named, here and at the very end:
# a test that is not steady hides a race, in itself or in Foreman.
# shellcheck shell=bash

# More than this many failures are no accident.
AGAIN_AT_MOST=3
# shellcheck disable=SC2034
UNSTEADY="$PROGRAMS/unsteady.txt"

# again WHAT... : whether these few that failed, none of them by accident, are worth a second attempt.
again() {
  [ $# -gt 0 ] && [ $# -le "$AGAIN_AT_MOST" ] || return 1
  step "A second attempt, by themselves: $*"
}

unsteady() {
  loud "UNSTEADY: passed only at the second attempt: $*"
  printf '%s\n' "$@" >>"$UNSTEADY"
}

# again_cargo_test ARGS... : `cargo test ARGS`, and what failed once more.
again_cargo_test() {
  local log failed
  log=$(mktemp)
  if cargo test "$@" 2>&1 | tee "$log"; then
    rm -f "$log"
    return
  fi
  mapfile -t failed < <(sed -n '/^failures:$/,/^test result/s/^    \([a-z0-9_:]*\)$/\1/p' "$log" | sort -u)
  rm -f "$log"
  again "${failed[@]}" || return 1
  cargo test "$@" -- --exact "${failed[@]}" || return 1
  unsteady "${failed[@]}"
}

# again_nextest ARGS... : `cargo nextest run ARGS`, which makes the second attempt itself.
again_nextest() {
  local log failed
  log=$(mktemp)
  cargo nextest run --retries 1 "$@" 2>&1 | tee "$log" || {
    rm -f "$log"
    return 1
  }
  mapfile -t failed < <(sed -n 's/^ *FLAKY 2\/2 \[[^]]*\] *\(([^)]*) *\)\{0,1\}//p' "$log" | sort -u)
  rm -f "$log"
  [ ${#failed[@]} -eq 0 ] || unsteady "${failed[@]}"
}

# again_node_test FILES... : the journeys in these files one after the other, and the files with a failure once more.
again_node_test() {
  local log failed
  log=$(mktemp)
  if node_test "$log" "$@"; then
    rm -f "$log"
    return
  fi
  mapfile -t failed < <(sort -u "$log")
  rm -f "$log"
  again "${failed[@]}" || return 1
  node_test /dev/null "${failed[@]}" || return 1
  unsteady "${failed[@]}"
}

# node_test LOG FILES... : what a person reads goes to the screen, and the files in which a test failed to LOG.
node_test() {
  local log=$1
  shift
  node --test --test-concurrency=1 --test-timeout=900000 --test-force-exit \
    --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=./scripts/failed-files.mjs --test-reporter-destination="$log" "$@"
}
