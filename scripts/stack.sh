# shellcheck shell=bash
# Sourced: fresh servers for a script, in $stack_dir, by the programs in $target. The script sets its own trap.

stop_stack() {
  "$target/debug/stack" down --dir "$stack_dir" ||
    echo "$(basename "$0" .sh): servers of $stack_dir may still run" >&2
}

# Ends and forgets what a run that was killed has left.
drop_stack() {
  [[ -e $stack_dir ]] || return 0
  stop_stack
  rm -rf "$stack_dir"
}

# Starts the servers NAMES, and leads this shell's programs to them.
start_stack() { # NAMES
  "$target/debug/stack" up --dir "$stack_dir" --only "$1"
  # shellcheck source=/dev/null
  . "$stack_dir/env"
  put_servers_first
}

# Linux shares processors among sessions, not threads: a broker with its 80 threads gets as much as all tests together,
# or as one program that a test started. While many want a processor, it stood still for seconds. Needs root.
put_servers_first() {
  local pid share_nice=-10
  while read -r _ pid; do
    echo "$share_nice" 2>/dev/null >"/proc/$pid/autogroup" || true
  done <"$stack_dir/pids"
}
