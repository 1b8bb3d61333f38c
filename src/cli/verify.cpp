// SPDX-License-Identifier: Apache-2.0
#include "verify.h"

#include "commands.h"
#include "finished.h"
#include "interrupt.h"
#include "json.h"
#include "options.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/run_folder.h>

#include <src/internal/names.h>

#include <fmt/core.h>

#include <memory>
#include <optional>

namespace mixgrad::cli {
namespace {

struct Verify {
  explicit Verify(CLI::App& command) : options(command) {}

  Options options;
  std::string folder, data;
  int64_t images = 0, c_images = 20;
  int threads = 0;
  bool no_c = false, json = false, skip_unreadable = false, pack_activations = false;
};

struct Result {
  Agreement agreement;
  DeviceBytes bytes;
  std::optional<CPackageRun> c;  ///< unset: left out, or no compiler found
};

void print(const Agreement& agreement, const DeviceBytes& bytes) {
  fmt::print("{:<32} {:>14} {:>12} {:>18}\n", "tensor", "codes", "equal", "largest difference");
  for (const TensorAgreement& t : agreement.tensors) {
    const double equal = 100.0 * static_cast<double>(t.equal) / static_cast<double>(t.codes);
    fmt::print("{:<32} {:>14} {:>11.4f}% {:>18}\n", on_one_line(t.name), t.codes, equal, t.largest_difference);
  }
  fmt::print("\nsame top-1 on {} of {} images; results differ by at most {:.2g} of their range\n", agreement.same_top1,
             agreement.images, agreement.result_difference);
  fmt::print("bytes on a device: {} of constants, {} of activations\n", bytes.constants(), bytes.arena);
  fmt::print("  constants: weights {}, biases {}, multipliers {}, shifts {}, tables {}\n", bytes.weights, bytes.biases,
             bytes.multipliers, bytes.shifts, bytes.tables);
}

std::string about(const std::optional<CPackageRun>& c) {
  if (!c) return "C package: not compared: no C compiler found";
  return fmt::format("C package, built by {}: outputs equal the integer engine's on {} of {} images", c->compiler,
                     c->equal, c->images);
}

void print_as_json(const Result& result) {
  auto tensors = nlohmann::ordered_json::array();
  for (const TensorAgreement& t : result.agreement.tensors) {
    tensors.push_back(
        {{"name", t.name}, {"codes", t.codes}, {"equal", t.equal}, {"largest_difference", t.largest_difference}});
  }
  const DeviceBytes& b = result.bytes;
  nlohmann::ordered_json c;
  if (result.c) c = {{"compiler", result.c->compiler}, {"images", result.c->images}, {"equal", result.c->equal}};
  print_json({{"tensors", tensors},
              {"images", result.agreement.images},
              {"same_top1", result.agreement.same_top1},
              {"result_difference", result.agreement.result_difference},
              {"c_package", c},
              {"device_bytes",
               {{"weights", b.weights},
                {"biases", b.biases},
                {"multipliers", b.multipliers},
                {"shifts", b.shifts},
                {"tables", b.tables},
                {"constants", b.constants()},
                {"arena", b.arena}}}});
}

void check(const Verify& verify) {
  if (verify.folder.empty())
    bad_input("verify: no folder given: expected mixgrad verify DIR with the folder of a search");
  if (verify.images < 0) bad_input("images: {} is not possible: expected 0 (all) or more", verify.images);
  if (verify.c_images < 1)
    bad_input("c-images: {} is not possible: expected at least 1, or --no-c to leave out the C package",
              verify.c_images);
  check_threads(verify.threads);
}

void run(Verify& verify) {
  verify.options.apply();
  check(verify);
  const train::Threads threads(verify.threads);
  const FinishedRun run = load_noting(verify.folder, verify.data, verify.skip_unreadable);
  IntegerNetwork network = to_integer(run.network);
  network.packs_activations = verify.pack_activations;
  const int64_t images = verify.images == 0 ? run.test.size() : verify.images;
  Result result{.agreement = compare(run.network, network, run.test, images), .bytes = device_bytes(network), .c = {}};
  if (!verify.no_c) {
    const std::vector<uint8_t> inputs = first_codes(network, run.test, verify.c_images);
    const CPackage package = c_package(network, run.model, inputs);
    interruptible([&] { result.c = run_c_package(package); });
  }
  if (verify.json) {
    print_as_json(result);
  } else {
    print(result.agreement, result.bytes);
    if (!verify.no_c) fmt::print("{}\n", about(result.c));
  }
  require_equal(result.agreement);
  if (result.c) require_equal(*result.c);
}

}  // namespace

void require_equal(const Agreement& agreement) {
  if (const TensorAgreement* broken = agreement.broken()) {
    failed_run("the integer network differs at '{}': a code is off by {}", broken->name, broken->largest_difference);
  }
  if (agreement.result_broken) {
    failed_run("the integer network's results differ by {:.2g} of their range, though all codes are equal",
               agreement.result_difference);
  }
}

void require_equal(const CPackageRun& c) {
  if (c.equal == c.images) return;
  failed_run("the C package's outputs differ from the integer engine's on {} of {} images", c.images - c.equal,
             c.images);
}

void add_verify(CLI::App& app) {
  CLI::App* command = app.add_subcommand("verify",
                                         "compare the network found by a search with its integer form, code by code, "
                                         "and the integer form with its C package");
  const auto verify = std::make_shared<Verify>(*command);
  command->add_option("DIR", verify->folder, "folder of a run")->type_name("");
  verify->options.add("data", &verify->data, "test images of another data set [the run's own]",
                      run_setting("data").form);
  add_skip_unreadable(verify->options, verify->skip_unreadable);
  verify->options.add("images", &verify->images, "test images to run, 0 for all");
  verify->options.add("c-images", &verify->c_images, "test images to run in the C package");
  add_pack_activations(verify->options, verify->pack_activations);
  verify->options.add("no-c", &verify->no_c,
                      "leave out the C package, which is otherwise built with $CC or cc and run here");
  verify->options.add("threads", &verify->threads, "number of threads, 0 for all cores");
  verify->options.add("json", &verify->json, "print one JSON object");
  show_examples(*command, {"mixgrad verify RUN", "mixgrad verify RUN --images 100 --json"});
  command->callback([verify] { run(*verify); });
}

}  // namespace mixgrad::cli
