# All tests. Each part is a call of its own, so that one failing part does not hide the others.
# shellcheck shell=bash

PARTS=(rust drift ui e2e app)

# shellcheck source=scripts/again.sh
source scripts/again.sh

# The journeys in Rust share one PostgreSQL, so they run in one process and not one for each test. Always the whole
# workspace is named: with other features, what they depend on would be built a second time.
test_rust() {
  build_dashboard
  build_tested_programs
  need_oauth_server
  step "Rust tests"
  if cargo nextest --version >/dev/null 2>&1; then
    again_nextest --locked --workspace --exclude foreman-app --exclude journeys --no-fail-fast
    cargo test --locked --workspace --exclude foreman-app --exclude journeys --doc
  else
    cargo test --locked --workspace --exclude foreman-app --exclude journeys --no-fail-fast
  fi
  step "Journeys: nothing lost (FOREMAN_LONG=1 for the long mode)"
  cargo test --locked --workspace --exclude foreman-app --test journeys --no-run
  [ -z "${FOREMAN_AHEAD:-}" ] || app_ahead &
  FOREMAN_PROGRAMS=$PROGRAMS again_cargo_test --locked --workspace --exclude foreman-app --test journeys
}

# The journeys mostly wait, so what the app's part needs is built beside them, with what processor time they leave. Cargo
# lets one build at a time into its folder; the pause lets the journeys begin first.
app_ahead() {
  [ "$(uname -s)" = Linux ] && pkg-config --exists webkit2gtk-4.1 2>/dev/null || return 0
  sleep 20
  nice -n 19 cargo build --locked --quiet -p foreman-app >"$PROGRAMS/app-ahead.log" 2>&1 || true
}

test_drift() {
  step "Generated files"
  ./dev gen --check
}

test_ui() {
  build_dashboard
  step "Dashboard tests"
  npx vitest run
}

test_e2e() {
  build_dashboard
  build_tested_programs
  need_model_clients
  step "Browser journeys"
  [ $# -gt 0 ] || set -- e2e/*.test.mjs
  CHROMIUM=$(chromium_path) POSTGRES_BIN=$(postgres_bin) FOREMAN_PROGRAMS=$PROGRAMS again_node_test "$@"
}

# The window's driver: pinned, in .tools like the tools of `./dev check`.
window_driver() {
  [ -x "$ROOT/.tools/bin/tauri-driver" ] && return
  step "Installing tauri-driver into .tools"
  attended cargo install --quiet --locked --root "$ROOT/.tools" tauri-driver --version 2.1.0
}

# The app on its own: its tests beside the code, then journeys in a real window on a screen of their own.
test_app() {
  if [ "$(uname -s)" != Linux ]; then
    loud "SKIPPED: the app's window. Its tests need WebKitGTK and Xvfb, which are Linux's."
    return
  fi
  need_for window
  window_driver
  build_app
  build_tested_programs
  step "The app's tests"
  again_cargo_test --locked -p foreman-app
  need_oauth_server
  step "Journeys in the app's window"
  [ $# -gt 0 ] || set -- e2e-app/*.test.mjs
  CHROMIUM=$(chromium_path) FOREMAN_PROGRAMS=$PROGRAMS FOREMAN_APP=$PROGRAMS/foreman-app again_node_test "$@"
}

# Megabytes that a first run of everything leaves behind.
FIRST_RUN_MB=9000

test_everything() {
  local part failed=() free
  free=$(df -Pm "$ROOT" | awk 'NR == 2 { print $4 }')
  [ -d "$PROGRAMS" ] || [ "$free" -ge "$FIRST_RUN_MB" ] ||
    loud "Only $free MB are free on the disk of $ROOT; a first run of all tests takes about $FIRST_RUN_MB MB."
  # Before the journeys, beside which the app is built.
  [ "$(uname -s)" != Linux ] || need_for window
  rm -f "$UNSTEADY"
  for part in "${PARTS[@]}"; do
    FOREMAN_AHEAD=yes ./dev test "$part" || failed+=("$part")
  done
  [ ! -s "$UNSTEADY" ] || loud "UNSTEADY, passed only at the second attempt: $(sort -u "$UNSTEADY" | paste -sd ' ')"
  [ ${#failed[@]} -eq 0 ] || fail "Failed: ${failed[*]}. Run one part again with ./dev test NAME."
  say "Passed: ${PARTS[*]}"
}

run_test() {
  need_rust
  need_node
  need_for tests
  local part=${1:-}
  if [ -z "$part" ]; then
    test_everything
    return
  fi
  shift
  case " ${PARTS[*]} " in
    *" $part "*) "test_$part" "$@" ;;
    *) fail "There is no part \"$part\"; there are: ${PARTS[*]}." ;;
  esac
}
