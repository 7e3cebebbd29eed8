#!/bin/sh
# Runs a program for a container with `restart: on-failure`. Exit code 2 means a wrong flag, variable or settings file:
# starting again cannot mend that, so the container ends as done, and its log says why.
# A program in the background would read nothing: it gets our input by name.
exec 3<&0
child='' asked=''
# Before the program starts: a signal that comes first would end this shell and leave the program behind.
forward() {
    if [ -n "$child" ]; then kill "-$1" "$child" 2>/dev/null; else asked=$1; fi
}
trap 'forward TERM' TERM
trap 'forward INT' INT
"$@" <&3 3<&- &
child=$!
[ -z "$asked" ] || kill "-$asked" "$child" 2>/dev/null
wait "$child"
code=$?
# A signal ends the first wait; the program still finishes what is in flight, and a second signal still reaches it.
while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
done
if [ "$code" -eq 2 ]; then
    echo "run: $1 ended with exit code 2: its settings are wrong, so it is not started again" >&2
    exit 0
fi
exit "$code"
