// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace mixgrad {

/// Cores for each of `members` processes on this machine, within those to which the launcher has bound this process.
int cores_for_each_of(int members);

}  // namespace mixgrad
