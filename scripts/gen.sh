# Generated files: the API description from the server, the TypeScript types from the description.
# shellcheck shell=bash

GENERATED=(openapi.json src/lib/api/schema.d.ts)
LICENCES=src/lib/licences/all.json

generate() {
  # Not straight into place: a server that fails must not empty the description.
  "$SERVER" openapi >"$1/fresh.json"
  mv "$1/fresh.json" openapi.json
  npm run --silent gen >/dev/null
}

# The list of what is built in is compared by names, versions and licences: the texts need every crate's source.
licences() {
  node scripts/licences.mjs "$@" || fail "$LICENCES could not be written, or is out of date. Run ./dev gen and commit what it wrote."
}

# Generates beside the committed files and compares; what was there is put back.
generate_and_compare() {
  local kept=$1 file drifted=()
  for file in "${GENERATED[@]}"; do
    mkdir -p "$kept/$(dirname "$file")"
    cp "$file" "$kept/$file" 2>/dev/null || : >"$kept/$file"
  done
  generate "$kept"
  for file in "${GENERATED[@]}"; do
    diff -u "$kept/$file" "$file" || drifted+=("$file")
    mv "$kept/$file" "$file"
  done
  [ ${#drifted[@]} -eq 0 ] || fail "Out of date: ${drifted[*]}. Run ./dev gen and commit what it wrote."
  say "Generated files are up to date: ${GENERATED[*]}"
}

run_gen() {
  need_rust
  need_node
  need_for build
  install_node_modules
  build_programs
  local scratch
  scratch=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$scratch'" EXIT
  case ${1:-} in
    "")
      generate "$scratch" && licences && say "Wrote ${GENERATED[*]} $LICENCES"
      ;;
    --check)
      generate_and_compare "$scratch"
      licences --check
      ;;
    *) fail "./dev gen knows only --check." ;;
  esac
}
