// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace mixgrad::test {

/// The folder of golden cases: tests/golden, or the one that the environment variable MIXGRAD_GOLDEN names.
inline std::string golden_folder() {
  const char* set = std::getenv("MIXGRAD_GOLDEN");
  std::string folder = set ? set : MIXGRAD_SOURCE_DIR "/tests/golden";
  REQUIRE_MESSAGE(std::filesystem::is_directory(folder), "no folder of golden cases: " << folder);
  return folder;
}

}  // namespace mixgrad::test
