// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace mixgrad {

/// Cores of this machine for each of `members` processes on it, which the launcher may have bound to some of them.
int cores_for_each_of(int members);

}  // namespace mixgrad
