// SPDX-License-Identifier: Apache-2.0
#include "dry_run.h"

#include "json.h"
#include "progress.h"

#include <src/internal/names.h>
#include <src/internal/text.h>

#include <fmt/core.h>

namespace mixgrad::cli {
namespace {

using nlohmann::ordered_json;
using report::grouped;

ordered_json dry_run_json(const DryRun& r) {
  ordered_json phases = ordered_json::array(), targets = ordered_json::array();
  for (const DryRun::Phase& p : r.phases)
    phases.push_back(
        {{"phase", p.name}, {"epochs", p.epochs}, {"steps", p.steps}, {"step_ms", p.step_ms}, {"seconds", p.seconds}});
  for (const DryRun::Bound& b : r.targets) {
    const auto or_null = [&](double CostRange::*end) {
      return b.range ? ordered_json((*b.range).*end) : ordered_json();
    };
    targets.push_back({{"cost", b.target.model.name},
                       {"unit", b.target.model.unit},
                       {"limit", b.target.limit},
                       {"least", or_null(&CostRange::least)},
                       {"most", or_null(&CostRange::most)}});
  }
  return {{"training_images", r.training_images},
          {"validation_images", r.validation_images},
          {"test_images", r.test_images},
          {"phases", phases},
          {"seconds", r.seconds},
          {"peak_rss_mib", r.peak_rss_mib},
          {"targets", targets}};
}

void print_phases(const DryRun& r) {
  fmt::print("{:<16}{:>8}{:>14}{:>12}{:>10}\n", "phase", "epochs", "steps each", "ms a step", "time");
  for (const DryRun::Phase& p : r.phases)
    fmt::print("{:<16}{:>8}{:>14}{:>12.1f}{:>10}\n", p.name, p.epochs, grouped(static_cast<double>(p.steps)), p.step_ms,
               minutes(p.seconds));
  fmt::print("{:<50}{:>10}\n", "the whole run, tests included, about", minutes(r.seconds));
  fmt::print("{:<50}{:>6.0f} MiB\n\n", "memory, about", r.peak_rss_mib);
}

void print_targets(const DryRun& r) {
  if (r.targets.empty()) return;
  fmt::print("{:<26}{:>14}{:>17}{:>17}\n", "target", "limit", "least possible", "at the most bits");
  for (const DryRun::Bound& b : r.targets) {
    const cost::Model& model = b.target.model;
    const std::string name = fmt::format("{} ({})", model.name, model.unit);
    fmt::print("{:<26}{:>14}{:>17}{:>17}\n", name, grouped(b.target.limit), b.range ? grouped(b.range->least) : "-",
               b.range ? grouped(b.range->most) : "-");
  }
  fmt::print("\n");
}

}  // namespace

void print_dry_run(const RunConfig& config, const DryRun& r, bool json) {
  if (json) return print_json(dry_run_json(r));
  const auto count = [](int64_t images) { return grouped(static_cast<double>(images)); };
  fmt::print("{} on {}\n", on_one_line(config.model), on_one_line(config.data));
  fmt::print("images {}: {} for training, {} for validation, {} for the test\n\n", r.image.str(),
             count(r.training_images), count(r.validation_images), count(r.test_images));
  print_phases(r);
  print_targets(r);
  fmt::print("nothing was written: run it without --dry-run\n");
}

}  // namespace mixgrad::cli
