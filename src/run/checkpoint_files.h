// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/io.h>

#include <filesystem>
#include <string>

namespace mixgrad {

/// checkpoint.safetensors in a run's folder and, until a newer one is whole on the disk, the one before it.
class CheckpointFiles {
 public:
  explicit CheckpointFiles(const std::filesystem::path& folder);

  bool any() const;
  /// The newest that is whole; `damage` says what is wrong with a newer one. Throws bad_input when none is whole.
  io::Safetensors newest(std::string& damage) const;
  /// Takes the newest's place; that becomes the previous one. Throws failed_run, and both stay as they were.
  void write(io::Safetensors content);
  void remove();

 private:
  std::filesystem::path newest_, previous_, next_;
};

}  // namespace mixgrad
