// SPDX-License-Identifier: Apache-2.0
// The programs under examples/: each is short, has a header that describes it, runs, and prints what it promises.
#include "shell.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace mixgrad;

namespace {

namespace fs = std::filesystem;

const fs::path sources = MIXGRAD_SOURCE_DIR;

struct Example {
  const char *name, *arguments;
  std::vector<const char*> prints;
  double least_accuracy = 0;  ///< for every "accuracy X" that it prints
};

const std::vector<Example> examples = {
    {"01_tape",
     "",
     {"f(2, -1) = -3.5", "recorded: product relu scale add", "df/da = -2", "df/db = 5.5",
      "step 4: (a - 3)^2 = 0.00391"}},
    {"02_fake_quant",
     "",
     {"    -2       -1.5         0", "   0.7        0.5         1", "w 0.900  quantized 1.0  loss 0.00"}},
    {"03_mixture", "", {"        0   2.0  0.2715", "    1  5.47  0.0164", "   2     0.02201     0.02201"}},
    {"04_search_one_layer", "", {"found: 8, 4, 4, 2 bits"}},
    {"05_budgets", "", {"   1e-05   ", "exported: 40.0%"}},
    {"06_integers",
     "",
     {"sum = 0 + 122 · 210 + 89 · 220 + -85 · 96 + 127 · 83 = 47581", "code = 47581 · 1817530982 / 2^39 = 157",
      "   2                 0.18658  0 of 3072"}},
    {"07_resnet8", "256", {"epoch 2: "}},
    {"08_your_own_cost",
     "",
     {"cycles: 12502016 cycles at uniform 8 bits", "stack3.shortcut", "of at most 6251008 cycles",
      "of at most 1209 transfers"}},
    {"09_your_own_quantizer", "", {"power-of-two  steps 0.00781 0.50000", "integers agree on 500 of 500"}, 0.8},
    {"10_your_own_sampler", "", {"softmax ", "drawn "}, 0.8},
};

/// The numbers after "accuracy ".
std::vector<double> accuracies_in(const std::string& text) {
  std::vector<double> out;
  const std::string word = "accuracy ";
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    out.push_back(std::stod(text.substr(at + word.size())));
  return out;
}

/// What 07_resnet8 prints last about the network in the file that it saves, for so many images.
std::string said_of(const std::string& file, int64_t images) {
  const Graph found = load_graph(file);
  const data::Splits data = data::glyphs(1, 0.1, {.train = images, .test = images / 4});
  return fmt::format("accuracy {:.4f} with {:.1f} KiB of weights\n", train::evaluate(found, data.test).value(),
                     cost::discrete(found, cost::size()) / 8192);
}

}  // namespace

TEST_CASE("examples: every program runs and prints what it promises") {
  const test::Folder folder;
  for (const Example& e : examples) {
    CAPTURE(e.name);
    folder.run(std::string("OMP_WAIT_POLICY=passive '") + MIXGRAD_EXAMPLES + "/" + e.name + "' " + e.arguments);
    for (const char* words : e.prints) {
      CAPTURE(folder.said());
      CHECK(folder.said().find(words) != std::string::npos);
    }
    const std::vector<double> accuracies = accuracies_in(folder.said());
    if (e.least_accuracy > 0) CHECK(accuracies.size() == 2);
    for (const double accuracy : accuracies) CHECK(accuracy >= e.least_accuracy);
    if (std::string(e.name) == "07_resnet8")
      CHECK(folder.said().ends_with(said_of(folder.path / "resnet8.safetensors", 256)));
  }
}

TEST_CASE("examples: every program is short, and its header says what it shows, what it prints and how to run it") {
  std::set<std::string> names, tested;
  for (const Example& e : examples) tested.insert(e.name);
  for (const fs::directory_entry& file : fs::directory_iterator(sources / "examples")) {
    if (file.path().extension() != ".cpp") continue;
    const std::string name = file.path().stem(), text = io::read_file(file.path());
    CAPTURE(name);
    names.insert(name);
    CHECK(std::ranges::count(text, '\n') <= 80);
    CHECK(text.find("// Shows: ") != std::string::npos);
    CHECK(text.find("// Prints: ") != std::string::npos);
    CHECK(text.find("// Run: build/examples/" + name) != std::string::npos);
  }
  CHECK(names == tested);
}

TEST_CASE("lessons: what docs/lessons.md shows of a program's output is what it prints") {
  const test::Folder folder;
  std::istringstream text(io::read_file(sources / "docs/lessons.md"));
  std::string line, printed;
  int lessons = 0;
  while (std::getline(text, line)) {
    const std::string link = "[examples/";
    if (line.starts_with(link)) {
      const std::string program = line.substr(link.size(), line.find(".cpp") - link.size());
      ++lessons;
      printed.clear();
      if (program == "05_budgets") continue;  // its training may end elsewhere on another CPU
      folder.run(std::string("OMP_WAIT_POLICY=passive '") + MIXGRAD_EXAMPLES + "/" + program + "'");
      printed = folder.said();
    } else if (!printed.empty() && line.starts_with("    ")) {
      CAPTURE(line);
      CHECK(printed.find(line.substr(4) + "\n") != std::string::npos);
    }
  }
  CHECK(lessons == 6);
}

TEST_CASE("examples: the program in README.md is examples/07_resnet8.cpp") {
  const std::string readme = io::read_file(sources / "README.md"),
                    program = io::read_file(sources / "examples/07_resnet8.cpp");
  const size_t begin = readme.find("```cpp\n") + 7;
  CHECK(readme.substr(begin, readme.find("```", begin) - begin) == program.substr(program.find("#include")));
}

TEST_CASE("examples: the code in docs/research.md is taken from them") {
  const auto without_indentation = [](const std::string& text) {
    return std::regex_replace("\n" + text, std::regex("\n +"), "\n").substr(1);
  };
  std::string programs;
  for (const Example& e : examples)
    programs += without_indentation(io::read_file(sources / "examples" / (std::string(e.name) + ".cpp")));
  const std::string page = io::read_file(sources / "docs/research.md"), fence = "```cpp\n";
  int blocks = 0;
  for (size_t at = page.find(fence); at != std::string::npos; at = page.find(fence, at), ++blocks) {
    at += fence.size();
    const std::string block = page.substr(at, page.find("```", at) - at);
    CAPTURE(block);
    CHECK(programs.find(without_indentation(block)) != std::string::npos);
  }
  CHECK(blocks > 2);
}
