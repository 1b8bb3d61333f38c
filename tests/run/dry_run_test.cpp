// SPDX-License-Identifier: Apache-2.0
#include "../refusal.h"

#include <mixgrad/dry_run.h>
#include <mixgrad/run.h>

#include <doctest/doctest.h>

#include <map>
#include <string>

using namespace mixgrad;
using test::refusal;

namespace {

RunConfig small() {
  return {.data = "glyphs:400",
          .weight_bits = {0, 2, 8},
          .target = "size=40%",
          .warmup_epochs = 3,
          .search_epochs = 2,
          .finetune_epochs = 5,
          .batch_size = 20,
          .threads = 1};
}

/// Epochs by phase.
std::map<std::string, int> phases(const RunConfig& config) {
  train::Observer quiet;
  std::map<std::string, int> out;
  for (const DryRun::Phase& p : dry_run(config, quiet).phases) out[p.name] = p.epochs;
  return out;
}

/// The epochs and the steps of an epoch that a run of these settings really takes, by phase.
struct Counted : train::Observer {
  std::map<std::string, int> epochs;
  std::map<std::string, int64_t> steps;
  void on_epoch(const train::EpochReport& e) override { ++epochs[e.phase]; }
  void on_step(const train::StepReport& s) override { steps[s.phase] = s.steps; }
};

}  // namespace

TEST_CASE("a dry run tells of the phases, images and targets of the run") {
  const RunConfig config = small();
  train::Observer quiet;
  const DryRun r = dry_run(config, quiet);
  Counted run;
  const RunResult result = run_search(config, run);
  CHECK(r.image == Shape{3, 32, 32});
  CHECK(r.training_images == 360);
  CHECK(r.validation_images == 40);
  CHECK(r.test_images == result.test_images);
  CHECK(r.phases.size() == 3);
  double seconds = 0;
  for (const DryRun::Phase& p : r.phases) {
    CHECK_MESSAGE(p.epochs == run.epochs[p.name], p.name);
    CHECK_MESSAGE(p.steps == run.steps[p.name], p.name);
    CHECK(p.seconds >= p.epochs * static_cast<double>(p.steps) * p.step_ms / 1e3);
    seconds += p.seconds;
  }
  CHECK(r.seconds > seconds);
  CHECK(r.peak_rss_mib > 0);

  REQUIRE(r.targets.size() == 1);
  REQUIRE(r.targets[0].range);
  CHECK(r.targets[0].target.limit == result.targets[0].limit);
  CHECK(r.targets[0].range->least < 0.05 * r.targets[0].range->most);  // channels may be pruned
  CHECK(r.targets[0].range->most == result.costs[0].uniform8);
}

TEST_CASE("a dry run leaves out phases that the run does not have") {
  RunConfig config = small();
  config.search_epochs = 0;
  CHECK(phases(config) == std::map<std::string, int>{{"warmup", 3}, {"finetune", 5}});
  config = small();
  config.weight_bits = {2, 8};
  config.method = Method::uniform;  // fine-tunes while others search
  CHECK(phases(config) == std::map<std::string, int>{{"warmup", 3}, {"finetune", 7}});
  train::Observer quiet;
  CHECK_FALSE(dry_run(config, quiet).targets[0].range);
  config.method = Method::sensitivity;
  CHECK(phases(config) == std::map<std::string, int>{{"warmup", 3}, {"finetune", 7}});
}

TEST_CASE("a dry run of fewer steps than it would time takes these") {
  RunConfig config = small();
  config.batch_size = 360;
  config.warmup_epochs = config.search_epochs = config.finetune_epochs = 1;
  CHECK(phases(config) == std::map<std::string, int>{{"warmup", 1}, {"search", 1}, {"finetune", 1}});
}

TEST_CASE("a dry run refuses what the run would refuse") {
  RunConfig config = small();
  config.weight_bits = {4, 8};
  const auto expected = [&] {
    train::Observer quiet;
    return refusal([&] { run_search(config, quiet); });
  };
  const auto said = [&] {
    train::Observer quiet;
    return refusal([&] { dry_run(config, quiet); });
  };
  config.target = "size=10%";
  CHECK(said() == expected());
  config.target = "sise=10%";
  CHECK(said() == expected());
  config = small();
  config.from_front = "front";
  CHECK(said().find("from-front") != std::string::npos);
}
