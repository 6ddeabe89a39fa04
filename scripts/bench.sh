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

run_bench() {
  need_rust
  need_node
  keep_closed sshd openssh-server 22 ssh.service ssh.socket
  keep_closed nginx nginx-light 80 nginx.service
  need_for bench
  build_dashboard
  cargo run --locked --release -p bench -- "$@"
}
