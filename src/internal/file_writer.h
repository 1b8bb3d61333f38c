// SPDX-License-Identifier: Apache-2.0
// A file written in parts, all or nothing.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace mixgrad::io {

/// Writes to a temporary file, which finish() renames to `path`; without it, nothing is left. Throws like write_file.
/// Devices and pipes are written directly.
class FileWriter {
 public:
  explicit FileWriter(const std::string& path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void add(std::string_view content);
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mixgrad::io
