// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "finished.h"
#include "json.h"
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/train.h>

#include <fmt/core.h>

#include <memory>

namespace mixgrad::cli {
namespace {

struct Eval {
  explicit Eval(CLI::App& command) : options(command) {}

  Options options;
  std::string folder, data;
  int threads = 0;
  bool json = false, skip_unreadable = false;
};

void run(Eval& eval) {
  eval.options.apply();
  if (eval.folder.empty()) bad_input("eval: no folder given: expected mixgrad eval DIR with the folder of a search");
  check_threads(eval.threads);
  const train::Threads threads(eval.threads);
  const FinishedRun run = load_noting(eval.folder, eval.data, eval.skip_unreadable);
  const train::Score score = train::evaluate(run.network, run.test);
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
  add_skip_unreadable(eval->options, eval->skip_unreadable);
  eval->options.add("threads", &eval->threads, "number of threads, 0 for all cores");
  eval->options.add("json", &eval->json, "print one JSON object, with loss and number of images");
  show_examples(*command, {"mixgrad eval RUN", "mixgrad eval RUN --data cifar10:DIR --json"});
  command->callback([eval] { run(*eval); });
}

}  // namespace mixgrad::cli
