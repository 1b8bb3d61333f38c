// SPDX-License-Identifier: Apache-2.0
#include "workplace.h"

#include "../shell.h"

#include <mixgrad/io.h>
#include <mixgrad/rng.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include <sys/wait.h>
#include <unistd.h>

namespace mixgrad::test {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// Noisy images whose brightness depends on their class.
void write_batch(const fs::path& folder, const std::string& name, uint64_t records) {
  Rng rng(records, name);
  std::string bytes;
  for (uint64_t r = 0; r < records; ++r) {
    const uint64_t label = rng.below(10);
    bytes += static_cast<char>(label);
    for (int i = 0; i < 3072; ++i) bytes += static_cast<char>(20 * label + rng.below(50));
  }
  io::write_file(folder / name, bytes);
}

}  // namespace

std::string binary() {
  const char* given = std::getenv("MIXGRAD_BINARY");
  return given != nullptr ? given : MIXGRAD_BINARY;
}

bool emulated() {
#ifdef MIXGRAD_EMULATED
  return true;
#else
  return false;
#endif
}

Workplace::Workplace() {
  std::string name = fs::temp_directory_path() / "mixgrad-cli-XXXXXX";
  root = ::mkdtemp(name.data());
  fs::create_directory(root / "cifar");
  for (int i = 1; i <= 5; ++i) write_batch(root / "cifar", fmt::format("data_batch_{}.bin", i), 40);
  write_batch(root / "cifar", "test_batch.bin", 70);
}
Workplace::~Workplace() { fs::remove_all(root); }

bool Workplace::holds_only_data() const {
  return std::distance(fs::directory_iterator(root), fs::directory_iterator()) == 1;
}

// Open MPI leaks memory in plugins that are unloaded at the end, so a suppression could not name the functions.
std::string mpirun(int members) {
  return fmt::format(
      "ASAN_OPTIONS=detect_leaks=0 OMP_WAIT_POLICY=passive mpirun -n {} --bind-to none --oversubscribe "
      "--allow-run-as-root ",
      members);
}

Outcome shell_run(const Workplace& place, const std::string& command) {
  const fs::path logs = fs::temp_directory_path() / fmt::format("mixgrad-cli-{}", ::getpid());
  fs::create_directories(logs);
  const std::string whole = fmt::format("cd {} && ({}) >{} 2>{} </dev/null", quoted(place.root), command,
                                        quoted(logs / "out"), quoted(logs / "err"));
  const int status = std::system(whole.c_str());
  const Told err = told(io::read_file(logs / "err"));
  Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, io::read_file(logs / "out"), err.rest, err.notes};
  fs::remove_all(logs);
  return outcome;
}

Outcome mixgrad_run(const Workplace& place, const std::string& arguments) {
  return shell_run(place, fmt::format("OMP_WAIT_POLICY=passive {} {}", quoted(binary()), arguments));
}

std::string quick(const Workplace& place) {
  return "search --data " + place.data() +
         " --warmup-epochs 1 --search-epochs 1 --finetune-epochs 1 --batch-size 40 --threads 2 --seed 3 ";
}

std::string chip_toml() {
  std::string out = "unit = \"cycles\"\ncost = [\n";
  for (const char* op : {"conv2d", "linear"}) {
    for (const int input_bits : {4, 8}) {
      for (const int bits : {2, 4, 8})
        out += fmt::format("  {{ op = \"{}\", input-bits = {}, weight-bits = {}, per-mac = {} }},\n", op, input_bits,
                           bits, 0.1 * bits);
    }
  }
  return out + "]\n";
}

json parsed(const std::string& file) { return json::parse(io::read_file(file)); }

std::vector<json> json_lines(const std::string& file) {
  const std::string content = io::read_file(file);
  std::vector<json> lines;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = content.find('\n', begin);
    REQUIRE(end != std::string::npos);
    lines.push_back(json::parse(content.substr(begin, end - begin)));
    begin = end + 1;
  }
  return lines;
}

void check_complaint(const Outcome& outcome, int exit_code, const std::string& word) {
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == exit_code);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.starts_with("mixgrad: "));
  CHECK(std::ranges::count(outcome.err, '\n') == 1);
  CHECK(outcome.err.ends_with('\n'));
  CHECK(outcome.err.find(word) != std::string::npos);
}

void check_plain_text(const std::string& text) {
  for (const char forbidden : {'\x1b', '\r', '\t'}) CHECK(text.find(forbidden) == std::string::npos);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto columns =
        std::ranges::count_if(line, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });  // of UTF-8
    CAPTURE(line);
    CHECK(columns <= (line.starts_with("written to") || line.starts_with("report:") ? 1000 : 100));
  }
}

}  // namespace mixgrad::test
