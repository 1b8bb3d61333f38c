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
  train::Confusion confusion;
  const train::Score score = evaluate_run(run, eval.json ? &confusion : nullptr);
  if (eval.json) {
    nlohmann::ordered_json out = json_of(score);
    out["images"] = score.images;
    if (confusion.of_positions()) out["pixel_accuracy"] = confusion.accuracy();
    if (!confusion.empty()) add_confusion(out, confusion);
    return print_json(out);
  }
  fmt::print("{:.4f}\n", score.value());
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "eval",
      "evaluate an exported network on a test set: the metric of its task, such as accuracy as a fraction of 1");
  const auto eval = std::make_shared<Eval>(*command);
  command->add_option("DIR", eval->folder, "folder of a run")->type_name("");
  eval->options.add("data", &eval->data, "test images of another data set [the run's own]", run_setting("data").form);
  add_skip_unreadable(eval->options, eval->skip_unreadable);
  eval->options.add("threads", &eval->threads, "number of threads, 0 for all cores");
  eval->options.add("json", &eval->json,
                    "print one JSON object, with loss, number of images and, for classes, figures per class");
  show_examples(*command, {"mixgrad eval RUN", "mixgrad eval RUN --data cifar10:DIR --json"});
  command->callback([eval] { run(*eval); });
}

}  // namespace mixgrad::cli
