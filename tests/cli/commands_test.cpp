// SPDX-License-Identifier: Apache-2.0
// Every command line in the documentation. Those in blocks are run, scaled down, one after the other in one folder; for
// those within sentences, the command and its flags must exist. docs/cli.md is the help of every command, so its
// examples are included.
#include "../models/onnx_net.h"
#include "../models/tflite_net.h"
#include "../shell.h"
#include "../skip.h"
#include "photos.h"
#include "pictures.h"
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace fs = std::filesystem;
using namespace mixgrad::test;

namespace {

const fs::path sources = MIXGRAD_SOURCE_DIR;

std::vector<fs::path> pages() {
  std::vector<fs::path> all = {sources / "README.md", sources / "bench/README.md"};
  for (const fs::directory_entry& file : fs::directory_iterator(sources / "docs")) {
    if (file.path().extension() == ".md") all.push_back(file.path());
  }
  std::ranges::sort(all);
  return all;
}

std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> all;
  for (std::sregex_iterator m(text.begin(), text.end(), regex), end; m != end; ++m)
    all.push_back((*m)[1].str() + (*m)[2].str());
  return all;
}

/// The command that ./dev runs for its first word, if it passes on the others: "search" is "build/mixgrad search".
std::string without_dev(const std::string& line) {
  static const std::string script = mixgrad::io::read_file(sources / "dev");
  std::smatch called, does;
  if (!std::regex_match(line, called, std::regex(R"(\./dev ([a-z]+)(.*))"))) return line;
  const std::string name = called[1];
  CHECK_MESSAGE(std::regex_search(script, std::regex(R"(\n  )" + name + R"(\) )")), "no such command of ./dev: ", name);
  const bool handed_on =
      std::regex_search(script, does, std::regex(R"(\n  )" + name + R"(\) .*exec build/(mixgrad .*) "\$@")"));
  return handed_on ? does[1].str() + called[2].str() : "";
}

/// The command lines of a page, in blocks and within sentences, without "build/", "mpirun -n 2" and comments.
std::vector<std::string> in_blocks(const std::string& page) {
  return matches(
      page,
      R"((?:^|\n) {2,}(?:mpirun -n \d+ )?(?:build/)?(mixgrad|\./dev)((?: [^#\n]*[^# \n])?)(?= *(?:#.*)?(?:\n|$)))");
}
std::vector<std::string> in_sentences(const std::string& page) {
  return matches(std::regex_replace(page, std::regex("\n"), " "),
                 R"(`(?:mpirun -n \d+ )?(?:build/)?(mixgrad|\./dev)((?: [^`]*)?)`)");
}

class Program {
 public:
  explicit Program(const Workplace& place) : place_(place) {}

  /// The commands at the start of a line, like "inspect tape".
  std::string command_of(const std::string& line) {
    std::istringstream words(line);
    std::string command, word;
    for (words >> word; words >> word;) {
      const std::string longer = command.empty() ? word : command + " " + word;
      if (help(command).find("\n  " + word + " ", help(command).find("\nSubcommands:")) == std::string::npos) break;
      command = longer;
    }
    return command;
  }

  bool has_flag(const std::string& command, const std::string& flag) {
    return std::regex_search(help(command), std::regex("[ ,]" + flag + "[ \n]"));
  }

  const std::string& help(const std::string& command) {
    std::string& text = helps_[command];
    if (text.empty()) text = mixgrad_run(place_, command + " --help").out;
    return text;
  }

  /// The same command on little data; if a flag is given twice, the second one counts.
  std::string made_small(std::string line) {
    const std::string command = command_of(line);
    for (const auto& [flag, value] : std::vector<std::pair<std::string, std::string>>{{"--warmup-epochs", "0"},
                                                                                      {"--search-epochs", "0"},
                                                                                      {"--finetune-epochs", "0"},
                                                                                      {"--epochs", "1"},
                                                                                      {"--steps", "1"},
                                                                                      {"--batch", "8"},
                                                                                      {"--images", "2"},
                                                                                      {"--threads", "2"},
                                                                                      {"--dtype", "auto"}}) {
      if (has_flag(command, flag)) line += fmt::format(" {} {}", flag, value);
    }
    const bool draws =
        line.find("--data") == std::string::npos && std::regex_search(help(command), std::regex("--data [^ ]*=glyphs"));
    return draws ? line + " --data glyphs:200" : line;
  }

 private:
  const Workplace& place_;
  std::map<std::string, std::string> helps_;
};

