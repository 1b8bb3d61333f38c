// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "options.h"
#include "json.h"
#include "progress.h"
#include "run_place.h"

#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

#include <memory>

namespace mixgrad::cli {
namespace {

struct Train {
  explicit Train(CLI::App& command) : options(command) {}

  void run();

  Options options;
  RunConfig config;
  RunPlace place;
  bool quiet = false, json = false;
};

void Train::run() {
  options.apply();
  config.search_epochs = config.finetune_epochs = 0;
  config.validate();
  const std::string path = place.path();
  RunFolder folder(path, place.options);
  if (folder.finished()) return place.say_finished();
  const FloatResult result = [&] {
    Progress progress(config, quiet || json ? Progress::Show::notes : Progress::Show::all);
    return train_in_folder(config, folder, progress);
  }();
  const std::string weights = path + "/float.safetensors", sum = checksum(result);
  if (json) {
    nlohmann::ordered_json out = json_of(result.test);
    out["weights"] = weights;
    out["checksum"] = sum;
    out["kept_start"] = result.kept_start;
    out["interrupted"] = result.interrupted;
    print_json(out);
  } else {
    const std::string quality = fmt::format("{} {:.4f}", result.test.metric.name, result.test.value());
    if (result.kept_start && !quiet)
      fmt::print("no epoch was as good on the validation images, so the initial network is kept\n");
    fmt::print("{}, weights in {} (checksum {})\n", quality, weights, sum);
  }
  if (result.interrupted) fmt::print(stderr, "mixgrad: interrupted: the weights trained so far are in {}\n", weights);
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "train a float network and save its weights for search --init");
  const auto train = std::make_shared<Train>(*command);
  Options& o = train->options;
  o.add_in_train(train->config);
  train->place.add_to(o);
  o.add("quiet", &train->quiet, "print the last line only");
  o.add("json", &train->json, "print one JSON object only");
  o.add_config_file();
  show_examples(*command, {"mixgrad train --data cifar10:DIR --epochs 12 --out float",
                           "mixgrad search --data cifar10:DIR --init float/float.safetensors --out found"});
  command->callback([train] { train->run(); });
}

}  // namespace mixgrad::cli
