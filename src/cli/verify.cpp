// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "json.h"
#include "settings.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/report.h>

#include <fmt/core.h>

#include <memory>

namespace mixgrad::cli {
namespace {

struct Verify {
  explicit Verify(CLI::App& command) : options(command) {}

  Options options;
  std::string folder, data;
  int64_t images = 0;
  int threads = 0;
  bool json = false;
};

void print(const Agreement& agreement, const DeviceBytes& bytes) {
  fmt::print("{:<32} {:>14} {:>12} {:>18}\n", "tensor", "codes", "equal", "largest difference");
  for (const TensorAgreement& t : agreement.tensors) {
    fmt::print("{:<32} {:>14} {:>11.4f}% {:>18}\n", t.name, t.codes, 100.0 * static_cast<double>(t.equal) / static_cast<double>(t.codes), t.largest_difference);
  }
  fmt::print("\nsame top-1 on {} of {} images; results differ by at most {:.2g} of their range\n", agreement.same_top1, agreement.images, agreement.result_difference);
  fmt::print("bytes on a device: {} of constants, {} of activations\n", bytes.constants(), bytes.arena);
  fmt::print("  constants: weights {}, biases {}, multipliers {}, shifts {}\n", bytes.weights, bytes.biases, bytes.multipliers, bytes.shifts);
}

void print_as_json(const Agreement& agreement, const DeviceBytes& b) {
  auto tensors = nlohmann::ordered_json::array();
  for (const TensorAgreement& t : agreement.tensors) {
    tensors.push_back({{"name", t.name}, {"codes", t.codes}, {"equal", t.equal}, {"largest_difference", t.largest_difference}});
  }
  print_json({{"tensors", tensors}, {"images", agreement.images}, {"same_top1", agreement.same_top1}, {"result_difference", agreement.result_difference},
              {"device_bytes", {{"weights", b.weights}, {"biases", b.biases}, {"multipliers", b.multipliers}, {"shifts", b.shifts},
                                {"constants", b.constants()}, {"arena", b.arena}}}});
}

void run(Verify& verify) {
  verify.options.apply();
  if (verify.folder.empty()) bad_input("verify: no folder given: expected mixgrad verify DIR, DIR being what search wrote to");
  if (verify.images < 0) bad_input("images: {} is below 0", verify.images);
  check_threads(verify.threads);
  train::set_threads(verify.threads);
  const report::FinishedRun run = report::load_run(verify.folder, verify.data);
  const IntegerNetwork network = to_integer(run.network);
  const Agreement agreement = compare(run.network, network, run.test, verify.images == 0 ? run.test.size() : verify.images);
  (verify.json ? print_as_json : print)(agreement, device_bytes(network));
  if (const TensorAgreement* broken = agreement.broken()) {
    failed_run("verify: the integer network differs at '{}': a code is off by {}", broken->name, broken->largest_difference);
  }
}

}  // namespace

void add_verify(CLI::App& app) {
  CLI::App* command = app.add_subcommand("verify", "compare an exported network with its integer form, code by code; fails where one is off by more than 1");
  const auto verify = std::make_shared<Verify>(*command);
  command->add_option("DIR", verify->folder, "folder of a run")->type_name("");
  verify->options.add("data", &verify->data, "test images of another data set [the run's own]", data_form());
  verify->options.add("images", &verify->images, "test images to run, 0 for all");
  verify->options.add("threads", &verify->threads, "0 for all cores");
  verify->options.add("json", &verify->json, "print one JSON object");
  show_examples(*command, {"mixgrad verify RUN", "mixgrad verify RUN --images 100 --json"});
  command->callback([verify] { run(*verify); });
}

}  // namespace mixgrad::cli
