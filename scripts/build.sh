# Builds the dashboard and the two programs, and only what changed.
# shellcheck shell=bash

# Where the programs are after `build_programs`; used by the scripts that source this one.
PROGRAMS="${CARGO_TARGET_DIR:-$ROOT/target}/debug"
# shellcheck disable=SC2034
SERVER="$PROGRAMS/foreman-server"
# shellcheck disable=SC2034
AGENT="$PROGRAMS/foreman-agent"

CHILD=""

# Runs a long command so that Ctrl-C and SIGTERM are answered at once instead of when it ends.
attended() {
  "$@" &
  CHILD=$!
  local code=0
  wait "$CHILD" || code=$?
  CHILD=""
  return "$code"
}

end_child() {
  [ -z "$CHILD" ] || kill -TERM "$CHILD" 2>/dev/null || true
}

build_failed() {
  need_space "$ROOT" 200 "the build"
  fail "$1 The reason is above this line."
}

install_node_modules() {
  [ -f node_modules/.package-lock.json ] && [ ! package-lock.json -nt node_modules/.package-lock.json ] && return
  step "Installing the dashboard's packages (about a minute)"
  attended npm ci --no-audit --no-fund --loglevel=error || build_failed "npm ci failed."
}

dashboard_is_current() {
  [ -f build/index.html ] || return 1
  local changed
  changed=$(find src static messages project.inlang package-lock.json svelte.config.js vite.config.ts \
    -path src/lib/paraglide -prune -o -newer build/index.html -print 2>/dev/null | head -n 1)
  [ -z "$changed" ]
}

build_dashboard() {
  install_node_modules
  if dashboard_is_current; then return; fi
  step "Building the dashboard"
  local log
  log=$(mktemp)
  # Bundlers talk a lot; what they say matters when they fail.
  if ! attended npm run --silent build >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    build_failed "The dashboard could not be built."
  fi
  rm -f "$log"
}

build_programs() {
  step "Building foreman-server and foreman-agent (several minutes the first time)"
  attended cargo build --locked -p mgmt-api -p foreman-agent --bins || build_failed "The programs could not be built."
}

# The app is built on its own: nothing else waits for the system's web view. The dashboard is inside the program.
build_app() {
  build_dashboard
  step "Building the app (ten minutes and more the first time)"
  attended cargo build --locked -p foreman-app || build_failed "The app could not be built."
}

# The journeys also drive the command line. The workspace is named whole, so that what the tests share with the
# programs is compiled once, with the same features.
build_tested_programs() {
  step "Building the programs that the tests start (several minutes the first time)"
  attended cargo build --locked --workspace --exclude foreman-app --bins || build_failed "The programs could not be built."
}
