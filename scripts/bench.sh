# Benchmarks, in release mode: each prints its ratio to a floor measured beside it.
# shellcheck shell=bash

run_bench() {
  need_rust
  need_node
  need_for build
  build_dashboard
  cargo run --locked --release -p bench -- "$@"
}
