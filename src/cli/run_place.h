// SPDX-License-Identifier: Apache-2.0
// The folder of a run's results: flags that search and train share.
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
    o.add("overwrite", &options.overwrite, "replace the run in --out");
    o.add("resume", &options.resume,
          "continue the stopped run in --out, with the same result to the byte; start one if there is none");
    o.add("checkpoint-minutes", &options.checkpoint_minutes,
          "minutes between checkpoints within an epoch, 0: after every step; every epoch also ends with one");
    o.add("tensorboard", &options.tensorboard,
          "folder for TensorBoard's event files: after every epoch its metrics, and histograms of alpha, theta and the "
          "parameters",
          folder_form);
  }

  /// The folder: --out, or a new one.
  std::string path() const {
    if (options.resume && out.empty())
      bad_input("resume: --out is missing: expected the folder of the run to continue");
    return out.empty() ? dated_folder() : out;
  }

  void say_finished() const { fmt::print("{} holds a finished run: nothing left to do\n", out); }
};

}  // namespace mixgrad::cli
