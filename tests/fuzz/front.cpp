// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <src/report/page_data.h>

#include <mixgrad/front_run.h>

namespace mixgrad::fuzz {

/// A front, and picking from it.
void read_front(const Folder& folder, std::string_view bytes) {
  folder.put("front.safetensors", bytes);
  const TrainedFront trained = mixgrad::read_front(folder.path());
  settings_from_front(folder.path());
  const mixgrad::Target half{.model = cost::size(),
                             .limit = 0.5 * cost::discrete(trained.front.segments[0].searched, cost::size())};
  pick(trained.front, {&half, 1});
}

/// The table of a front, as shown by a report.
void read_front_table(const Folder& folder, std::string_view bytes) {
  folder.put("table/metrics.jsonl", "");
  folder.put("table/front.csv", bytes);
  report::front_data(folder.path() + "/table", {});
}

}  // namespace mixgrad::fuzz
