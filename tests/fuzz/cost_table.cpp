// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/cost.h>

void mixgrad::fuzz::read_cost_table(const Folder& folder, std::string_view bytes) {
  cost::find("table:" + folder.put("t.toml", bytes));
}
