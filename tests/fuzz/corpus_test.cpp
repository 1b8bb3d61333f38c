// SPDX-License-Identifier: Apache-2.0
// The seed inputs of fuzzing and its former findings, read again by every build.
#include "targets.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace mixgrad;
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> inputs_of(const fuzz::Target& target) {
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(fs::path(MIXGRAD_SOURCE_DIR) / "tests/fuzz/corpus" / target.name))
    files.push_back(file.path());
  std::ranges::sort(files);
  return files;
}

}  // namespace

TEST_CASE("fuzz: every reader accepts good files, and reports bad ones in one line") {
  for (const fuzz::Target& target : fuzz::targets()) {
    const std::vector<fs::path> files = inputs_of(target);
    CHECK(
        std::ranges::any_of(files, [](const fs::path& file) { return file.filename().string().starts_with("good"); }));
    for (const fs::path& file : files) {
      CAPTURE(file.string());
      std::string complaint;
      CHECK_NOTHROW(complaint = fuzz::complaint_of(target, io::read_file(file)));
      CAPTURE(complaint);
      CHECK(complaint.empty() == file.filename().string().starts_with("good"));
    }
  }
}
