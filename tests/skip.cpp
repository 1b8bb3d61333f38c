// SPDX-License-Identifier: Apache-2.0
#include "skip.h"

#include <fmt/core.h>

namespace mixgrad::test {

bool& skipped_now() {
  static bool value = false;
  return value;
}

void skip(const std::string& why) {
  skipped_now() = true;
  fmt::print(stderr, "skipped: {}\n", why);
}

std::string shared_folder() { return std::string(MIXGRAD_SOURCE_DIR) + "/../shared"; }

}  // namespace mixgrad::test
