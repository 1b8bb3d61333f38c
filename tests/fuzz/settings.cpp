// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <src/cli/settings.h>

/// The file of --config, and the checks of a search's settings before it starts.
void mixgrad::fuzz::read_settings(const Folder& folder, std::string_view bytes) {
  CLI::App app;
  cli::Options options(app);
  RunConfig config;
  cli::add_search_settings(options, config);
  options.add_config_file();
  app.parse(std::vector<std::string>{folder.put("t.toml", bytes), "--config"});  // CLI11 reads from the back
  options.apply();
  config.validate();
  options.toml();
}
