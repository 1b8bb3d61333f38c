// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/error.h>

#include <filesystem>
#include <string>

namespace mixgrad::report {

/// Throws bad_input unless `path`, which should be the folder of `what`, is one.
inline void check_existing_folder(const std::string& path, const char* what = "a run") {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return;
  if (std::filesystem::exists(path, error)) bad_input("{}: a file: expected the folder of {}", path, what);
  bad_input("{}: no such folder", path);
}

}  // namespace mixgrad::report
