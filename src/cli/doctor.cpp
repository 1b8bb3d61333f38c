// SPDX-License-Identifier: Apache-2.0
// mixgrad doctor: whether this build works on this machine, and what its features lack.
#include "commands.h"
#include "interrupt.h"
#include "json.h"
#include "options.h"
#include "verify.h"

#include <mixgrad/data.h>
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/profile.h>
#include <mixgrad/run.h>

#include <fmt/core.h>

#include <functional>
#include <memory>
#include <optional>

namespace mixgrad::cli {
namespace {

/// A feature, tried on a small network.
struct Trial {
  std::string name;
  std::function<void()> run;  ///< throws bad_input that says what is missing; failed_run if it is broken
};

/// A network found by a very short search, with its forms.
struct Sample {
  RunConfig config = {.data = "glyphs:200",
                      .target = "size=40%",
                      .warmup_epochs = 1,
                      .search_epochs = 1,
                      .finetune_epochs = 1,
                      .batch_size = 20};
  std::optional<Graph> found = {};
  std::optional<IntegerNetwork> network = {};
  data::Splits splits = {};

  void search() {
    train::Observer quiet;
    splits = load_data(config);
    found = run_search(config, quiet).network;
  }
  void verify_integers() {
    network = to_integer(found.value());
    require_equal(compare(*found, *network, splits.test));
  }
  void verify_c() {
    const auto ran = run_c_package(c_package(network.value(), "doctor", first_codes(*network, splits.test, 5)));
    if (!ran) bad_input("needs a C compiler: apt-get install gcc libc6-dev");
    require_equal(*ran);
  }
};

std::vector<Trial> trials(Sample& s) {
  std::vector<Trial> out = {
      {"search on drawn digits", [&] { s.search(); }},
      {"integer network", [&] { s.verify_integers(); }},
      {"C package", [&] { s.verify_c(); }},
      {"ONNX files", [&] { to_onnx(s.network.value()); }},
      {"TFLite files", [&] { to_tflite(s.network.value(), first_codes(*s.network, s.splits.test, 5)); }},
      {"JPEG and PNG images",
       [] {
         if (!data::reads_images()) bad_input("not in this build: Meson's option images");
       }},
      {"several processes", [] {
         if (!Communicator::has_mpi()) bad_input("not in this build: Meson's option mpi");
       }}};
  for (const std::string& target : profile_targets())
    out.push_back({"profile on " + target, [&s, target] { profile(s.network.value(), target); }});
  return out;
}

struct Outcome {
  std::string obstacle;  ///< empty if it works
  bool broken = false;   ///< rather than something missing
};

Outcome outcome(const Trial& trial) {
  try {
    interruptible(trial.run);
    return {};
  } catch (const Error& e) {
    return {.obstacle = e.what(), .broken = e.kind() == Error::Kind::failed_run};
  } catch (const std::bad_optional_access&) {
    return {.obstacle = "not tried: needs what is above"};
  }
}

struct Doctor {
  explicit Doctor(CLI::App& command) : options(command) {}

  Options options;
  bool json = false;
};

void run(Doctor& doctor) {
  doctor.options.apply();
  Sample sample;
  std::string broken;
  auto all = nlohmann::ordered_json::array();
  if (!doctor.json) fmt::print("{}\n\n", version_text());
  for (const Trial& trial : trials(sample)) {
    const auto [obstacle, is_broken] = outcome(trial);
    all.push_back({{"feature", trial.name}, {"works", obstacle.empty()}, {"obstacle", obstacle}});
    if (!doctor.json) fmt::print("{:<26}{}\n", trial.name, obstacle.empty() ? "works" : obstacle);
    std::fflush(stdout);
    if (broken.empty() && is_broken) broken = trial.name;
  }
  if (doctor.json) print_json({{"features", all}});
  if (!broken.empty()) failed_run("doctor: {} does not work here: please report it", broken);
}

}  // namespace

void add_doctor(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "doctor", "try every feature on a small network: what works on this machine, and what is missing for the rest");
  const auto doctor = std::make_shared<Doctor>(*command);
  doctor->options.add("json", &doctor->json, "print one JSON object");
  show_examples(*command, {"mixgrad doctor"});
  command->callback([doctor] { run(*doctor); });
}

}  // namespace mixgrad::cli
