// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "options.h"
#include "progress.h"
#include "run_place.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

#include <cstdio>
#include <memory>

namespace mixgrad::cli {
namespace {

struct Search {
  explicit Search(CLI::App& command) : options(command) {}

  void run(const Communicator& communicator);

  Options options;
  RunConfig config;
  RunPlace place;
  bool quiet = false, json = false, data_parallel = false;
};

/// Sends the other processes the checkpoint to start from: an empty one for a new run, an empty string for a finished
/// run.
void tell_start(const RunFolder& folder, const Communicator& communicator) {
  std::string damage;  // reported by the run of rank 0
  const io::Safetensors checkpoint = folder.resumes() ? folder.checkpoint(damage) : io::Safetensors();
  communicator.broadcast(0, folder.finished() ? "" : io::to_bytes(checkpoint, folder.path()));
}

/// Takes part in the run of rank 0, which reports and writes the results.
void take_part(const RunConfig& config, const Communicator& communicator) {
  const std::string start = communicator.broadcast(0, std::string());
  if (start.empty()) return;
  train::Checkpoints checkpoints(io::from_bytes(start, "checkpoint"));
  Progress progress(config, Progress::Show::nothing);
  run_search(config, progress, &checkpoints, &communicator);
}

void Search::run(const Communicator& communicator) {
  options.apply();
  if (communicator.size() > 1 && !data_parallel)
    bad_input(
        "search: started as one of {} processes: expected --data-parallel, which distributes every step over them, or "
        "mixgrad sweep",
        communicator.size());
  if (communicator.size() > 1 && config.threads == 0) config.threads = communicator.cores();
  config.validate();
  if (communicator.rank() > 0) return take_part(config, communicator);
  const std::string path = place.path();
  RunFolder folder(path, place.options);
  tell_start(folder, communicator);
  if (folder.finished()) return place.say_finished();
  const RunResult result = [&] {
    Progress progress(config, quiet || json ? Progress::Show::notes : Progress::Show::all);
    return run_in_folder(config, folder, progress, communicator.size() > 1 ? &communicator : nullptr,
                         report::write_page);
  }();
  if (json) {
    std::fputs(summary(config, result).c_str(), stdout);
  } else {
    if (!quiet) std::printf("\n");
    std::fputs(report::table(config, result).c_str(), stdout);
    if (!quiet) std::printf("\nwritten to %s\nreport: %s/report.html\n", path.c_str(), path.c_str());
  }
  if (result.interrupted)
    fmt::print(stderr, "mixgrad: interrupted: the network found so far is complete, tested and saved in {}\n", path);
}

void add_options(Search& s) {
  Options& o = s.options;
  o.add_effort(s.config);
  for (const Setting& setting : run_settings()) o.add(setting, s.config);
  s.place.add_to(o);
  o.add("quiet", &s.quiet, "print the final table only");
  o.add("data-parallel", &s.data_parallel,
        "under mpirun: distribute the images of every search and fine-tuning step over the processes");
  o.add("json", &s.json, "print the run's summary.json only");
  o.add_config_file();
}

}  // namespace

void add_search(CLI::App& app, const Communicator& communicator) {
  CLI::App* command =
      app.add_subcommand("search", "train a network, search its bit-widths, then export and fine-tune the result");
  const auto search = std::make_shared<Search>(*command);
  add_options(*search);
  show_examples(*command, {"mixgrad search --target size=30% --out run",
                           "mixgrad search --data cifar10:DIR --scheme per-layer --act-bits 4,8",
                           "mixgrad search --data cifar10:DIR --out runs/a --resume"});
  command->callback([search, &communicator] { search->run(communicator); });
}

}  // namespace mixgrad::cli
