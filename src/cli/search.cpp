// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "data_parallel.h"
#include "found.h"
#include "options.h"
#include "progress.h"
#include "run_place.h"

#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>

#include <memory>

namespace mixgrad::cli {
namespace {

struct Search {
  Search(CLI::App& command, const Communicator& communicator) : options(command), processes("search", communicator) {}

  void run();

  Options options;
  RunConfig config;
  RunPlace place;
  Amount amount;
  DataParallel processes;
};

void Search::run() {
  options.apply();
  processes.apply(config);
  config.validate();
  if (!processes.leads()) {
    return processes.take_part([&](train::Checkpoints& checkpoints) {
      Progress progress(config, Progress::Show::nothing);
      run_search(config, progress, &checkpoints, processes.communicator());
    });
  }
  const std::string path = place.path();
  RunFolder folder(path, place.options);
  processes.tell_start(folder);
  if (folder.finished()) return place.say_finished();
  const RunResult result = [&] {
    Progress progress(config, amount.shows_progress() ? Progress::Show::all : Progress::Show::notes);
    return run_in_folder(config, folder, progress, processes.communicator(), report::write_page);
  }();
  print_found(config, result, path, amount);
}

void add_options(Search& s) {
  Options& o = s.options;
  o.add_presets(s.config);
  for (const Setting& setting : run_settings()) {
    if (setting.in_search) o.add(setting, s.config);
  }
  s.place.add_to(o);
  s.processes.add_to(o);
  s.amount.add_to(o, "print the run's summary.json only");
  o.add_config_file();
}

}  // namespace

void add_search(CLI::App& app, const Communicator& communicator) {
  CLI::App* command =
      app.add_subcommand("search", "train a network, search its bit-widths, then export and fine-tune the result");
  const auto search = std::make_shared<Search>(*command, communicator);
  add_options(*search);
  show_examples(*command, {"mixgrad search --target size=30% --out run",
                           "mixgrad search --data cifar10:DIR --scheme per-layer --act-bits 4,8",
                           "mixgrad search --data cifar10:DIR --out runs/a --resume"});
  command->callback([search] { search->run(); });
}

}  // namespace mixgrad::cli
