// SPDX-License-Identifier: Apache-2.0
// The files in the folder of a sweep.
#pragma once

#include <mixgrad/sweep.h>

#include <filesystem>
#include <string>

namespace mixgrad::sweep {

/// Creates the folder of the sweep. Throws bad_input if that or writing there is not possible.
void make_folder(const std::filesystem::path& path);

/// The folder of one run in the sweep, with its settings next to its results.
class SubFolder {
 public:
  /// `result`: the file that exists once the run is finished.
  SubFolder(std::filesystem::path path, std::string settings, const char* result)
      : path_(std::move(path)), settings_(std::move(settings)), result_(result) {}

  std::string log() const { return path_ / "log"; }
  std::string file(const std::string& name) const { return path_ / name; }
  /// Whether a run with these settings finished here. Throws bad_input if a run with other settings finished or
  /// started.
  bool finished() const;
  /// Empties the folder and writes the settings.
  void prepare(bool overwrite) const;

 private:
  std::filesystem::path path_;
  std::string settings_;
  const char* result_;
};

/// Throws bad_input if `file` is not a run's summary.
Row read_row(const Point& point, const std::string& file);

}  // namespace mixgrad::sweep
