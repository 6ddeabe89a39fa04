# Benchmarks, in release mode: each prints its ratio to a floor measured beside it.
# shellcheck shell=bash

missing_for_bench() {
  missing_for_build
  # Peers of the device link and of the router. What else is compared with is used where it is installed and skipped
  # where not.
  have rg || echo ripgrep
  has_server sshd || echo openssh-server
  has_server nginx || echo nginx-light
}

# Debian keeps them where not everybody's PATH leads.
has_server() { have "$1" || [ -x "/usr/sbin/$1" ]; }

# keep_closed PROGRAM PACKAGE PORT UNIT…: the package would start a server, which nobody asked for.
keep_closed() {
  local program=$1 package=$2 port=$3
  shift 3
  if has_server "$program" || ! have systemctl || ! may_install; then return; fi
  as_root systemctl mask --quiet "$@" 2>/dev/null || return 0
  loud "$package is installed to compare with and not started. To have it on port $port: systemctl unmask $*"
}

# The app beside an empty window of the same kind. FOREMAN_APP and FOREMAN_PROGRAMS name what is built already.
bench_app() {
  # shellcheck source=scripts/test.sh
  source scripts/test.sh
  local released="${CARGO_TARGET_DIR:-$ROOT/target}/release"
  need_for window
  window_driver
  if [ -z "${FOREMAN_APP:-}" ]; then
    build_dashboard
    step "Building the app and the window beside it for release (half an hour and more the first time)"
    attended cargo build --locked --release -p foreman-app --bin foreman-app --example empty_window ||
      build_failed "The app could not be built."
  fi
  if [ -z "${FOREMAN_PROGRAMS:-}" ]; then
    attended cargo build --locked --release -p mgmt-api -p foreman-agent --bins || build_failed "The programs could not be built."
  fi
  FOREMAN_PROGRAMS=${FOREMAN_PROGRAMS:-$released} FOREMAN_APP=${FOREMAN_APP:-$released/foreman-app} \
    node --test --test-concurrency=1 --test-timeout=600000 --test-force-exit --test-reporter=spec e2e-app/*.bench.mjs
}

run_bench() {
  need_rust
  need_node
  if [ "${1:-}" = app ]; then
    bench_app
    return
  fi
  keep_closed sshd openssh-server 22 ssh.service ssh.socket
  keep_closed nginx nginx-light 80 nginx.service
  need_for bench
  build_dashboard
  cargo run --locked --release -p bench -- "$@"
}
