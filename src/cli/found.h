// SPDX-License-Identifier: Apache-2.0
// What a run says at its end about the network found.
#pragma once

#include "options.h"
#include "progress.h"

#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

#include <cstdio>
#include <string>

namespace mixgrad::cli {

/// The flags --quiet and --json.
struct Amount {
  bool quiet = false, json = false;

  void add_to(Options& o, const char* json_help) {
    o.add("quiet", &quiet, "print the final table only");
    o.add("json", &json, json_help);
  }
  Progress::Show of_progress() const { return quiet || json ? Progress::Show::notes : Progress::Show::all; }
};

/// Prints the network found, in the folder `path`.
inline void print_found(const RunConfig& config, const RunResult& result, const std::string& path,
                        const Amount& amount) {
  if (amount.json) {
    std::fputs(summary(config, result).c_str(), stdout);
  } else {
    if (!amount.quiet) std::printf("\n");
    std::fputs(report::table(config, result).c_str(), stdout);
    if (!amount.quiet) std::printf("\nwritten to %s\nreport: %s/report.html\n", path.c_str(), path.c_str());
  }
  if (result.interrupted)
    fmt::print(stderr, "mixgrad: interrupted: the network found so far is complete, tested and saved in {}\n", path);
}

}  // namespace mixgrad::cli
