# What `./dev` says. Sourced, never run.
# shellcheck shell=bash

# One step that takes a while.
step() { printf '==> %s\n' "$*"; }

# Something worth knowing.
say() { printf '%s\n' "$*"; }

# Something that was left out and should not go unnoticed.
loud() { printf '\n!!! %s\n\n' "$*" >&2; }

# Ends with one sentence that says what is wrong and what to do.
fail() {
  printf 'foreman: %s\n' "$*" >&2
  exit 1
}
