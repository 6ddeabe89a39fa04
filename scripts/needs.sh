# What has to be on the machine before anything is built. Installs system packages, only those that are absent.
# shellcheck shell=bash

have() { command -v "$1" >/dev/null 2>&1; }

# at_least FOUND WANTED: whether version FOUND is WANTED or newer.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

need_rust() {
  have cargo || fail "Rust is missing. Install it from https://rustup.rs (curl -sSf https://sh.rustup.rs | sh), open a new terminal and run this again."
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  found=$(rustc --version | cut -d ' ' -f 2)
  at_least "$found" "$wanted" || fail "Rust $found is too old, $wanted or newer is needed. Run: rustup update stable"
}

need_node() {
  local wanted found remedy
  wanted=$(sed -n 's/.*"node": ">=\(.*\)".*/\1/p' package.json)
  remedy="Install Node $wanted or newer from https://nodejs.org and run this again."
  if ! have node || ! have npm; then fail "Node or npm is missing. $remedy"; fi
  found=$(node --version)
  at_least "${found#v}" "$wanted" || fail "Node $found is too old. $remedy"
}

compiles_c() { printf '#include <stdio.h>\n' | cc -E - >/dev/null 2>&1; }

# Which Debian packages the build still lacks, one on a line.
missing_for_build() {
  compiles_c || printf '%s\n' gcc libc6-dev
  have pkg-config || echo pkg-config
  # .cargo/config.toml links with it.
  [ "$(uname -s)" != Linux ] || have mold || echo mold
}

# The folder with PostgreSQL's server programs, which Debian keeps out of PATH.
postgres_bin() {
  local newest
  newest=$(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
  if [ -n "$newest" ]; then dirname "$newest"; elif have initdb; then dirname "$(command -v initdb)"; fi
}

# The browser for the journeys: $CHROMIUM, or the first one that is installed.
chromium_path() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$name" ] && have "$name"; then
      command -v "$name"
      return
    fi
  done
}

# A session with a keychain.
missing_for_keychain() {
  have dbus-daemon || echo dbus
  have gdbus || echo libglib2.0-bin
  have gnome-keyring-daemon || echo gnome-keyring
}

missing_for_tests() {
  missing_for_build
  missing_for_keychain
  [ -n "$(postgres_bin)" ] || echo postgresql
  [ -n "$(chromium_path)" ] || echo chromium
  # Moves the clock of a program, for the journeys about clocks.
  have faketime || echo faketime
  # Networks of the tests' own, and what people use on such machines.
  have ip || echo iproute2
  have curl || printf '%s\n' curl ca-certificates
  have git || echo git
  # What of the app on Android needs no phone is compiled and run.
  have javac || echo default-jdk-headless
  # Model vendors' own Python libraries, in a folder of their own.
  python3 -c 'import ensurepip, venv' 2>/dev/null || printf '%s\n' python3 python3-venv
}

# The model vendors' own client libraries, pinned, for the tests against them.
need_model_clients() {
  local folder=e2e/sdk made
  made=$folder/.venv/made-from.txt
  (cd $folder && npm ci --silent --no-audit --no-fund) ||
    fail "The Node libraries in $folder could not be installed; the reason is above this line."
  if ! cmp -s $folder/requirements.txt "$made"; then
    rm -rf $folder/.venv
    { python3 -m venv $folder/.venv &&
      $folder/.venv/bin/pip install --quiet --disable-pip-version-check --requirement $folder/requirements.txt; } ||
      fail "The Python libraries in $folder could not be installed; the reason is above this line."
    cp $folder/requirements.txt "$made"
  fi
}

# A real OAuth server, pinned, for the tests of signing in to providers.
need_oauth_server() {
  (cd e2e/oauth && npm ci --silent --no-audit --no-fund) ||
    fail "The Node libraries in e2e/oauth could not be installed; the reason is above this line."
}

# What the app's window is built on.
missing_for_app() {
  missing_for_build
  pkg-config --exists webkit2gtk-4.1 2>/dev/null || echo libwebkit2gtk-4.1-dev
  pkg-config --exists librsvg-2.0 2>/dev/null || echo librsvg2-dev
  pkg-config --exists ayatana-appindicator3-0.1 2>/dev/null || echo libayatana-appindicator3-dev
  [ -e /usr/include/xdo.h ] || echo libxdo-dev
}

# What a test of its window needs: a screen, a bus, a keyring and a driver of their own.
missing_for_window() {
  missing_for_app
  missing_for_keychain
  have Xvfb || echo xvfb
  have WebKitWebDriver || echo webkit2gtk-driver
  have openbox || echo openbox
  have xdotool || echo xdotool
  have dunst || echo dunst
  have import || echo imagemagick
  have update-desktop-database || echo desktop-file-utils
  have xdg-open || echo xdg-utils
  [ -d /usr/share/fonts/truetype/dejavu ] || echo fonts-dejavu-core
}

# Whether this account can install packages: as root, or by sudo (which asks for the password at a terminal).
may_install() { [ "$(id -u)" = 0 ] || { have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# install_packages NAME…: does nothing without names.
install_packages() {
  [ $# -gt 0 ] || return 0
  have apt-get || fail "Missing here: $*. Install them (these are Debian's names) and run this again."
  may_install || fail "System packages are missing and this account may not install them. Ask an administrator to run: apt-get install --no-install-recommends $*"
  step "Installing the system packages that are missing: $*"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
  as_root "${apt[@]}" update || loud "The package lists could not be renewed; trying with the ones that are here."
  as_root "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null ||
    fail "The packages could not be installed; the reason is above this line. By hand: apt-get install $*"
}

need_for() {
  local packages
  mapfile -t packages < <("missing_for_$1")
  install_packages "${packages[@]}"
}

# writable_folder PATH REMEDY: makes the folder and proves that a file can be written there.
writable_folder() {
  local path=$1 remedy=$2 why probe
  if ! why=$(LC_ALL=C mkdir -p "$path" 2>&1); then
    fail "The folder $path cannot be made (${why##*: }). $remedy"
  fi
  probe="$path/.foreman-write-test.$$"
  if ! why=$( (LC_ALL=C; export LC_ALL; echo "a file of some bytes" >"$probe") 2>&1); then
    rm -f "$probe"
    fail "The folder $path cannot be written (${why##*: }). $remedy"
  fi
  rm -f "$probe"
}

# need_space PATH MEGABYTES WHAT
need_space() {
  local free
  free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$2" ] ||
    fail "The disk that holds $1 is nearly full: $free MB are free and $3 needs $2 MB. Free some space and run this again."
}
