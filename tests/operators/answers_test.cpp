// SPDX-License-Identifier: Apache-2.0
// The section 'An operator' of docs/extending.md, followed step by step by the compiler: with all its answers a new
// operator compiles, and without any one of them the compiler names both the operator and the answer.
#include "../shell.h"
#include "../skip.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <string>
#include <vector>

using namespace mixgrad;
namespace fs = std::filesystem;

namespace {

const fs::path sources = MIXGRAD_SOURCE_DIR, build = fs::path(MIXGRAD_BINARY).parent_path();

struct Answer {
  std::string name, line;
  std::string asked_by;  // the source under src/ that does not compile without it
};

const std::vector<Answer>& answers() {
  static const std::vector<Answer> all = {
      {"name", R"(static constexpr const char* name() { return "negate"; })", "operators/operators.cpp"},
      {"parameters", "static constexpr std::array<const char*, 0> parameters{};", "graph/graph.cpp"},
      {"inputs", "static constexpr int inputs = 1;", "graph/trace.cpp"},
      {"is_layer", "static constexpr bool is_layer = false;", "graph/graph.cpp"},
      {"quantizer", "static constexpr Quantizer quantizer = Quantizer::own;", "graph/graph.cpp"},
      {"relu_behind", "static constexpr ReluBehind relu_behind = ReluBehind::stays;", "graph/fuse.cpp"},
      {"overlap", "static constexpr Overlap overlap = Overlap::in_place;", "graph/graph.cpp"},
      {"constant_bytes", "static constexpr ConstantBytes constant_bytes = 0;", "graph/memory_plan.cpp"},
      {"channels", "Channels channels(const Node&) const { return Channels::passed; }", "graph/graph.cpp"},
      {"run", "Value run(const RunContext& c) const;", "graph/run.cpp"},
      {"lower", "void lower(LoweringContext& c) const;", "deploy/lower.cpp"},
  };
  return all;
}

constexpr const char* own_source = R"(#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/value.h>

namespace mixgrad {

Tensor negate(const Tensor& x) {
  const Tensor y = Tensor::empty(x.shape());
  for (int64_t i = 0; i < x.size(); ++i) y.data()[i] = -x.data()[i];
  return record(op::Negate(), y, {x}, [](const Backward& b) {
    const auto gx = b.grad(0);
    for (int64_t i = 0; gx && i < std::ssize(b.grad_output()); ++i) gx.put(i, -b.grad_output()[i]);
  });
}

Value op::Negate::run(const RunContext& c) const { return {negate(real(c.input()))}; }

}  // namespace mixgrad
)";

constexpr const char* integer_source = R"(#include <mixgrad/error.h>

#include <src/internal/lowering.h>

namespace mixgrad {

void op::Negate::lower(LoweringContext& c) const { bad_input("'{}' has no integer form", c.node().name); }

}  // namespace mixgrad
)";

/// Adds `text` to a copy of a public header, which hides the library's: before the first `mark` behind `behind`.
void insert(const fs::path& header, const std::string& text, const std::string& mark, const std::string& behind = "") {
  const fs::path original = sources / "include/mixgrad" / header.filename();
  std::string all = io::read_file((fs::exists(header) ? header : original).string());
  const size_t at = all.find(mark, all.find(behind));
  REQUIRE(at != std::string::npos);
  io::write_file(header.string(), all.insert(at, text));
}

/// Steps 1 to 3 of the section, without the answer named `missing`.
void add_operator(const test::Folder& place, const std::string& missing) {
  const fs::path headers = place.path / "include/mixgrad";
  fs::remove_all(headers);
  fs::create_directories(headers);
  std::string operator_struct = "struct Negate {\n";
  for (const Answer& a : answers()) operator_struct += a.name == missing ? "" : "  " + a.line + "\n";
  insert(headers / "operators.h", operator_struct + "};\n\n", "}  // namespace op");
  insert(headers / "operators.h", ", op::Negate", ">;", "using Operator = ");
  insert(headers / "ops.h", "Tensor negate(const Tensor& x);\n", "Tensor relu(const Tensor& x);");
  io::write_file((place.path / "operators_negate.cpp").string(), own_source);
  io::write_file((place.path / "integer_negate.cpp").string(), integer_source);
}

/// How the library's sources are compiled, as meson configured it, with the patched headers before all others. Empty
/// if it can't be told or the compiler is gone.
std::string compile_command(const test::Folder& place) {
  const fs::path commands = build / "compile_commands.json";
  if (!fs::exists(commands)) return "";
  for (const auto& entry : nlohmann::json::parse(io::read_file(commands.string()))) {
    if (!entry.at("file").get<std::string>().ends_with("src/operators/operators.cpp")) continue;
    std::string command = entry.at("command").get<std::string>();
    const size_t first_folder = command.find(" -I"), outputs = command.find(" -MD ");
    if (first_folder == std::string::npos || outputs == std::string::npos) return "";
    if (std::system((command.substr(0, first_folder) + " --version >/dev/null 2>&1").c_str()) != 0) return "";
    command = command.substr(0, outputs).insert(first_folder, " -I" + test::quoted((place.path / "include").string()));
    return "cd " + test::quoted(entry.at("directory").get<std::string>()) + " && LC_ALL=C " + command +
           " -fsyntax-only -fdiagnostics-color=never ";
  }
  return "";
}

}  // namespace

TEST_CASE("operators: a new one compiles as extending.md says, and without an answer the compiler names both") {
  const test::Folder place;
  const std::string compile = compile_command(place);
  if (compile.empty()) return test::skip("no compiler, or no compile_commands.json that tells how meson calls it");
  const auto in_library = [](const std::string& file) { return test::quoted((sources / "src" / file).string()); };

  add_operator(place, "");
  std::string complete = compile + in_library("operators/operators.cpp");
  for (const char* file : {"operators_negate.cpp", "integer_negate.cpp"})
    complete += " " + test::quoted((place.path / file).string());
  place.run(complete);

  for (const Answer& answer : answers()) {
    CAPTURE(answer.name);
    add_operator(place, answer.name);
    place.run("! (" + compile + in_library(answer.asked_by) + ")");
    CAPTURE(place.said());
    CHECK(place.said().find("op::Negate") != std::string::npos);
    CHECK(place.said().find("'" + answer.name + "'") != std::string::npos);
  }
}
