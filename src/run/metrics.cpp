// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include <mixgrad/run_folder.h>

#include <string_view>

namespace mixgrad {

nlohmann::ordered_json metrics_of(const train::EpochReport& e) {
  using nlohmann::ordered_json;
  const std::string_view phase = e.phase;
  const bool quantized = phase != "warmup", searching = phase == "search";
  const auto where = [](bool known, double value) { return known ? ordered_json(value) : ordered_json(nullptr); };
  const bool accuracy = e.metric.name == "accuracy";
  return {{"phase", e.phase},
          {"epoch", e.epoch},
          {"task_loss", e.task_loss},
          {"reg_loss", where(searching, e.reg_loss)},
          {"train_metric", e.train_metric},
          {"train_accuracy", where(accuracy, e.train_metric)},
          {"val_loss", e.val_loss},
          {"val_metric", e.val_metric},
          {"val_accuracy", where(accuracy, e.val_metric)},
          {"cost_soft", where(quantized, e.cost_soft)},
          {"cost_discrete", where(quantized, e.cost_discrete)},
          {"tau", where(searching, e.tau)},
          {"entropy", where(searching, e.entropy)},
          {"seconds", e.seconds}};
}

std::string metrics_line(const train::EpochReport& e) { return json_text(metrics_of(e)); }

}  // namespace mixgrad
