# The app as people install it: a .deb and an AppImage with the server, the agent and the command line beside it.
# shellcheck shell=bash

# What a package may weigh, in bytes.
PACKAGE_LIMIT=15000000
SIDECARS=(foreman-server foreman-agent foreman)
# What an AppImage has of them: the command line could not be reached in it.
APPIMAGE_SIDECARS=(foreman-server foreman-agent)
TAURI_CLI=2.12.4
TAURI=()
CHECK=0

# A package is for many downloads and few requests: everything in it is built small. `./dev bench` measures what
# servers run, which is built for speed.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1

package_options() {
  local option
  for option in "$@"; do
    case $option in
      --check) CHECK=1 ;;
      *) fail "./dev package knows only --check." ;;
    esac
  done
}

missing_for_package() {
  missing_for_app
  have dpkg-deb || echo dpkg
  have xz || echo xz-utils
  have mksquashfs || echo squashfs-tools
  if [ "$CHECK" = 1 ]; then
    missing_for_window
    have desktop-file-validate || echo desktop-file-utils
    compgen -G '/usr/lib/*/libfuse.so.2' >/dev/null || echo libfuse2
  fi
}

# Tauri's own tool puts packages together. npm has it as a program; where it has none for this machine, Rust builds it.
need_tauri() {
  if [ -x .tools/bin/cargo-tauri ]; then
    TAURI=("$ROOT/.tools/bin/cargo-tauri" tauri)
    return
  fi
  step "Fetching Tauri's packager $TAURI_CLI"
  if npx --yes "@tauri-apps/cli@$TAURI_CLI" --version >/dev/null 2>&1 </dev/null; then
    TAURI=(npx --yes "@tauri-apps/cli@$TAURI_CLI")
    return
  fi
  step "Building Tauri's packager into .tools (ten minutes, once)"
  attended cargo install --quiet --locked --root .tools tauri-cli --version "$TAURI_CLI" ||
    build_failed "Tauri's packager could not be had."
  TAURI=("$ROOT/.tools/bin/cargo-tauri" tauri)
}

# FOREMAN_PROGRAMS names a folder with programs that are built already.
build_released() {
  build_dashboard
  step "Building the app for release (half an hour and more the first time)"
  attended cargo build --locked --release -p foreman-app || build_failed "The app could not be built."
  if [ -n "${FOREMAN_PROGRAMS:-}" ]; then
    say "The programs beside the app are those in $FOREMAN_PROGRAMS."
    return
  fi
  step "Building the programs beside the app for release"
  attended cargo build --locked --release -p mgmt-api -p foreman-agent -p foreman-cli --bins ||
    build_failed "The programs could not be built."
}

# Tauri takes what goes beside the app by name and target.
place_programs() {
  local target from name
  target=$(rustc -vV | sed -n 's/^host: //p')
  from=${FOREMAN_PROGRAMS:-$RELEASED}
  rm -rf src-tauri/programs
  mkdir -p src-tauri/programs
  for name in "${SIDECARS[@]}"; do
    cp "$from/$name" "src-tauri/programs/$name-$target" || fail "There is no $name in $from."
  done
}

# bundle KIND: leaves what it made below the release folder.
bundle() {
  (cd src-tauri && "${TAURI[@]}" bundle --ci --bundles "$1" --config tauri.package.conf.json </dev/null) >"$MADE/$1.log" 2>&1
}

# The packager compresses with gzip; xz makes it a third smaller.
make_deb() {
  local plain tree
  bundle deb || {
    cat "$MADE/deb.log" >&2
    fail "The .deb could not be made. The reason is above this line."
  }
  plain=$(find "$RELEASED/bundle/deb" -name '*.deb' -newer "$MADE/began" | head -n 1)
  tree=$(mktemp -d)
  # Its mode becomes that of the system's root.
  chmod 0755 "$tree"
  dpkg-deb --raw-extract "$plain" "$tree"
  DEB="$MADE/foreman_$(dpkg-deb --field "$plain" Version)_$(dpkg-deb --field "$plain" Architecture).deb"
  dpkg-deb --root-owner-group -Zxz -z9 --build "$tree" "$DEB" >/dev/null
  rm -rf "$tree"
}

# What an AppImage starts with: mounts what follows it and runs it. A crate carries AppImageKit's; the sum is that file's.
# FOREMAN_APPIMAGE_START names another.
APPIMAGE_CRATE=0.4.0
APPIMAGE_START_SHA256=328e0d745c5c6817048c27bc3e8314871703f8f47ffa81a37cb06cd95a94b323

# appimage_start FILE: fails where there is none for this processor, or it could not be fetched.
appimage_start() {
  local file=$1 folder
  if [ -n "${FOREMAN_APPIMAGE_START:-}" ]; then
    cp "$FOREMAN_APPIMAGE_START" "$file"
    return
  fi
  [ "$(uname -m)" = x86_64 ] || return 1
  folder=$(mktemp -d)
  (
    cd "$folder"
    cargo init --quiet --vcs none --name start
    cargo add --quiet "appimage@=$APPIMAGE_CRATE"
    cargo metadata --quiet --format-version 1
  ) >"$folder/metadata.json" 2>"$MADE/appimage.log" || return 1
  cp "$(node -p '
    const { packages } = JSON.parse(fs.readFileSync(process.argv[1], "utf8"));
    path.join(path.dirname(packages.find((crate) => crate.name === "appimage").manifest_path), "assets/runtime-x86_64");
  ' "$folder/metadata.json")" "$file"
  rm -rf "$folder"
  echo "$APPIMAGE_START_SHA256  $file" | sha256sum --check --quiet
}

