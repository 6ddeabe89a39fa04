#!/bin/sh
# Installs the Foreman agent from a Foreman server:
#
#   curl -fsSL @FOREMAN_URL@/install-agent.sh | sh
#
# Running it again updates the agent, or says that it is up to date. What is installed is replaced only by a
# download that matches its checksum and starts here.
#
# With FOREMAN_TOKEN in the environment it goes on and connects this device, then installs the service:
#
#   curl -fsSL @FOREMAN_URL@/install-agent.sh | FOREMAN_TOKEN=… sh
#
# FOREMAN_BIN_DIR     where to put the program; /usr/local/bin for root, ~/.local/bin otherwise
# FOREMAN_OWNER       with a token: the public key of someone who may reach this device; several with commas
# FOREMAN_DASHBOARD   with a token: what the dashboard may do here: none, view, operate or admin
# FOREMAN_CLOUDFLARE  with a token: true runs the server's Cloudflare Tunnel also where the dashboard may do nothing
# FOREMAN_CLOUDFLARED where cloudflared comes from, when it is to be installed too: `package` for this system's package
#                     manager, or an address or a file, with its SHA-256 in FOREMAN_CLOUDFLARED_SHA256
#
# Everything is inside functions and the last line calls them, so a download that was cut short does nothing.

set -eu

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'foreman: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Prints the name of this system as the server's downloads have it.
target() {
    machine=$(uname -m)
    system=$(uname -s)
    case $machine in
        x86_64 | amd64) arch=x86_64 ;;
        aarch64 | arm64) arch=aarch64 ;;
        *) fail "There is no agent for this processor ($machine); there is one for x86-64 and for 64-bit ARM." ;;
    esac
    case $system in
        Linux) os=linux ;;
        Darwin) os=macos ;;
        *) fail "This script installs on Linux and macOS, not on $system." ;;
    esac
    printf '%s-%s\n' "$arch" "$os"
}

# download ADDRESS FILE: returns 0, or 2 when the server answered that it does not have it, or 1.
download() {
    status=0
    if has curl; then
        curl -fsSL --connect-timeout 15 --retry 2 -o "$2" "$1" </dev/null 2>/dev/null || status=$?
        missing=22
    elif has wget; then
        wget -q -T 60 -O "$2" "$1" </dev/null 2>/dev/null || status=$?
        missing=8
    else
        fail "Neither curl nor wget is installed; install one of them and run this again."
    fi
    case $status in
        0) return 0 ;;
        "$missing") return 2 ;;
        *) return 1 ;;
    esac
}

# fetch NAME FILE: downloads or ends with one sentence.
fetch() {
    outcome=0
    download "$url/downloads/$1" "$2" || outcome=$?
    case $outcome in
        0) ;;
        2) fail "The server $url has no agent for this system ($1). Nothing was changed." ;;
        *) fail "Cannot download from $url; check the address and the network. Nothing was changed." ;;
    esac
}

checksum() {
    if has sha256sum; then
        sha256sum "$1" | cut -d ' ' -f 1
    elif has shasum; then
        shasum -a 256 "$1" | cut -d ' ' -f 1
    else
        fail "Neither sha256sum nor shasum is installed, so a download cannot be verified."
    fi
}

bin_dir() {
    if [ -n "${FOREMAN_BIN_DIR:-}" ]; then
        printf '%s\n' "$FOREMAN_BIN_DIR"
    elif [ "$(id -u)" = 0 ]; then
        printf '/usr/local/bin\n'
    elif [ -n "${HOME:-}" ]; then
        printf '%s/.local/bin\n' "$HOME"
    else
        fail "HOME is not set; name a directory with FOREMAN_BIN_DIR."
    fi
}

clean_up() {
    if [ -n "${scratch:-}" ]; then
        rm -rf "$scratch"
    fi
}

install_agent() {
    name=foreman-agent-$(target)
    dir=$(bin_dir)
    agent=$dir/foreman-agent
    mkdir -p "$dir" 2>/dev/null || fail "Cannot make the directory $dir; run this as root or set FOREMAN_BIN_DIR."
    # Beside the target, so that the last step is one rename on the same file system.
    scratch=$(mktemp -d "$dir/.foreman-agent.XXXXXX" 2>/dev/null) ||
        fail "Cannot write to $dir; run this as root or set FOREMAN_BIN_DIR."
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM

    fetch "$name.sha256" "$scratch/sha256"
    wanted=$(cut -d ' ' -f 1 <"$scratch/sha256" | head -n 1)
    case $wanted in
        *[!0-9a-f]* | '') fail "The server's checksum for $name cannot be read. Nothing was changed." ;;
    esac
    if [ -f "$agent" ] && [ "$(checksum "$agent")" = "$wanted" ]; then
        say "The Foreman agent in $agent is already up to date."
    else
        replace_agent
    fi
    clean_up
    scratch=

    case ":${PATH:-}:" in
        *":$dir:"*) ;;
        *) say "Note: $dir is not on your PATH." ;;
    esac
}

