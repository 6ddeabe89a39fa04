# The programs for Windows, built with GNU's tools and tried under Wine.
# shellcheck shell=bash

# The program itself: a wrapper of a distribution would stand between it and who ends it.
wine_path() {
  local at
  for at in /usr/lib/wine/wine64 /usr/lib/wine/wine; do
    if [ -x "$at" ]; then
      echo "$at"
      return
    fi
  done
  command -v wine64 || true
}

# FOREMAN_PROGRAMS names the agent for this machine, to and from which files are copied.
run_windows() {
  local target=x86_64-pc-windows-gnu wine
  need_rust
  need_node
  need_for build
  wine=$(wine_path)
  [ -n "$wine" ] || fail "Wine is missing. Run: apt-get install wine64"
  have x86_64-w64-mingw32-gcc || fail "The C compiler for Windows is missing. Run: apt-get install gcc-mingw-w64-x86-64"
  [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || fail "Rust's target is missing. Run: rustup target add $target"
  step "Building the programs for Windows (ten minutes and more the first time)"
  attended cargo build --locked --target "$target" -p mgmt-api -p foreman-agent -p foreman-cli --bins ||
    build_failed "The programs for Windows could not be built."
  [ -n "${FOREMAN_PROGRAMS:-}" ] || build_programs
  step "Trying them under Wine"
  attended env FOREMAN_WINE="$wine" FOREMAN_PROGRAMS="${FOREMAN_PROGRAMS:-$PROGRAMS}" \
    FOREMAN_WINDOWS_PROGRAMS="${CARGO_TARGET_DIR:-$ROOT/target}/$target/debug" \
    node --test --test-reporter=spec scripts/windows.test.mjs
}
