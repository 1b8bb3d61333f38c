// SPDX-License-Identifier: Apache-2.0
// Shared by the tests of readers: a folder of files that a test writes and corrupts, and checks of messages.
#pragma once

#include "../refusal.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <filesystem>
#include <string>

#include <unistd.h>

namespace mixgrad::test {

/// A temporary folder.
struct DataFolder {
  DataFolder() : path(std::filesystem::temp_directory_path() / fmt::format("mixgrad-readers-{}", ::getpid())) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~DataFolder() { std::filesystem::remove_all(path); }

  std::string file(const std::string& name) const { return path / name; }
  std::string write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((path / name).parent_path());
    io::write_file(file(name), content);
    return file(name);
  }

  std::filesystem::path path;
};

inline bool says(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) MESSAGE("message: " << text << ", expected: " << part);
  return found;
}

}  // namespace mixgrad::test