replace_agent() {
    say "Downloading $name from $url …"
    fetch "$name" "$scratch/foreman-agent"
    found=$(checksum "$scratch/foreman-agent")
    if [ "$found" != "$wanted" ]; then
        fail "The download does not match its checksum (expected $wanted, got $found). Nothing was changed."
    fi
    chmod 755 "$scratch/foreman-agent"
    version=$("$scratch/foreman-agent" --version </dev/null 2>/dev/null) ||
        fail "The downloaded agent does not start on this system. Nothing was changed."
    mv -f "$scratch/foreman-agent" "$agent" || fail "Cannot write $agent. Nothing was changed."
    say "Installed $version in $agent."
}

# Only what somebody vouches for: the system's own packages, or bytes whose checksum was given.
install_cloudflared() {
    case $FOREMAN_CLOUDFLARED in
        package) cloudflared_package ;;
        *) cloudflared_file ;;
    esac
}

cloudflared_package() {
    if has cloudflared; then
        say "cloudflared is installed already; the package manager keeps it up to date."
        return
    fi
    if has apt-get; then
        manager='apt-get install -y'
    elif has dnf; then
        manager='dnf install -y'
    elif has zypper; then
        manager='zypper --non-interactive install'
    elif has pacman; then
        manager='pacman -S --noconfirm'
    elif has apk; then
        manager='apk add'
    elif has brew; then
        manager='brew install'
    else
        fail "No package manager was found for cloudflared. $cloudflared_else"
    fi
    if [ "$manager" != 'brew install' ] && [ "$(id -u)" != 0 ]; then
        fail "Only root installs packages: run '$manager cloudflared' as root. $cloudflared_else"
    fi
    # Unquoted: the command and its words.
    $manager cloudflared </dev/null ||
        fail "The package sources of this system did not give cloudflared; the reason is above. $cloudflared_else"
    has cloudflared || fail "The package cloudflared is installed, but there is no such program on the PATH."
    say "Installed cloudflared from this system's packages."
}

cloudflared_else='The agent is installed. Another way: FOREMAN_CLOUDFLARED=ADDRESS-OR-FILE with FOREMAN_CLOUDFLARED_SHA256.'

cloudflared_file() {
    wanted=$(printf '%s' "${FOREMAN_CLOUDFLARED_SHA256:-}" | tr 'A-F' 'a-f')
    case $wanted in
        *[!0-9a-f]* | '') fail "FOREMAN_CLOUDFLARED_SHA256 has to be the checksum of $FOREMAN_CLOUDFLARED; without it cloudflared is not installed." ;;
    esac
    scratch=$(mktemp -d "$dir/.foreman-agent.XXXXXX" 2>/dev/null) || fail "Cannot write to $dir."
    case $FOREMAN_CLOUDFLARED in
        https://* | http://*)
            download "$FOREMAN_CLOUDFLARED" "$scratch/cloudflared" ||
                fail "Cannot download $FOREMAN_CLOUDFLARED, so cloudflared is not installed."
            ;;
        *)
            cp "$FOREMAN_CLOUDFLARED" "$scratch/cloudflared" 2>/dev/null ||
                fail "Cannot read the file $FOREMAN_CLOUDFLARED, so cloudflared is not installed."
            ;;
    esac
    found=$(checksum "$scratch/cloudflared")
    if [ "$found" != "$wanted" ]; then
        fail "cloudflared does not match its checksum (expected $wanted, got $found), so it is not installed."
    fi
    chmod 755 "$scratch/cloudflared"
    version=$("$scratch/cloudflared" --version </dev/null 2>/dev/null) ||
        fail "This cloudflared does not start on this system, so it is not installed."
    mv -f "$scratch/cloudflared" "$dir/cloudflared" || fail "Cannot write $dir/cloudflared."
    clean_up
    scratch=
    say "Installed $version in $dir/cloudflared."
}

# The token stays in the environment: other users can read a command line, and not that.
connect_device() {
    "$agent" connect --server "$url" --detach </dev/null ||
        fail "The agent is installed, but the device was not connected; the reason is above."
    unset FOREMAN_TOKEN
    "$agent" install-service </dev/null ||
        fail "The device is connected, but no service was installed; start the agent with: $agent run"
}

main() {
    url='@FOREMAN_URL@'
    url=${url%/}
    case $url in
        http://* | https://*) ;;
        *) fail "This script must come from a Foreman server, which puts its own address in." ;;
    esac
    # A variable set only for this script would otherwise not reach the agent.
    if [ -n "${FOREMAN_TOKEN:-}" ]; then
        export FOREMAN_TOKEN
    fi
    if [ -n "${FOREMAN_OWNER:-}" ]; then
        export FOREMAN_OWNER
    fi
    if [ -n "${FOREMAN_DASHBOARD:-}" ]; then
        export FOREMAN_DASHBOARD
    fi
    if [ -n "${FOREMAN_CLOUDFLARE:-}" ]; then
        export FOREMAN_CLOUDFLARE
    fi
    install_agent
    if [ -n "${FOREMAN_CLOUDFLARED:-}" ]; then
        install_cloudflared
    fi
    if [ -n "${FOREMAN_TOKEN:-}" ]; then
        connect_device
    else
        say "Next, connect this device with the command shown in the dashboard:"
        say "  $agent connect --server $url --token …"
    fi
}

main "$@"
