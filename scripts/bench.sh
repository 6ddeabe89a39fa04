# Benchmarks, in release mode: each prints its ratio to a floor measured beside it.
# shellcheck shell=bash

missing_for_bench() {
  missing_for_build
  # Peers of the device link. What else is compared with is used where it is installed and skipped where not.
  have rg || echo ripgrep
  has_sshd || echo openssh-server
}

# Debian keeps it where not everybody's PATH leads.
has_sshd() { have sshd || [ -x /usr/sbin/sshd ]; }

# The package would start a server on port 22, which nobody asked for.
keep_ssh_closed() {
  if has_sshd || ! have systemctl || ! may_install; then return; fi
  as_root systemctl mask --quiet ssh.service ssh.socket 2>/dev/null || return 0
  loud "openssh-server is installed to compare with and not started. To have it on port 22: systemctl unmask ssh.service ssh.socket"
}

run_bench() {
  need_rust
  need_node
  keep_ssh_closed
  need_for bench
  build_dashboard
  cargo run --locked --release -p bench -- "$@"
}
