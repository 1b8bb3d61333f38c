// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/report.h>

#include <fmt/core.h>

#include <memory>

namespace mixgrad::cli {
namespace {

struct Eval {
  explicit Eval(CLI::App& command) : options(command) {}

  Options options;
  std::string folder, data;
  int threads = 0;
};

void run(Eval& eval) {
  eval.options.apply();
  if (eval.folder.empty()) bad_input("eval: no folder given: expected mixgrad eval DIR, DIR being what search wrote to");
  check_threads(eval.threads);
  train::set_threads(eval.threads);
  fmt::print("{:.4f}\n", report::evaluate_run(eval.folder, eval.data).accuracy());
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "print an exported network's accuracy on a test set, as a fraction of 1");
  const auto eval = std::make_shared<Eval>(*command);
  command->add_option("DIR", eval->folder, "folder of a run");
  eval->options.add("data", &eval->data, "glyphs, or cifar10:DIR [the run's own]");
  eval->options.add("threads", &eval->threads, "0 for all cores");
  command->callback([eval] { run(*eval); });
}

}  // namespace mixgrad::cli
