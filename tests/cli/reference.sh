#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints docs/cli.md from the --help of every command of the program given: reference.sh build/mixgrad
set -euo pipefail

program=$1

# The names under "Subcommands:" in the help of a command.
subcommands() { "$program" "$@" --help | sed -n '/^Subcommands:/,/^$/p' | sed -nE 's/^  ([a-z0-9-]+) .*/\1/p'; }

# One section, then those of the commands below it.
section() {
  local name
  printf '\n## mixgrad%s\n\n```\n' "${*:+ $*}"
  "$program" "$@" --help | sed -E 's/[[:space:]]+$//'
  printf '```\n'
  for name in $(subcommands "$@"); do section "$@" "$name"; done
}

echo '# The command line'
echo
echo 'Written by `./dev docs` from the help of the program. Exit codes: 0; 1, a run that failed; 2, bad input; 130 and 143, a run that'
echo 'Ctrl-C or SIGTERM ended early, with what it had reached saved.'
section
