// SPDX-License-Identifier: Apache-2.0
// What the pages of documentation point to exists, in the repository and in the site made of them.
#include "shell.h"
#include "skip.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

using namespace mixgrad;
namespace fs = std::filesystem;

namespace {

const fs::path source = MIXGRAD_SOURCE_DIR;

std::vector<fs::path> pages() {
  std::vector<fs::path> out;
  for (const char* page : {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "bench/README.md"})
    out.push_back(source / page);
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

/// All values of an attribute, given as " href".
std::vector<std::string> values_of(const std::string& html, const std::string& attribute) {
  std::vector<std::string> out;
  const std::string begin = attribute + "=\"";
  for (size_t at = html.find(begin); at != std::string::npos; at = html.find(begin, at)) {
    at += begin.size();
    out.push_back(html.substr(at, html.find('"', at) - at));
  }
  return out;
}

/// The links in pages below `site` that lead nowhere, and what they load from other places: one per line.
std::string broken_links(const fs::path& site) {
  std::map<fs::path, std::string> texts;
  for (const auto& entry : fs::recursive_directory_iterator(site)) {
    if (entry.path().extension() == ".html" && entry.path().filename() != "404.html")
      texts[entry.path()] = io::read_file(entry.path().string());
  }
  std::map<fs::path, std::set<std::string>> anchors;
  for (const auto& [page, html] : texts) {
    for (const std::string& id : values_of(html, " id")) anchors[page].insert(id);
  }
  std::string out;
  const auto complain = [&](const fs::path& page, const std::string& link) {
    out += page.lexically_relative(site).string() + ": " + link + "\n";
  };
  for (const auto& [page, html] : texts) {
    for (const char* loaded : {" src", "rel=\"stylesheet\" href"}) {
      for (const std::string& link : values_of(html, loaded)) {
        if (!fs::exists(page.parent_path() / link)) complain(page, link);
      }
    }
    for (const std::string& link : values_of(html, " href")) {
      if (link.find(':') != std::string::npos) continue;  // elsewhere
      const size_t hash = link.find('#');
      const std::string anchor = hash == std::string::npos ? "" : link.substr(hash + 1);
      const fs::path target = hash == 0 ? page : (page.parent_path() / link.substr(0, hash)).lexically_normal();
      if (!fs::is_regular_file(target) || (!anchor.empty() && !anchors[target].contains(anchor))) complain(page, link);
    }
  }
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

TEST_CASE("docs: every page has a place in the site") {
  const std::string settings = io::read_file(source / "mkdocs.yml");
  for (const fs::path& page : pages()) {
    const std::string name = page.lexically_relative(source);
    CAPTURE(name);
    CHECK(settings.find(": " + name + "\n") != std::string::npos);
  }
}

TEST_CASE("docs: the site builds, needs nothing from elsewhere, and every link in it leads to something") {
  const test::Folder folder;
  folder.run("mkdocs build --help || true");  // names the themes
  if (folder.said().find("material") == std::string::npos)
    return test::skip("mkdocs with its theme is missing: apt-get install mkdocs-material");
  folder.run("PYTHONDONTWRITEBYTECODE=1 mkdocs build --strict --site-dir \"$PWD/site\" --config-file " +
             test::quoted(source / "mkdocs.yml"));
  CHECK(fs::exists(folder.path / "site/docs/guide.html"));
  CHECK(broken_links(folder.path / "site") == "");
}
