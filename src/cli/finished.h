// SPDX-License-Identifier: Apache-2.0
// The finished run that a command works on.
#pragma once

#include "note.h"
#include "options.h"

#include <mixgrad/run_folder.h>

#include <string>

namespace mixgrad::cli {

/// Adds the flag for load_noting's `skip_unreadable`.
inline void add_skip_unreadable(Options& options, bool& skip_unreadable) {
  options.add("skip-unreadable", &skip_unreadable,
              "images:DIR: go on without files that can't be read [as the run did]");
}

/// Adds the flag that sets IntegerNetwork::packs_activations.
inline void add_pack_activations(Options& options, bool& pack_activations) {
  options.add("pack-activations", &pack_activations,
              "in the C package, activations of fewer than 8 bits share bytes: less memory, more time");
}

/// load_run; prints its notes to standard error.
inline FinishedRun load_noting(const std::string& folder, const std::string& data, bool skip_unreadable) {
  FinishedRun run = load_run(folder, data, skip_unreadable);
  for (const std::string& note : run.notes) print_note(note);
  return run;
}

}  // namespace mixgrad::cli
