// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/dry_run.h>

namespace mixgrad::cli {

/// Prints what a search would do and take (search --dry-run).
void print_dry_run(const RunConfig& config, const DryRun& r, bool json);

}  // namespace mixgrad::cli
