// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "options.h"

#include <mixgrad/bench.h>
#include <mixgrad/error.h>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <memory>

namespace mixgrad::cli {
namespace {

struct BenchStep {
  explicit BenchStep(CLI::App& command) : options(command) {}

  Options options;
  bench::StepOptions step;
  bool json = false;
};

void run(BenchStep& b) {
  b.options.apply();
  const bench::StepTimes t = bench::step(b.step);
  if (b.json) {
    const nlohmann::ordered_json times = {{"ms", t.ms}, {"images_per_s", t.images_per_s}, {"conv_ms", t.conv_ms},
                                          {"peak_rss_mib", t.peak_rss_mib}};
    fmt::print("{}\n", times.dump());
    return;
  }
  fmt::print("{:.1f} ms a step, {:.0f} images/s; convolutions {:.1f} ms ({:.0f}%); peak memory {:.0f} MiB\n", t.ms, t.images_per_s,
             t.conv_ms, 100 * t.conv_ms / t.ms, t.peak_rss_mib);
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command = app.add_subcommand("bench", "measure how fast this machine is");
  CLI::App* step = command->add_subcommand("step", "a training step on random images");
  const auto b = std::make_shared<BenchStep>(*step);
  b->options.add("model", &b->step.model, "network");
  b->options.add("batch", &b->step.batch, "images per step");
  b->options.add("phase", &b->step.phase, "search, or float (the warm-up)");
  b->options.add("scheme", &b->step.scheme, "per-layer or per-channel weight bits");
  b->options.add("weight-bits", &b->step.weight_bits, "candidates for weights");
  b->options.add("act-bits", &b->step.act_bits, "candidates for activations");
  b->options.add("dtype", &b->step.dtype, "f32, bf16 or auto: how the search step keeps activations between layers");
  b->options.add("threads", &b->step.threads, "0 for all cores");
  b->options.add("steps", &b->step.steps, "steps that are timed");
  b->options.add("json", &b->json, "print one JSON object");
  step->callback([b] { run(*b); });
  command->callback([command] {
    if (command->get_subcommands().empty()) bad_input("bench: nothing to measure given: expected mixgrad bench step");
  });
}

}  // namespace mixgrad::cli
