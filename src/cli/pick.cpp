// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "found.h"
#include "options.h"
#include "progress.h"
#include "run_place.h"

#include <mixgrad/error.h>
#include <mixgrad/front_run.h>
#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>

#include <memory>
#include <string>

namespace mixgrad::cli {
namespace {

struct Pick {
  explicit Pick(CLI::App& command) : options(command) { config.finetune_epochs = 0; }

  void run();

  Options options;
  std::string front;
  RunConfig config;
  PickBy by = PickBy::losses;
  RunPlace place;
  Amount amount;
};

void Pick::run() {
  if (front.empty()) bad_input("pick: no folder given: expected mixgrad pick DIR with the folder of a front");
  config = settings_from_front(front);
  options.apply();
  config.method = by == PickBy::sensitivity ? Method::sensitivity : Method::fisher;
  if (config.target.empty()) bad_input("pick: --target is missing: expected limits on costs, like size=37%");
  config.validate();
  const std::string path = place.path();
  RunFolder folder(path, place.options);
  if (folder.finished()) return place.say_finished();
  const RunResult result = [&] {
    Progress progress(config, amount.of_progress());
    return run_in_folder(config, folder, progress, nullptr, report::write_page);
  }();
  print_found(config, result, path, amount);
}

}  // namespace

void add_pick(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("pick", "pick the network for a budget from a front (mixgrad front), without a search");
  const auto pick = std::make_shared<Pick>(*command);
  command->add_option("DIR", pick->front, "folder of a front")->type_name("");
  Options& o = pick->options;
  o.add(run_setting("target"), pick->config);
  o.add("pick-by", &pick->by,
        "losses that decide: measured while the front trained, or of each layer now, on some images");
  o.add("finetune-epochs", &pick->config.finetune_epochs, "epochs of training the network picked");
  for (const std::string name : {"search-lr", "distill", "batch-size", "augment", "max-shift", "dtype", "seed"}) {
    o.add(run_setting(name), pick->config);
    command->get_option("--" + name)->default_str(name == "search-lr" ? "a quarter of the front's" : "the front's");
  }
  o.add(run_setting("threads"), pick->config);
  pick->place.add_to(o);
  pick->amount.add_to(o, "print the run's summary.json only");
  o.add_config_file();
  show_examples(*command, {"mixgrad pick front --target size=37%,peak-ram=40KiB --out run",
                           "mixgrad pick front --target table:chip.toml=60% --finetune-epochs 2 --out run"});
  command->callback([pick] { pick->run(); });
}

}  // namespace mixgrad::cli
