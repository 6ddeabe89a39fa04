# Everything that needs no running program: format, lints, types, dependencies, licences.
# shellcheck shell=bash

TOOLS="$ROOT/.tools"
SKIPPED=()
FAILED=()

# check NAME COMMAND…: runs it and remembers a failure, so that one run shows them all.
check() {
  local name=$1
  shift
  step "$name"
  "$@" || FAILED+=("$name")
}

skip() {
  SKIPPED+=("$1")
  loud "SKIPPED: $1. $2"
}

# Installs a cargo tool into .tools when neither that folder nor PATH has it.
cargo_tool() {
  PATH="$TOOLS/bin:$PATH"
  have "$1" && return
  step "Installing $1 into .tools"
  cargo install --quiet --locked --root "$TOOLS" "$1"
}

check_unused() {
  if cargo_tool cargo-machete; then check "Unused dependencies" cargo machete
  else skip "unused dependencies" "cargo-machete could not be installed."; fi
}

check_licences() {
  if ! cargo_tool cargo-deny; then
    skip "licences and advisories" "cargo-deny could not be installed."
    return
  fi
  check "Licences" cargo deny --workspace check licenses bans sources
  if cargo deny fetch db >/dev/null 2>&1; then
    check "Advisories (Rust)" cargo deny --workspace check advisories
  else
    skip "Rust advisories" "The advisory database could not be reached."
  fi
}

check_npm_advisories() {
  local answer
  answer=$(mktemp)
  npm audit --audit-level=high >"$answer" 2>&1 && FOUND=0 || FOUND=1
  if [ "$FOUND" = 1 ] && grep -qE 'ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|audit endpoint returned an error|E40[0-9]|E50[0-9]' "$answer"; then
    skip "npm advisories" "The registry did not answer."
  else
    check "Advisories (npm)" show_audit "$answer" "$FOUND"
  fi
  rm -f "$answer"
}

show_audit() {
  cat "$1"
  return "$2"
}

# The fuzz targets are no part of the workspace, so nothing else notices when what they call has changed. They are only
# checked here; libFuzzer itself is C++ and is built with them.
check_fuzz() {
  if ! have "${CXX:-c++}"; then
    skip "types of the fuzz targets" "The C++ compiler is missing (apt-get install g++)."
    return
  fi
  # ./dev fuzz sets the same; in a folder of its own, because other flags would build everything else anew.
  check "Types of the fuzz targets" env RUSTFLAGS="--cfg fuzzing" CARGO_TARGET_DIR="$ROOT/target/fuzz" \
    cargo check --locked --manifest-path fuzz/Cargo.toml
}

check_scripts() {
  if have shellcheck; then check "Shell scripts" shellcheck -x dev .ci/run scripts/*.sh deploy/*.sh
  else skip "shell scripts" "shellcheck is not installed (apt-get install shellcheck)."; fi
}

# check_types_on SYSTEM TARGET C-COMPILER ITS-PACKAGE CRATE…: what runs there, as far as another machine can tell.
check_types_on() {
  local system=$1 target=$2 compiler=$3 package=$4
  shift 4
  if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
    skip "types on $system" "Rust's $target is not installed (rustup target add $target)."
  elif ! have "$compiler"; then
    skip "types on $system" "The C compiler for it is missing (apt-get install $package)."
  else
    check "Types on $system" cargo check --locked --target "$target" "${@/#/--package=}" --bins
  fi
}

# check_app_on SYSTEM TARGET: the app's types there. Nothing is linked, so nobody reads what a C compiler would make, and
# a stand-in does.
check_app_on() {
  local system=$1 target=$2 stand_in=$ROOT/.tools/stand-in variable=${2//-/_}
  if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
    skip "types of the app on $system" "Rust's $target is not installed (rustup target add $target)."
    return
  fi
  mkdir -p .tools
  # shellcheck disable=SC2016
  printf '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" != -o ] || : >"$2"; shift; done\n' >"$stand_in"
  chmod +x "$stand_in"
  # Apple's would be asked where its headers are; nothing reads them.
  check "Types of the app on $system" env "CC_$variable=$stand_in" "CXX_$variable=$stand_in" "AR_$variable=$stand_in" \
    SDKROOT="$ROOT/.tools" cargo check --locked --target "$target" -p foreman-app --lib
}

check_apps() {
  check_app_on Android aarch64-linux-android
  check_app_on iOS aarch64-apple-ios
  check_app_on macOS aarch64-apple-darwin
  check_app_on Windows x86_64-pc-windows-gnu
}

# The app is no part of the workspace's other checks, because it wants the system's web view.
check_app_here() {
  if [ "$(uname -s)" != Linux ] || pkg-config --exists webkit2gtk-4.1 2>/dev/null; then
    check "Clippy (app)" cargo clippy --locked -p foreman-app --all-targets -- -D warnings
  else
    skip "lints of the app" "The system's web view is missing (apt-get install libwebkit2gtk-4.1-dev)."
  fi
}

run_check() {
  need_rust
  need_node
  need_for build
  install_node_modules
  build_dashboard
  check "Format (Rust)" cargo fmt --all --check
  check "Clippy" cargo clippy --locked --workspace --exclude foreman-app --all-targets -- -D warnings
  check_app_here
  check_types_on Windows x86_64-pc-windows-gnu x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64 \
    foreman-agent foreman-cli mgmt-api
  check_types_on "64-bit ARM" aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu \
    foreman-agent foreman-cli mgmt-api
  check_apps
  check_fuzz
  check "Types (dashboard)" npm run --silent check
  check "Format (dashboard, journeys)" npx prettier --check --log-level warn src messages e2e e2e-app scripts ./*.js ./*.ts
  check "Types (journeys)" npx tsc -p e2e
  check "ESLint" npm run --silent lint
  check_scripts
  check_unused
  check_licences
  check_npm_advisories
  [ ${#SKIPPED[@]} -eq 0 ] || loud "Skipped: $(IFS=';'; echo "${SKIPPED[*]}")"
  [ ${#FAILED[@]} -eq 0 ] || fail "Not in order: $(IFS=','; echo "${FAILED[*]}")."
  say "In order."
}
