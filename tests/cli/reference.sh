#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints a reference made from the --help of every command of the program given: docs/cli.md, or with "man" the page mixgrad.1.
#   reference.sh build/mixgrad [man]
set -euo pipefail

program=$1
form=${2:-markdown}

# The names under "Subcommands:" in the help of a command.
subcommands() { "$program" "$@" --help | sed -n '/^Subcommands:/,/^$/p' | sed -nE 's/^  ([a-z0-9-]+) .*/\1/p'; }

help_in_markdown() {
  printf '\n## mixgrad%s\n\n```\n' "${*:+ $*}"
  "$program" "$@" --help | sed -E 's/[[:space:]]+$//'
  printf '```\n'
}

# As it stands, but for what roff reads as its own.
help_in_man() {
  printf '.SS mixgrad%s\n.nf\n' "${*:+ $*}"
  "$program" "$@" --help | sed -E 's/[[:space:]]+$//; s/\\/\\e/g; s/-/\\-/g; s/^[.'"'"']/\\\&&/'
  printf '.fi\n'
}

# One section, then those of the commands below it.
section() {
  local name
  "help_in_$form" "$@"
  for name in $(subcommands "$@"); do section "$@" "$name"; done
}

exit_codes='0; 1, a run that failed; 2, bad input; 130 and 143, a run that
Ctrl-C or SIGTERM ended early, with what it had reached saved.'

if [ "$form" = man ]; then
  printf '.TH MIXGRAD 1 "" "%s" "User Commands"\n' "$("$program" --version | head -n 1)"
  printf '.SH NAME\nmixgrad \\- bit\\-widths of a network by differentiable search\n'
  printf '.SH SYNOPSIS\n.B mixgrad\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH EXIT STATUS\n%s\n.SH COMMANDS\n' "$exit_codes"
else
  printf '# The command line\n\nWritten by `./dev docs` from the help of the program. Exit codes: %s\n' "$exit_codes"
fi
section
