// SPDX-License-Identifier: Apache-2.0
#include "cores.h"

#include <algorithm>

#include <sched.h>
#include <unistd.h>

namespace mixgrad {

int cores_for_each_of(int members) {
  const int all = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  cpu_set_t set;
  const int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : all;
  return std::max(1, std::min(allowed, all / members));
}

}  // namespace mixgrad
