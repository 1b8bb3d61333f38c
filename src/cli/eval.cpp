// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "json.h"
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

#include <memory>

namespace mixgrad::cli {
namespace {

struct Eval {
  explicit Eval(CLI::App& command) : options(command) {}

  Options options;
  std::string folder, data;
  int threads = 0;
  bool json = false;
};

void run(Eval& eval) {
  eval.options.apply();
  if (eval.folder.empty()) bad_input("eval: no folder given: expected mixgrad eval DIR with the folder of a search");
  check_threads(eval.threads);
  const train::Threads threads(eval.threads);
  const train::Score score = evaluate_run(eval.folder, eval.data);
  if (eval.json) {
    nlohmann::ordered_json out = json_of(score);
    out["images"] = score.images;
    return print_json(out);
  }
  fmt::print("{:.4f}\n", score.value());
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "eval", "evaluate an exported network on a test set: accuracy as a fraction of 1, or mean squared error");
  const auto eval = std::make_shared<Eval>(*command);
  command->add_option("DIR", eval->folder, "folder of a run")->type_name("");
  eval->options.add("data", &eval->data, "test images of another data set [the run's own]", run_setting("data").form);
  eval->options.add("threads", &eval->threads, "number of threads, 0 for all cores");
  eval->options.add("json", &eval->json, "print one JSON object, with loss and number of images");
  show_examples(*command, {"mixgrad eval RUN", "mixgrad eval RUN --data cifar10:DIR --json"});
  command->callback([eval] { run(*eval); });
}

}  // namespace mixgrad::cli
