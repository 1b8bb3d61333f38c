// SPDX-License-Identifier: Apache-2.0
// What a sweep finds in its folder and leaves there.
#pragma once

#include <mixgrad/sweep.h>

#include <filesystem>
#include <string>

namespace mixgrad::sweep {

/// Makes the sweep's own folder. Throws bad_input where that, or writing there, is not possible.
void make_folder(const std::filesystem::path& path);

/// A sub-folder for one run of the sweep, with its settings beside what it leaves.
class SubFolder {
 public:
  /// `result`: the file that stands there once the run is finished.
  SubFolder(std::filesystem::path path, std::string settings, const char* result)
      : path_(std::move(path)), settings_(std::move(settings)), result_(result) {}

  std::string log() const { return path_ / "log"; }
  std::string file(const std::string& name) const { return path_ / name; }
  /// Whether a run with these settings finished here. Throws bad_input where one with others did, or began.
  bool finished() const;
  /// Empties the place and writes the settings.
  void prepare(bool overwrite) const;

 private:
  std::filesystem::path path_;
  std::string settings_;
  const char* result_;
};

/// Throws bad_input when the summary in `file` is not one.
Row read_row(const Point& point, const std::string& file);

}  // namespace mixgrad::sweep
