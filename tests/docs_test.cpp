// SPDX-License-Identifier: Apache-2.0
// What the pages of documentation point to exists.
#include <mixgrad/io.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <regex>
#include <string>
#include <vector>

using namespace mixgrad;
namespace fs = std::filesystem;

namespace {

const fs::path source = MIXGRAD_SOURCE_DIR;

std::vector<fs::path> pages() {
  std::vector<fs::path> out = {source / "README.md", source / "bench/README.md"};
  for (const auto& entry : fs::directory_iterator(source / "docs")) {
    if (entry.path().extension() == ".md") out.push_back(entry.path());
  }
  return out;
}

/// The first group of every match.
std::vector<std::string> matches(const std::string& text, const std::regex& pattern) {
  std::vector<std::string> out;
  for (std::sregex_iterator i(text.begin(), text.end(), pattern), end; i != end; ++i) out.push_back((*i)[1]);
  return out;
}

}  // namespace

TEST_CASE("docs: every link to a file leads to one") {
  const std::regex link(R"(\]\(([^)#:\s]+)(#[^)]*)?\))");
  size_t links = 0;
  for (const fs::path& page : pages()) {
    CAPTURE(page.string());
    for (const std::string& target : matches(io::read_file(page.string()), link)) {
      CAPTURE(target);
      CHECK(fs::exists(page.parent_path() / target));
      ++links;
    }
  }
  CHECK(links > 20);
}

TEST_CASE("docs: extending.md and architecture.md name files and functions that there are") {
  std::string code;
  for (const char* folder : {"include", "src", "examples"}) {
    for (const auto& entry : fs::recursive_directory_iterator(source / folder)) {
      const std::string extension = entry.path().extension();
      if (extension == ".h" || extension == ".cpp") code += io::read_file(entry.path().string());
    }
  }
  // `quant::elementwise<Q>("name")`, `cost::all()`, `LoweringContext`: the last name of each must be in the code
  const std::regex name(R"(`(?:\w+::)*(\w+)(?:<\w+>)?(?:\([^`]*\))?`)"), placeholder("name|Name|NAME|Q|[a-z]");
  const std::regex path(R"(`((?:include|src|tests|kernels|examples)/[\w./]*)`)");
  size_t names = 0, paths = 0;
  for (const char* page : {"docs/extending.md", "docs/architecture.md"}) {
    const std::string text = io::read_file((source / page).string());
    for (const std::string& found : matches(text, name)) {
      if (std::regex_match(found, placeholder)) continue;
      CAPTURE(found);
      CHECK(code.find(found) != std::string::npos);
      ++names;
    }
    for (const std::string& found : matches(text, path)) {
      if (found.find("NAME") != std::string::npos) continue;
      CAPTURE(found);
      CHECK(fs::exists(source / found));
      ++paths;
    }
  }
  CHECK(names > 10);
  CHECK(paths > 3);
}
