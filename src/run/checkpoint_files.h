// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/io.h>

#include <filesystem>
#include <string>

namespace mixgrad {

/// checkpoint.safetensors in a run's folder, and the previous one until the new one is completely on disk.
class CheckpointFiles {
 public:
  explicit CheckpointFiles(const std::filesystem::path& folder);

  bool any() const;
  /// The newest intact checkpoint; `damage` says what is wrong with a newer one. Throws bad_input if there is none.
  io::Safetensors newest(std::string& damage) const;
  /// Replaces the newest, which becomes the previous one. Throws failed_run and leaves both unchanged on failure.
  void write(io::Safetensors content);
  void remove();

 private:
  std::filesystem::path newest_, previous_, next_;
};

}  // namespace mixgrad
