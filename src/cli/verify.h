// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/deploy.h>

namespace mixgrad::cli {

/// Throw failed_run, which says where, if a network's forms differ: the simulation and the integer network, and that
/// and its C package.
void require_equal(const Agreement& agreement);
void require_equal(const CPackageRun& c);

}  // namespace mixgrad::cli
