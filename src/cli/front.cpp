// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "data_parallel.h"
#include "found.h"
#include "options.h"
#include "progress.h"
#include "run_place.h"

#include <mixgrad/front_run.h>
#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

#include <memory>

namespace mixgrad::cli {
namespace {

struct TrainFront {
  TrainFront(CLI::App& command, const Communicator& communicator) : options(command), processes("front", communicator) {
    set_front_effort(config, Effort::quick);  // as help shows
  }

  void run();
  void print(const FrontResult& result, const std::string& path) const;

  Options options;
  RunConfig config;
  RunPlace place;
  Amount amount;
  DataParallel processes;
};

void TrainFront::print(const FrontResult& result, const std::string& path) const {
  if (result.interrupted) {
    fmt::print(stderr, "mixgrad: interrupted: {} keeps a checkpoint: continue with --resume\n", path);
  } else if (amount.json) {
    std::fputs(report::front_json(result).c_str(), stdout);
  } else {
    fmt::print("{}{}", amount.quiet ? "" : "\n", report::table(result));
    if (!amount.quiet)
      fmt::print("\nwritten to {0}; next: mixgrad pick {0} --target ...\nreport: {0}/report.html\n", path);
  }
}

void TrainFront::run() {
  options.apply();
  processes.run(
      config, place,
      [this](Progress& progress, train::Checkpoints& start) {
        run_front(config, progress, &start, processes.communicator());
      },
      [this](RunFolder& folder, const std::string& path) {
        const FrontResult result = [&] {
          Progress progress(config, amount.of_progress(), front_phases(config));
          if (folder.reports_epochs()) progress.announce_page(path + "/report.html");
          return front_in_folder(config, folder, progress, processes.communicator(), report::write_page);
        }();
        print(result, path);
      });
}

void add_options(TrainFront& t) {
  Options& o = t.options;
  o.add_presets(t.config, set_front_effort);
  for (const Setting& setting : run_settings()) {
    if (setting.in_front == Setting::InFront::no) continue;
    const bool of_segments = setting.name == "finetune-epochs";
    o.add(setting, t.config, of_segments ? "epochs of training each segment between two budgets" : "");
  }
  t.place.add_to(o);
  t.processes.add_to(o);
  t.amount.add_to(o, "print the points of the front as JSON only");
  o.add_config_file();
}

}  // namespace

void add_front(CLI::App& app, const Communicator& communicator) {
  CLI::App* command =
      app.add_subcommand("front", "train for all budgets at once: networks are picked later (mixgrad pick)");
  const auto train = std::make_shared<TrainFront>(*command, communicator);
  add_options(*train);
  show_examples(*command, {"mixgrad front --data cifar10:DIR --weight-bits 0,2,4,8 --out front",
                           "mixgrad front --costs size,macs --act-bits 4,8 --out front"});
  command->callback([train] { train->run(); });
}

}  // namespace mixgrad::cli
