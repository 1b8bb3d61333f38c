// SPDX-License-Identifier: Apache-2.0
// Measures C packages, on emulated processors by instructions.
#include "boards.h"
#include "program.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/profile.h>

#include <fmt/ranges.h>

#include <map>
#include <sstream>

namespace mixgrad {
namespace {

const Board& board_named(const std::string& name) {
  for (const Board& b : boards()) {
    if (b.name == name) return b;
  }
  bad_input("target: unknown processor '{}': expected {}", name, fmt::join(profile_targets(), ", "));
}

/// Prints "step INDEX TIME" for each operator, "total TIME" and "stack BYTES". {0}: `now`; {1}: the number of nodes;
/// {2}: the arguments of net_run; {3}: their definitions; {4}: the number of runs, of which the least time counts.
constexpr const char* driver = R"(#include "net.h"
#include <stdio.h>

{0}
static uint32_t times[{1}], least[{1}], last;
void net_step(int i) {{
  const uint32_t t = now();
  times[i] = t - last;
  last = now();
}}

static uint8_t in[NET_INPUT_SIZE];
{3}
/* Runs the network, and counts the bytes of stack below that it has written to. */
static __attribute__((noinline)) unsigned run(void) {{
  enum {{ words = 2048 }};
  volatile uint32_t *top = (volatile uint32_t *)__builtin_frame_address(0) - 32;
  int i;
  for (i = 1; i <= words; ++i) top[-i] = 0xa5a5a5a5u;
  last = now();
  net_run({2});
  for (i = words; i > 0 && top[-i] == 0xa5a5a5a5u; --i) {{}}
  return (unsigned)i * 4;
}}

int main(void) {{
  uint32_t i, before, total = 0;
  unsigned stack = 0;
  int k;
  for (i = 0; i < NET_INPUT_SIZE; ++i) in[i] = (uint8_t)(i * 7919u >> 3);
  for (k = 0; k < {4}; ++k) {{
    before = now();
    stack = run();
    if (k == 0 || last - before < total) total = last - before;
    for (i = 0; i < {1}; ++i) {{
      if (k == 0 || times[i] < least[i]) least[i] = times[i];
    }}
  }}
  for (i = 0; i < {1}; ++i) printf("step %u %lu\n", (unsigned)i, (unsigned long)least[i]);
  printf("total %lu\nstack %u\n", (unsigned long)total, stack);
  return 0;
}}
)";

std::string driver_of(const IntegerNetwork& network, const Board& board) {
  std::string arguments = "(void *)in", definitions;
  for (size_t i = 0; i < network.outputs.size(); ++i) {
    definitions += fmt::format("static int32_t out{}[{}];\n", i, network.node_of(network.outputs[i]).shape.size());
    arguments += fmt::format(", (void *)out{}", i);
  }
  return fmt::format(fmt::runtime(driver), board.clock, network.nodes.size(), arguments, definitions, board.runs);
}

/// What a program printed. Throws failed_run with its first line if it failed.
std::string said_by(const std::string& command, const std::filesystem::path& folder, const Board& board) {
  const auto ended = run_program(words_of(command), folder);
  const std::string program = command.substr(0, command.find(' '));
  if (!ended) bad_input("target: {} needs {}: apt-get install {}", board.name, program, board.packages);
  if (ended->exit_code != 0) failed_run("profile: {} failed: {}", program, ended->first_line());
  return ended->said;
}

/// "NAME SIZE" in the lines of `size -A`.
int64_t section(const std::string& said, const std::string& name) {
  std::istringstream lines(said);
  int64_t sum = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string section;
    int64_t size = 0;
    if (words >> section >> size && (section == name || section.starts_with(name + "."))) sum += size;
  }
  return sum;
}

}  // namespace

int64_t Profile::macs() const {
  int64_t sum = 0;
  for (const Operator& o : operators) sum += o.macs;
  return sum;
}

std::vector<std::string> profile_targets() {
  std::vector<std::string> names;
  for (const Board& b : boards()) names.push_back(b.name);
  return names;
}

Profile profile(const IntegerNetwork& network, const std::string& target, const std::string& optimization) {
  const Board& board = board_named(target);
  const TemporaryFolder folder;
  write_c_package(c_package(network, "profile", {}), folder.path());
  const auto write = [&](const std::string& name, const std::string& text) {
    io::write_file(folder.path() / name, text);
  };
  write("main.c", driver_of(network, board));
  write("step.h", "void net_step(int i);\n#define NET_STEP(i) net_step(i);\n");
  for (const auto& [name, text] : board.files) write(name, text);

  const std::string compile = fmt::format("{}gcc {} {}", board.tools, optimization, board.flags);
  said_by(compile + " -c net.c -o alone.o", folder.path(), board);
  const std::string sizes = said_by(board.tools + "size -A alone.o", folder.path(), board);
  said_by(compile + " -include step.h -c net.c -o net.o", folder.path(), board);
  said_by(fmt::format("{} main.c net.o {} -o program", compile, board.linking), folder.path(), board);
  std::istringstream said(said_by(board.run + board.counting, folder.path(), board));

  Profile out{.unit = board.unit,
              .operators = {},
              .code_bytes = section(sizes, ".text"),
              .constant_bytes = section(sizes, ".rodata"),
              .ram_bytes = section(sizes, ".bss") + section(sizes, ".data")};
  std::map<size_t, int64_t> by_node;
  for (std::string word; said >> word;) {
    size_t index = 0;
    if (word == "step") said >> index >> by_node[index];
    if (word == "total") said >> out.time;
    if (word == "stack") said >> out.stack_bytes;
  }
  if (out.time == 0) failed_run("profile: the program for {} printed no figures", board.name);
  for (const auto& [i, time] : by_node) {
    const IntegerNode& node = network.nodes[i];
    if (time == 0) continue;
    const integer::Layer* layer = node.layer();
    const Shape& applied = layer != nullptr && layer->transposed ? network.input_of(node).shape : node.shape;
    const int64_t macs = layer == nullptr ? 0 : applied.size() / applied[0] * std::ssize(layer->weights);
    out.operators.push_back({.name = node.name, .op = std::string(node.op_name()), .time = time, .macs = macs});
  }
  return out;
}

}  // namespace mixgrad
