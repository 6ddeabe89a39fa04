#!/usr/bin/env bash
# Adds to the Xcode project that `cargo tauri ios init` made what Tauri's template has no place for: that Apple's push service may
# be asked, and what the system asks for in each language. Runs on a Mac; $1 is `production`, or `development` for debug builds.
set -euo pipefail
cd "$(dirname "$0")/../src-tauri"
# The folder of the app's own target: what lies there is part of it.
target=$(echo gen/apple/*_iOS)
cp -R ios/words/*.lproj "$target/"
xcodegen generate --quiet --spec gen/apple/project.yml
# Making the project writes this file anew.
/usr/libexec/PlistBuddy -c "Add :aps-environment string $1" "$target/$(basename "$target").entitlements"
