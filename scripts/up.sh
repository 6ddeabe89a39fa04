# Foreman on this machine: the server, and an agent for the machine itself, until Ctrl-C.
# shellcheck shell=bash

# shellcheck source=scripts/stack.sh
source scripts/stack.sh

OPEN=window
DATA=""
APP_PID=""
URL=""
UP=0

up_options() {
  local option
  for option in "$@"; do
    case $option in
      --no-open) OPEN=nothing ;;
      --browser) OPEN=browser ;;
      --app) OPEN=app ;;
      *) fail "./dev up knows only --app, --browser and --no-open." ;;
    esac
  done
}

prepare_folders() {
  local remedy="Choose one of your own: FOREMAN_DATA=~/foreman-data ./dev up"
  DATA=${FOREMAN_DATA:-$ROOT/.foreman}
  # Data holds keys: for this account only.
  (umask 077 && writable_folder "$DATA" "$remedy")
  DATA=$(cd "$DATA" && pwd -P)
  writable_folder "$ROOT" "The build writes there; clone Foreman into a folder of your own."
  need_space "$DATA" 100 "Foreman's data"
  (umask 077 && mkdir -p "$DATA/logs" "$DATA/run")
}

# One `up` for each data folder. Children are started without file descriptor 9, so the lock ends with this script.
take_lock() {
  exec 9>>"$DATA/run/up.lock"
  if ! flock -n 9; then
    fail "Another ./dev up (process $(cat "$DATA/run/up.pid" 2>/dev/null || echo unknown)) is using $DATA. Stop it with Ctrl-C there, or use another folder and port: FOREMAN_DATA=~/other FOREMAN_LISTEN=127.0.0.1:0 ./dev up"
  fi
  echo $$ >"$DATA/run/up.pid"
}

need_free_address() {
  local why
  why=$(node scripts/address.mjs "$1") && return
  fail "$why"
}

has_display() { [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; }

# Whether the app's window is what opens. Building it takes ten minutes the first time, which nobody waits for unasked:
# where it was never built, the browser opens and the way to the window is said.
choose_window() {
  APP=${FOREMAN_APP:-$PROGRAMS/foreman-app}
  [ "$OPEN" != app ] || { has_display || fail "There is no display for a window. Without --app, ./dev up prints the address."; }
  case $OPEN in
    app) ;;
    window)
      if ! has_display || ! pkg-config --exists webkit2gtk-4.1 2>/dev/null; then OPEN=browser
      elif [ ! -x "$APP" ] && ! agreed "The app's window can be built, in ten minutes and more; without it, the browser opens. Build it?"; then
        say "The browser opens. ./dev up --app builds the app and opens its window."
        OPEN=browser
      else OPEN=app; fi
      ;;
    *) return 0 ;;
  esac
}

# Asks at a terminal; elsewhere the answer is no.
agreed() {
  local answer=""
  { [ -t 0 ] && [ -t 1 ]; } || return 1
  read -r -p "$1 [y/N] " answer || return 1
  [[ $answer =~ ^[yYjJ] ]]
}

# FOREMAN_APP names an app that is built already.
prepare_window() {
  [ "$OPEN" = app ] || return 0
  need_for app
  [ -n "${FOREMAN_APP:-}" ] || build_app
}

# The app gets the server's address and a bearer through a pipe: what is in a command line, everyone on the machine can
# see. Where it cannot keep the bearer, there is still the address to sign in with.
open_window() {
  fresh_log app
  launch app env FOREMAN_HANDED=stdin "$APP" >>"$DATA/logs/app.log" 2>&1 < <(
    exec 9>&-
    printf '%s\n' "$URL"
    "$SERVER" token create --data "$DATA" --name "Foreman app" --role owner 2>>"$DATA/logs/app.log"
  )
  APP_PID=$LAUNCHED
  say "The app's window is opening. In a browser instead (once, within 10 minutes): $1"
}

app_ended() {
  APP_PID=""
  rm -f "$DATA/run/app.pid"
  say "The app's window is closed (if nobody closed it: $DATA/logs/app.log). Foreman runs on at $URL; Ctrl-C stops it."
}

# Hands the one-use address to the browser in a file that only this account can read: what is in a
# command line, everyone on the machine can see.
open_dashboard() {
  local link=$1 page="$DATA/run/open.html" opener=""
  if [ "$(uname -s)" = Darwin ]; then opener=open
  elif has_display && have xdg-open; then opener=xdg-open; fi
  if [ "$OPEN" = browser ] && [ -n "$opener" ]; then
    (umask 077 && printf '<!doctype html><meta http-equiv="refresh" content="0;url=%s">\n' "$link" >"$page")
    "$opener" "$page" >/dev/null 2>&1 9>&- &
    say "The dashboard is opening. If it does not: $link"
  else
    say "Open it signed in (this address works once, within 10 minutes): $link"
  fi
}

announce() {
  say ""
  say "Foreman is at $URL"
  local link
  if link=$(login_link); then
    if [ "$OPEN" = app ]; then open_window "$link"; else open_dashboard "$link"; fi
  else
    loud "No sign-in link could be made: $(tail -n 1 "$DATA/logs/login-link.log")"
  fi
  say "Ctrl-C stops it. Logs: $DATA/logs"
}

# Waits until the server ends, which is never right, and starts the agent again should it end.
watch_over() {
  while running "$SERVER_PID"; do
    wait -n || true
    if running "$SERVER_PID" && [ -n "$AGENT_PID" ] && ! running "$AGENT_PID"; then agent_ended; fi
    if [ -n "$APP_PID" ] && ! running "$APP_PID"; then app_ended; fi
  done
  UP=0
  SERVER_PID=""
  fail "The server ended by itself. Its last words:
$(tail -n 8 "$DATA/logs/server.log")
The data in $DATA is kept; start again with ./dev up."
}

# What happens on every way out: by pid, the agent first so that it can say goodbye.
take_down() {
  local code=$?
  trap '' INT TERM HUP
  end_child
  if [ -n "${SERVER_PID:-}${AGENT_PID:-}" ]; then
    [ "$UP" = 0 ] || say ""
    end_process "the app" "$APP_PID"
    end_process "the agent" "$AGENT_PID"
    end_process "the server" "$SERVER_PID"
    rm -f "$DATA/run/"{server.pid,agent.pid,app.pid,open.html,server.out}
    tell_about_tasks "$(running_tasks)"
    say "Foreman has stopped. The data stays in $DATA."
  fi
  [ -z "$DATA" ] || rm -f "$DATA/run/up.pid"
  exit "$code"
}

# A stop that was asked for is not a failure once everything is up.
stop_asked() { if [ "$UP" = 1 ]; then exit 0; else exit 130; fi; }

run_up() {
  up_options "$@"
  need_rust
  need_node
  prepare_folders
  take_lock
  trap take_down EXIT
  trap stop_asked INT TERM HUP
  end_leftovers
  need_free_address "${FOREMAN_LISTEN:-127.0.0.1:3001}"
  need_for build
  choose_window
  build_dashboard
  build_programs
  prepare_window
  start_server
  start_agent
  UP=1
  announce
  watch_over
}
