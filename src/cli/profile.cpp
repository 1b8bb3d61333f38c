// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "finished.h"
#include "interrupt.h"
#include "json.h"
#include "options.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/profile.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

namespace mixgrad::cli {
namespace {

/// Where a package runs, and how it is compiled for it.
struct Processor {
  std::string target, optimization = "2";

  void add_to(Options& options) {
    options.add("target", &target, "processor", fmt::format("{}", fmt::join(profile_targets(), "|")));
    options.add("optimization", &optimization, "of the compiler", "0|1|2|3|s");
  }
  void check(const char* command) const {
    if (target.empty()) bad_input("{}: --target is missing: expected {}", command, fmt::join(profile_targets(), ", "));
  }
  std::string flag() const { return "-O" + optimization; }
};

struct ProfileRun {
  explicit ProfileRun(CLI::App& command) : options(command) {}

  Options options;
  Processor processor;
  std::string folder;
  bool json = false, pack_activations = false;
};

double per_mac(int64_t time, int64_t macs) {
  return macs == 0 ? 0 : static_cast<double>(time) / static_cast<double>(macs);
}

void print(const Profile& p) {
  size_t width = 5;
  for (const Profile::Operator& o : p.operators) width = std::max(width, o.name.size());
  fmt::print("{:<{}}  {:>12}  {:>12}  {:>7}\n", "layer", width, p.unit, "MACs", "per MAC");
  const auto row = [&](const std::string& name, int64_t time, int64_t macs) {
    const std::string ratio = macs == 0 ? "" : fmt::format("{:.2f}", per_mac(time, macs));
    fmt::print("{:<{}}  {:>12}  {:>12}  {:>7}\n", name, width, time, macs == 0 ? "" : fmt::format("{}", macs), ratio);
  };
  for (const Profile::Operator& o : p.operators) row(o.name, o.time, o.macs);
  row("all", p.time, p.macs());
  fmt::print("flash: {} bytes of code, {} of constants; RAM: {} bytes, and {} of stack\n", p.code_bytes,
             p.constant_bytes, p.ram_bytes, p.stack_bytes);
}

nlohmann::ordered_json as_json(const Profile& p) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const Profile::Operator& o : p.operators) {
    layers.push_back({{"name", o.name}, {"op", o.op}, {p.unit, o.time}, {"macs", o.macs}});
  }
  return {{p.unit, p.time},
          {p.unit + "_per_mac", per_mac(p.time, p.macs())},
          {"layers", layers},
          {"stack_bytes", p.stack_bytes},
          {"ram_bytes", p.ram_bytes},
          {"flash_bytes", p.code_bytes + p.constant_bytes},
          {"code_bytes", p.code_bytes},
          {"constant_bytes", p.constant_bytes}};
}

void run(ProfileRun& r) {
  r.options.apply();
  if (r.folder.empty()) bad_input("profile: no folder given: expected mixgrad profile DIR with the folder of a search");
  r.processor.check("profile");
  IntegerNetwork network = to_integer(load_network(r.folder));
  network.packs_activations = r.pack_activations;
  Profile p;
  interruptible([&] { p = profile(network, r.processor.target, r.processor.flag()); });
  if (r.json) return print_json(as_json(p));
  print(p);
}

struct CostTableRun {
  explicit CostTableRun(CLI::App& command) : options(command) {}

  Options options;
  Processor processor;
  std::string out;
};

void run(CostTableRun& r) {
  r.options.apply();
  r.processor.check("cost-table");
  if (r.out.empty()) bad_input("cost-table: --out is missing: expected a file, such as {}.toml", r.processor.target);
  io::check_file(r.out);
  CostTable costs;
  interruptible([&] { costs = measure_costs(r.processor.target, r.processor.flag()); });
  const std::string command =
      fmt::format("mixgrad cost-table --target {} --optimization {}", r.processor.target, r.processor.optimization);
  io::write_file(r.out, cost::to_toml(costs.table, "Made by " + command));
  fmt::print("{}: costs of {} operators\n", r.out, costs.table.operators.size());
  fmt::print("{}, which was not used for it: {:.0f} {} by the table, {:.0f} measured ({:+.1f}%)\n",
             CostTable::held_against, costs.predicted, costs.table.unit, costs.measured,
             100 * (costs.predicted / costs.measured - 1));
}

}  // namespace

void add_profile(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "profile",
      "count the instructions of the C package on an emulated processor, or its cycles here, layer by layer, and its "
      "memory");
  const auto r = std::make_shared<ProfileRun>(*command);
  command->add_option("DIR", r->folder, "folder of a run")->type_name("");
  r->processor.add_to(r->options);
  add_pack_activations(r->options, r->pack_activations);
  r->options.add("json", &r->json, "print one JSON object");
  show_examples(*command, {"mixgrad profile RUN --target cortex-m4"});
  command->callback([r] { run(*r); });
}

void add_cost_table(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "cost-table", "measure what the operators of C packages take on a processor, as costs for searches");
  const auto r = std::make_shared<CostTableRun>(*command);
  r->processor.add_to(r->options);
  r->options.add("out", &r->out, "file to write", file_form);
  show_examples(*command, {"mixgrad cost-table --target cortex-m4 --out m4.toml",
                           "mixgrad search --weight-bits 0,4,8 --target table:m4.toml=60% --out found"});
  command->callback([r] { run(*r); });
}

}  // namespace mixgrad::cli
