// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "data_parallel.h"
#include "dry_run.h"
#include "found.h"
#include "options.h"
#include "progress.h"
#include "run_place.h"

#include <mixgrad/error.h>
#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>

#include <memory>

namespace mixgrad::cli {
namespace {

struct Search {
  Search(CLI::App& command, const Communicator& communicator) : options(command), processes("search", communicator) {}

  void run();
  void run_dry();

  Options options;
  RunConfig config;
  RunPlace place;
  Amount amount;
  DataParallel processes;
  bool dry = false;
};

void Search::run() {
  options.apply();
  if (dry) return run_dry();
  processes.run(
      config, place,
      [this](Progress& progress, train::Checkpoints& start) {
        run_search(config, progress, &start, processes.communicator());
      },
      [this](RunFolder& folder, const std::string& path) {
        const RunResult result = [&] {
          Progress progress(config, amount.of_progress());
          if (folder.reports_epochs()) progress.announce_page(path + "/report.html");
          return run_in_folder(config, folder, progress, processes.communicator(), report::write_page);
        }();
        print_found(config, result, path, amount);
      });
}

void Search::run_dry() {
  if (processes.communicator() != nullptr)
    bad_input("dry-run: started as one of {} processes: expected one", processes.communicator()->size());
  if (place.options.resume || place.options.overwrite)
    bad_input("dry-run: writes nothing: expected no --resume and no --overwrite");
  Progress progress(config, amount.of_progress());
  print_dry_run(config, dry_run(config, progress), amount.json);
}

void add_options(Search& s) {
  Options& o = s.options;
  o.add_presets(s.config);
  for (const Setting& setting : run_settings()) {
    if (setting.in_search) o.add(setting, s.config);
  }
  s.place.add_to(o);
  s.processes.add_to(o);
  o.add("dry-run", &s.dry,
        "take a few steps of each phase, print what the run would take in time and memory and which costs are within "
        "reach, and write nothing");
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
                           "mixgrad search --data cifar10:DIR --out runs/a --resume",
                           "mixgrad search --data cifar10:DIR --target flash=64KiB --dry-run"});
  command->callback([search] { search->run(); });
}

}  // namespace mixgrad::cli
