// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "finished.h"
#include "json.h"
#include "options.h"

#include <mixgrad/bench.h>
#include <mixgrad/error.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

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
  if (b.json)
    return print_json({{"ms", t.ms},
                       {"images_per_s", t.images_per_s},
                       {"conv_ms", t.conv_ms},
                       {"direct_ms", t.direct_ms},
                       {"direct_conv_ms", t.direct_conv_ms},
                       {"peak_rss_mib", t.peak_rss_mib}});
  fmt::print("{:.1f} ms per step, {:.0f} images/s; convolutions {:.1f} ms ({:.0f}%); peak memory {:.0f} MiB\n", t.ms,
             t.images_per_s, t.conv_ms, 100 * t.conv_ms / t.ms, t.peak_rss_mib);
  fmt::print("with direct convolutions only {:.1f} ms, convolutions {:.1f} ms\n", t.direct_ms, t.direct_conv_ms);
}

struct BenchInference {
  explicit BenchInference(CLI::App& command) : options(command) {}

  Options options;
  std::string folder, data;
  int64_t images = 100, batch = 1;
  bool json = false, skip_unreadable = false;
};

void run(BenchInference& b) {
  b.options.apply();
  if (b.folder.empty())
    bad_input("bench inference: no folder given: expected mixgrad bench inference DIR with the folder of a search");
  const FinishedRun run = load_noting(b.folder, b.data, b.skip_unreadable);
  const bench::InferenceTimes t = bench::inference(run.network, run.test, b.images, b.batch);
  if (b.json)
    return print_json({{"float_ms", t.float_ms}, {"discrete_ms", t.discrete_ms}, {"integer_ms", t.integer_ms}});
  fmt::print("ms per image on one thread: float {:.3f}, discrete evaluation {:.3f}, integer engine {:.3f}\n",
             t.float_ms, t.discrete_ms, t.integer_ms);
}

void add_inference(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("inference", "time the network found by a search: float, discrete, integer");
  const auto b = std::make_shared<BenchInference>(*command);
  command->add_option("DIR", b->folder, "folder of a run")->type_name("");
  b->options.add("data", &b->data, "test images of another data set [the run's own]", run_setting("data").form);
  add_skip_unreadable(b->options, b->skip_unreadable);
  b->options.add("images", &b->images, "test images to run");
  b->options.add("batch", &b->batch, "images at a time");
  b->options.add("json", &b->json, "print one JSON object");
  show_examples(*command, {"mixgrad bench inference RUN --images 100"});
  command->callback([b] { run(*b); });
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command = app.add_subcommand("bench", "measure the speed of training and inference on this machine");
  CLI::App* step = command->add_subcommand("step", "time a training step on random images");
  const auto b = std::make_shared<BenchStep>(*step);
  b->options.add("model", &b->step.model, "network", run_setting("model").form);
  const Setting& input_shape = run_setting("input-shape");
  b->options.add(input_shape.name, &b->step.input_shape, input_shape.help, input_shape.form);
  b->options.add("batch", &b->step.batch, "images per step");
  b->options.add("phase", &b->step.phase, "kind of step; float: of the warm-up");
  b->options.add("scheme", &b->step.scheme, "choose the bits of weights per layer or per output channel");
  b->options.add("weight-bits", &b->step.weight_bits, "candidates for weights");
  b->options.add("act-bits", &b->step.act_bits, "candidates for activations");
  b->options.add("weight-quantizer", &b->step.weight_quantizer, "steps of weights");
  b->options.add("weight-grid", &b->step.weight_grid, "codes of mse and lsq");
  b->options.add("dtype", &b->step.dtype, "type of activations between layers in steps of search and fine-tuning");
  b->options.add("threads", &b->step.threads, "number of threads, 0 for all cores");
  b->options.add("steps", &b->step.steps, "number of timed steps");
  b->options.add("json", &b->json, "print one JSON object");
  show_examples(*step, {"mixgrad bench step --threads 2", "mixgrad bench step --model ds_cnn --phase float --json"});
  step->callback([b] { run(*b); });
  command->callback([command] {
    if (command->get_subcommands().empty())
      bad_input("bench: nothing to measure: expected mixgrad bench step or mixgrad bench inference");
  });
  add_inference(*command);
  show_examples(*command, {"mixgrad bench step", "mixgrad bench inference RUN"});
}

}  // namespace mixgrad::cli
