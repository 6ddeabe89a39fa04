# The fuzz targets, built as cargo fuzz builds them but without a sanitizer, so that stable Rust is enough: our own code
# has no unsafe. What was found stays in fuzz/corpus and is where the next run begins.
# shellcheck shell=bash

# run_fuzz [SECONDS] [TARGET…]: every target for so long, or only these.
run_fuzz() {
  local seconds=${1:-60} host target coverage
  shift || true
  case $seconds in
    '' | *[!0-9]*) fail "How many seconds for each target? \"$seconds\" is no number." ;;
  esac
  need_rust
  have "${CXX:-c++}" || fail "The C++ compiler is missing. Run: apt-get install g++"
  host=$(rustc -vV | sed -n 's/^host: //p')
  coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
  coverage+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
  coverage+=" -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions --cfg fuzzing"
  step "Building the fuzz targets"
  # With a target named, programs that only help to build are not made to count what they run.
  attended env RUSTFLAGS="$coverage" CARGO_TARGET_DIR="$ROOT/target/fuzz" \
    cargo build --locked --release --target "$host" --manifest-path fuzz/Cargo.toml --bins ||
    build_failed "The fuzz targets could not be built."
  if [ $# = 0 ]; then
    for target in fuzz/fuzz_targets/*.rs; do
      target=${target##*/}
      set -- "$@" "${target%.rs}"
    done
  fi
  for target in "$@"; do
    [ -f "fuzz/fuzz_targets/$target.rs" ] || fail "There is no fuzz target \"$target\"."
    step "Fuzzing $target for $seconds s"
    mkdir -p "fuzz/corpus/$target" fuzz/artifacts
    "$ROOT/target/fuzz/$host/release/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -verbosity=0 \
      -artifact_prefix="fuzz/artifacts/$target-" "fuzz/corpus/$target" ||
      fail "$target failed. What it failed with is in fuzz/artifacts."
  done
}
