// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "options.h"
#include "progress.h"
#include "run_place.h"

#include <mixgrad/report.h>

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
  bool quiet = false;
};

void Train::run() {
  options.apply();
  config.search_epochs = config.finetune_epochs = 0;
  config.validate();
  const std::string path = place.path();
  report::RunFolder folder(path, place.options);
  if (folder.finished()) return place.say_finished();
  const FloatResult result = [&] {
    Progress progress(config, quiet);
    return report::train_in_folder(config, folder, progress);
  }();
  fmt::print("{}, weights in {}/float.safetensors\n", result.test.classifies ? fmt::format("accuracy {:.4f}", result.test.accuracy()) : fmt::format("mean squared error {:.4f}", result.test.mean_loss()), path);
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "train a float network and leave its weights for search --init");
  const auto train = std::make_shared<Train>(*command);
  RunConfig& c = train->config;
  Options& o = train->options;
  o.add("model", &c.model, "network to train, or FILE.onnx to train further");
  o.add("data", &c.data, data::sources());
  o.add("val-split", &c.val_split, "share of the training images held out for choosing the best epoch");
  o.add("epochs", &c.warmup_epochs, "passes over the training images");
  o.add("batch-size", &c.batch_size, "images per step");
  o.add("lr", &c.lr, "learning rate at its highest");
  o.add("seed", &c.seed, "of everything random");
  o.add("threads", &c.threads, "0 for all cores");
  train->place.add_to(o);
  o.add("quiet", &train->quiet, "print the last line only");
  o.add_config_file();
  command->callback([train] { train->run(); });
}

}  // namespace mixgrad::cli
