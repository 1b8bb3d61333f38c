// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/rehearsal.h>

namespace mixgrad::cli {

/// Prints what a search would do and take (search --dry-run).
void print_rehearsal(const RunConfig& config, const Rehearsal& r, bool json);

}  // namespace mixgrad::cli
