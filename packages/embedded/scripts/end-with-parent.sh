#!/bin/sh
# Ends a process when the one that started it is gone, however that ended: by itself, by Ctrl-C, by kill -9.
# Usage: end-with-parent.sh <pid or -group> <signal> <seconds until SIGKILL> [directory to remove then], with a pipe on the input that only the
# starter holds. A line on the input says that there is nothing to end any more; its end without a line, that the starter is gone.
# Used by src/end-with-parent.ts and run.mjs. Tests: packages/testkit/src/end-with-parent.int.test.ts.
if read -r _; then exit 0; fi
kill -s "$2" -- "$1" 2>/dev/null
left=$(($3 * 10))
while kill -s 0 -- "$1" 2>/dev/null; do
  if [ "$left" -le 0 ]; then
    kill -s KILL -- "$1" 2>/dev/null
    break
  fi
  sleep 0.1
  left=$((left - 1))
done
if [ -n "$4" ]; then rm -rf -- "$4"; fi
