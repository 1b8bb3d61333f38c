// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "finished.h"
#include "json.h"
#include "options.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/profile.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

namespace mixgrad::cli {
namespace {

struct ProfileRun {
  explicit ProfileRun(CLI::App& command) : options(command) {}

  Options options;
  std::string folder, target, optimization = "2";
  bool json = false;
};

double per_mac(int64_t instructions, int64_t macs) {
  return macs == 0 ? 0 : static_cast<double>(instructions) / static_cast<double>(macs);
}

void print(const Profile& p) {
  size_t width = 5;
  for (const Profile::Operator& o : p.operators) width = std::max(width, o.name.size());
  fmt::print("{:<{}}  {:>12}  {:>12}  {:>7}\n", "layer", width, "instructions", "MACs", "per MAC");
  const auto row = [&](const std::string& name, int64_t instructions, int64_t macs) {
    const std::string ratio = macs == 0 ? "" : fmt::format("{:.2f}", per_mac(instructions, macs));
    fmt::print("{:<{}}  {:>12}  {:>12}  {:>7}\n", name, width, instructions, macs == 0 ? "" : fmt::format("{}", macs),
               ratio);
  };
  for (const Profile::Operator& o : p.operators) row(o.name, o.instructions, o.macs);
  row("all", p.instructions, p.macs());
  fmt::print("flash: {} bytes of code, {} of constants; RAM: {} bytes, and {} of stack\n", p.code_bytes,
             p.constant_bytes, p.ram_bytes, p.stack_bytes);
}

nlohmann::ordered_json as_json(const Profile& p) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const Profile::Operator& o : p.operators) {
    layers.push_back({{"name", o.name}, {"op", o.op}, {"instructions", o.instructions}, {"macs", o.macs}});
  }
  return {{"instructions", p.instructions},
          {"instructions_per_mac", per_mac(p.instructions, p.macs())},
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
  const std::vector<std::string> targets = profile_targets();
  if (r.target.empty()) bad_input("profile: --target is missing: expected {}", fmt::join(targets, ", "));
  const std::string levels[] = {"0", "1", "2", "3", "s"};
  if (std::ranges::find(levels, r.optimization) == std::end(levels))
    bad_input("optimization: '{}': expected {}", r.optimization, fmt::join(levels, ", "));
  const Profile p = profile(to_integer(load_network(r.folder)), r.target, "-O" + r.optimization);
  if (r.json) return print_json(as_json(p));
  print(p);
}

}  // namespace

void add_profile(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "profile", "count the instructions of the C package on an emulated processor, layer by layer, and its memory");
  const auto r = std::make_shared<ProfileRun>(*command);
  command->add_option("DIR", r->folder, "folder of a run")->type_name("");
  r->options.add("target", &r->target, "processor", fmt::format("{}", fmt::join(profile_targets(), "|")));
  r->options.add("optimization", &r->optimization, "of the compiler", "0|1|2|3|s");
  r->options.add("json", &r->json, "print one JSON object");
  show_examples(*command, {"mixgrad profile RUN --target cortex-m4"});
  command->callback([r] { run(*r); });
}

}  // namespace mixgrad::cli
