// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/settings.h>

/// The file of --config, and the checks of a search's settings before it starts.
void mixgrad::fuzz::read_settings(const Folder& folder, std::string_view bytes) {
  RunConfig config;
  std::vector<NamedVariable> variables;
  for (const Setting& setting : run_settings()) variables.push_back(setting.of(config));
  set_from_toml(variables, folder.put("t.toml", bytes));
  config.validate();
  search_toml(config);
}