/// What the pages refer to: a folder of data, a finished run, a user's network, a chip.
void furnish(const Workplace& place) {
  fs::create_directory_symlink(place.root / "cifar", place.root / "DIR");
  mixgrad::io::write_file(place.root / "yours.onnx", plain_onnx_file());
  mixgrad::io::write_file(place.root / "chip.toml", chip_toml());
  fs::copy_file(sources / "tests/models/cases/unet_near.onnx", place.root / "unet.onnx");
  constexpr int images = 12;
  for (const char* data : {"images", "maps", "values"}) fs::create_directory(place.root / data);
  for (const char* part : {"train", "test"}) {
    const auto write = [&](const char* data, const char* array, const std::string& shape, size_t bytes) {
      std::string content;
      while (content.size() < bytes) content += static_cast<char>(content.size() % 3);
      write_array(place.root / data / fmt::format("{}_{}.npy", array, part), fmt::format("{}, {}", images, shape),
                  content);
    };
    for (const char* data : {"images", "maps", "values"}) write(data, "x", "32, 32, 3", images * 32 * 32 * 3);
    write("maps", "y", "32, 32", images * 32 * 32);
    mixgrad::io::write_file(place.root / "values" / fmt::format("y_{}.npy", part),
                            npy_of_floats(fmt::format("{}, 10", images), std::vector<float>(images * 10, 0.5F)));
  }
  fs::copy_file(place.root / "images/x_test.npy", place.root / "x.npy");
  mixgrad::io::write_file(place.root / "yours.tflite", plain_tflite_file());
  write_photos(place.root / "photos", {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  REQUIRE(mixgrad_run(place, quick(place) + "--warmup-epochs 0 --finetune-epochs 0 --out RUN").exit_code == 0);
}

/// Runs a line, after removing its earlier output in the same place unless the line resumes it.
void check_run(const Workplace& place, Program& program, const std::string& line) {
  std::smatch out;
  if (line.find("--resume") == std::string::npos && std::regex_search(line, out, std::regex("--out ([^ ]+)")))
    fs::remove_all(place.path(out[1]));
  const std::string small = program.made_small(line);
  CAPTURE(small);
  const Outcome run = mixgrad_run(place, small.substr(std::string("mixgrad").size()));
  CAPTURE(run.err);
  CHECK(run.exit_code == 0);
  if (line.find("--json") == std::string::npos) check_plain_text(run.out);
}

}  // namespace

TEST_CASE("docs: every command in a block runs, and its tables fit in 100 columns") {
  const Workplace place;
  furnish(place);
  Program program(place);
  std::set<std::string> seen;
  for (const fs::path& page : pages()) {
    CAPTURE(page);
    for (const std::string& shown : in_blocks(mixgrad::io::read_file(page))) {
      CAPTURE(shown);
      const std::string line = without_dev(shown);
      if (emulated() && line.find("sweep") != std::string::npos) continue;  // it can't start processes there
      if (!line.empty() && seen.insert(line).second) check_run(place, program, line);
    }
  }
  CHECK(seen.size() > 30);
}

TEST_CASE("docs: every command within a sentence exists, with its flags") {
  const Workplace place;
  Program program(place);
  int lines = 0;
  for (const fs::path& page : pages()) {
    CAPTURE(page);
    for (const std::string& shown : in_sentences(mixgrad::io::read_file(page))) {
      CAPTURE(shown);
      const std::string line = without_dev(shown), command = program.command_of(line);
      if (std::regex_search(line, std::regex("^mixgrad [a-z]"))) CHECK_FALSE(command.empty());
      for (const std::string& flag : matches(line, " (--[a-z-]+)()"))
        CHECK_MESSAGE(program.has_flag(command, flag), flag);
      ++lines;
    }
  }
  CHECK(lines > 10);
}

TEST_CASE("docs: the help of every command ends with examples") {
  const std::string reference = mixgrad::io::read_file(sources / "docs/cli.md");
  const size_t commands = matches(reference, "\n## (mixgrad)()").size();
  CHECK(commands > 10);
  CHECK(matches(reference, "\nExamples:\n  (mixgrad)(.*\n(  mixgrad.*\n)*)\n?```").size() == commands);
}

TEST_CASE("cli: nothing is coloured, also on a terminal") {
  if (!has("script")) return skip("script is missing: apt-get install bsdutils");
  if (!has_terminals()) return skip("no terminals here: mount devpts on /dev/pts");
  const Workplace place;
  for (const std::string setting : {"", "NO_COLOR=1 "}) {
    const Outcome run = shell_run(place, fmt::format("{}script -qec \"'{}' {} --out run --overwrite\" /dev/null",
                                                     setting, binary(), quick(place)));
    REQUIRE(run.exit_code == 0);
    CHECK(run.out.find("finetune 1/1") != std::string::npos);
    CHECK_FALSE(std::regex_search(run.out, std::regex("\x1b\\[[0-9;]*m")));
  }
}
