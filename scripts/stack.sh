# The two processes of `./dev up`: starting them, joining this machine, ending them.
# shellcheck shell=bash

SERVER_PID=""
# shellcheck disable=SC2034 # up.sh reads it
AGENT_PID=""
AGENT_STARTS=0

running() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# The command line of a process, empty when it is gone.
command_line() {
  if [ -d /proc/self ]; then { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || true
  else ps -o args= -p "$1" 2>/dev/null || true; fi
}

# end_process WHAT PID: SIGTERM, and SIGKILL when 20 s were not enough.
end_process() {
  local what=$1 pid=$2 tries
  running "$pid" || return 0
  say "Stopping $what (process $pid)"
  kill -TERM "$pid" 2>/dev/null || true
  for ((tries = 0; tries < 200; tries++)); do
    running "$pid" || return 0
    sleep 0.1
  done
  loud "$what did not stop within 20 s and was killed. Nothing that was acknowledged is lost."
  kill -KILL "$pid" 2>/dev/null || true
}

# An `up` that was itself killed leaves its processes behind; this ends exactly those.
end_leftovers() {
  local name pid line
  for name in agent server; do
    pid=$(cat "$DATA/run/$name.pid" 2>/dev/null) || continue
    line=$(command_line "$pid")
    case $line in
      *"foreman-$name "*"$DATA"*) end_process "the $name that an interrupted ./dev up left behind" "$pid" ;;
    esac
    rm -f "$DATA/run/$name.pid"
  done
}

# launch NAME COMMAND…: in a process group of its own, so that Ctrl-C reaches this script alone, which then ends
# things in order. Standard input is the caller's.
launch() {
  local name=$1
  shift
  set -m
  NO_COLOR=1 "$@" 9>&- &
  LAUNCHED=$!
  set +m
  echo "$LAUNCHED" >"$DATA/run/$name.pid"
}

# Keeps one older log, so that the reason of yesterday's end can still be read.
fresh_log() {
  [ ! -f "$DATA/logs/$1.log" ] || mv "$DATA/logs/$1.log" "$DATA/logs/$1.previous.log"
  (umask 077 && : >"$DATA/logs/$1.log")
}

# The server announces its address on standard output; at the very first start also the setup code, which is why that
# goes to a file of its own that is removed, and never to the log.
start_server() {
  local out="$DATA/run/server.out" listen=${FOREMAN_LISTEN:-127.0.0.1:3001} tries
  fresh_log server
  (umask 077 && : >"$out")
  step "Starting the server"
  launch server "$SERVER" serve --data "$DATA" --listen "$listen" </dev/null >"$out" 2>>"$DATA/logs/server.log"
  SERVER_PID=$LAUNCHED
  for ((tries = 0; tries < 600; tries++)); do
    URL=$(sed -n 's/^listening on //p' "$out" | head -n 1)
    [ -z "$URL" ] || break
    running "$SERVER_PID" || break
    sleep 0.1
  done
  rm -f "$out"
  # "Every address" is where it listens, not where it is reached.
  URL=${URL/0.0.0.0/127.0.0.1}
  URL=${URL/\[::\]/[::1]}
  [ -n "$URL" ] || fail "The server could not start. It says:
$(tail -n 8 "$DATA/logs/server.log")"
}

# The one-use address, on whatever port the server really has.
login_link() {
  local link
  link=$("$SERVER" login-link --data "$DATA" 2>"$DATA/logs/login-link.log" | grep -m 1 '#ticket=') || return 1
  printf '%s/sign-in#%s\n' "$URL" "${link#*#}"
}

# What the agent says of itself: agent_says EXPRESSION, over the `status` of its JSON report. Empty when it cannot.
agent_says() {
  { "$AGENT" status --state "$DATA/agent" --json 2>/dev/null || true; } |
    node -e 'let t = ""; process.stdin.on("data", (d) => (t += d)).on("end", () => {
      try { const status = JSON.parse(t); console.log(eval(process.argv[1]) ?? ""); } catch {} });' "$1"
}

agent_joined() { [ -n "$(agent_says status.device_id)" ]; }

# How many tasks of this agent run now, the agent itself running or not: their folders say that they started, as which
# process, and not that they ended.
running_tasks() {
  local folder pid count=0
  for folder in "$DATA"/agent/tasks/*/; do
    if [ ! -f "$folder/started" ] || [ -f "$folder/exit.json" ]; then continue; fi
    pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$folder/started" | head -n 1)
    ! running "$pid" || count=$((count + 1))
  done
  echo "$count"
}

# Adds this machine as a device and spends its one-time token, as anyone would. Secrets go through pipes only.
join() {
  step "Connecting this machine"
  fresh_log connect
  "$SERVER" token create --data "$DATA" --name dev-up --role admin 2>>"$DATA/logs/connect.log" |
    node scripts/add-this-machine.mjs "$URL" "$(uname -n)" |
    "$AGENT" connect --detach --server "$URL" --token - --allow bash,read,logs --state "$DATA/agent" \
      2>>"$DATA/logs/connect.log" | grep --line-buffered -E '^(✓|  -)' ||
    fail "This machine could not be connected. The reason:
$(tail -n 8 "$DATA/logs/connect.log")"
}

start_agent() {
  agent_joined || join
  fresh_log agent
  launch_agent
}

launch_agent() {
  AGENT_STARTS=$((AGENT_STARTS + 1))
  launch agent "$AGENT" run --server "$URL" --state "$DATA/agent" </dev/null >>"$DATA/logs/agent.log" 2>&1
  AGENT_PID=$LAUNCHED
}

# shellcheck disable=SC2034
# An agent that was told to go stays away; one that failed is started again, a few times.
agent_ended() {
  AGENT_PID=""
  if ! agent_joined; then
    say "This machine was disconnected in Foreman; the next ./dev up connects it again."
  elif [ "$AGENT_STARTS" -lt 5 ]; then
    loud "The agent ended by itself and is started again. Its last words: $(tail -n 2 "$DATA/logs/agent.log")"
    launch_agent
  else
    loud "The agent keeps ending and is left alone now. Look into $DATA/logs/agent.log, then start again with ./dev up."
  fi
}

# Tasks outlive the agent by design, so stopping Foreman leaves them running.
tell_about_tasks() {
  case $1 in
    0) ;;
    1) say "1 task goes on running on this machine; its output is kept and shows up with the next ./dev up." ;;
    *) say "$1 tasks go on running on this machine; their output is kept and shows up with the next ./dev up." ;;
  esac
}
