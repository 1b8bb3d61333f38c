// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <src/report/page_data.h>

#include <mixgrad/run_folder.h>

/// Lines of a run's metrics and history, and the summary of a run, as shown by a report.
void mixgrad::fuzz::read_run(const Folder& folder, std::string_view bytes) {
  folder.put("summary.json", bytes);
  const std::string history = folder.put("history.jsonl", bytes);
  if (bytes.find("\"alphas\"") == bytes.npos) {
    evaluate_run(load_run(folder.path(), "glyphs:40"));
  } else {
    report::read_replay(history);
    read_history(folder.path());
  }
}
