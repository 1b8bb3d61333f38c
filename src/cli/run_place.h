// SPDX-License-Identifier: Apache-2.0
// Where a run's results go: the flags that search and train share.
#pragma once

#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

#include <string>

namespace mixgrad::cli {

struct RunPlace {
  std::string out;
  RunFolderOptions options;

  void add_to(Options& o) {
    o.add("out", &out, "folder for the results [a dated one under runs/]", folder_form);
    o.add("overwrite", &options.overwrite, "replace the run that --out holds");
    o.add("resume", &options.resume,
          "go on with the run in --out that was stopped, to the same bytes; begin it where there is none");
    o.add("checkpoint-minutes", &options.checkpoint_minutes,
          "between checkpoints within an epoch, 0: after every step; one more ends every epoch");
  }

  /// The folder; without --out a new one.
  std::string path() const {
    if (options.resume && out.empty())
      bad_input("resume: --out is missing: expected the folder of the run to go on with");
    return out.empty() ? dated_folder() : out;
  }

  void say_finished() const { fmt::print("{} holds a finished run: nothing is left to do\n", out); }
};

}  // namespace mixgrad::cli