# The same files as in the .deb, but for the command line, in one file that runs without being installed. The web view is the system's here, too: it
# is renewed with the system, and would weigh six times as much as everything else. An AppImage compresses each MiB alone, so
# that it can be read in place; the programs beside the app are packed as a whole, and the app unpacks them once.
make_appimage() {
  local filter=() jumps=() tree="$MADE/AppDir" start="$MADE/start" icon=usr/share/icons/hicolor/128x128/apps/foreman-app.png
  if ! appimage_start "$start"; then
    loud "SKIPPED: the AppImage. There is nothing for it to start with: $(tail -n 1 "$MADE/appimage.log" 2>/dev/null || uname -m)"
    rm -f "$start"
    return
  fi
  dpkg-deb --extract "$DEB" "$tree"
  cp src-tauri/appimage/AppRun "$tree/AppRun"
  cp "$tree/usr/share/applications/Foreman.desktop" "$tree/foreman-app.desktop"
  cp "$tree/$icon" "$tree/foreman-app.png"
  ln -s foreman-app.png "$tree/.DirIcon"
  chmod 0755 "$tree" "$tree/AppRun"
  APPIMAGE="${DEB%.deb}.AppImage"
  # Where this processor's jumps lead is written so that it repeats.
  [ "$(uname -m)" != x86_64 ] || filter=(-Xbcj x86) jumps=(--x86)
  tar --create --directory "$tree/usr/bin" --owner=root:0 --group=root:0 --sort=name "${APPIMAGE_SIDECARS[@]}" |
    xz "${jumps[@]}" --lzma2=preset=9e >"$tree/usr/bin/foreman-programs.tar.xz"
  rm "${SIDECARS[@]/#/$tree/usr/bin/}"
  mksquashfs "$tree" "$MADE/tree.squashfs" -all-root -noappend -no-progress -quiet -comp xz -b 1M "${filter[@]}"
  cat "$start" "$MADE/tree.squashfs" >"$APPIMAGE"
  chmod 0755 "$APPIMAGE"
  rm -rf "$tree" "$start" "$MADE/tree.squashfs"
}

# Installed apps take an update only with a signature of the key that they were built with, for its version.
sign_updates() {
  local file version
  if [ -z "${TAURI_SIGNING_PRIVATE_KEY:-}" ]; then return; fi
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
  for file in "$MADE"/*.deb "$MADE"/*.AppImage; do
    [ -f "$file" ] || continue
    "${TAURI[@]}" signer sign --app-version "$version" "$file" >/dev/null </dev/null || fail "$file could not be signed."
  done
}

# Which program weighs what, so that a package that is too large says why.
tell_sizes() {
  local tree name file
  tree=$(mktemp -d)
  dpkg-deb --extract "$DEB" "$tree"
  printf '%-16s %10s %10s\n' "" MB "xz, MB"
  for name in foreman-app "${SIDECARS[@]}"; do
    file="$tree/usr/bin/$name"
    printf '%-16s %10s %10s\n' "$name" "$(megabytes "$(wc -c <"$file")")" "$(megabytes "$(xz -6 -c "$file" | wc -c)")"
  done
  rm -rf "$tree"
  for file in "$MADE"/*.deb "$MADE"/*.AppImage; do
    [ -f "$file" ] || continue
    name=$(wc -c <"$file")
    say "$(basename "$file"): $(megabytes "$name") MB of $(megabytes "$PACKAGE_LIMIT")"
    [ "$name" -le "$PACKAGE_LIMIT" ] || loud "TOO LARGE by $(megabytes $((name - PACKAGE_LIMIT))) MB: $(basename "$file"). What weighs most is in the list above."
  done
}

megabytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1e6 }'; }

run_package() {
  package_options "$@"
  [ "$(uname -s)" = Linux ] || fail "./dev package makes Linux' packages. Those of other systems are made on them: see .github/workflows/release.yml."
  need_rust
  need_node
  need_for package
  RELEASED="${CARGO_TARGET_DIR:-$ROOT/target}/release"
  MADE="$RELEASED/package"
  build_released
  need_tauri
  rm -rf "$MADE"
  mkdir -p "$MADE"
  touch "$MADE/began"
  place_programs
  step "Packing"
  make_deb
  make_appimage
  rm -rf src-tauri/programs "$MADE/began" "$MADE"/*.log
  sign_updates
  (cd "$MADE" && sha256sum -- * >SHA256SUMS)
  tell_sizes
  say "They are in $MADE"
  [ "$CHECK" = 0 ] || check_package
}

# What a person who installs it gets: the fields, the files, and a first start in a window, with the programs that are
# beside the app and no others.
check_package() {
  # shellcheck source=scripts/test.sh
  source scripts/test.sh
  window_driver
  step "Checking the package"
  FOREMAN_DEB=$DEB FOREMAN_APPIMAGE=${APPIMAGE:-} node --test --test-concurrency=1 --test-timeout=600000 --test-force-exit --test-reporter=spec e2e-app/package.check.mjs
}
