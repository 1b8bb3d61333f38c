// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <mixgrad/bench.h>
#include <mixgrad/error.h>
#include <mixgrad/models.h>
#include <mixgrad/ops.h>
#include <mixgrad/optim.h>
#include <mixgrad/run.h>
#include <mixgrad/train.h>

#include <kernels/conv2d.h>

#include <algorithm>
#include <functional>

namespace mixgrad::bench {
namespace {

constexpr int untimed_steps = 3, classes = 10;

/// The rules are those of a run: validates a run with the same settings, and makes its model.
models::Model make_valid(const StepOptions& o) {
  RunConfig run;
  run.model = o.model;
  run.input_shape = o.input_shape;
  run.scheme = o.scheme;
  run.weight_bits = o.weight_bits;
  run.act_bits = o.act_bits;
  run.dtype = o.dtype;
  run.threads = o.threads;
  run.validate();
  if (o.batch < 1 || o.batch > 1 << 16) bad_input("batch: {} is not possible: expected 1 to {}", o.batch, 1 << 16);
  if (o.steps < 1) bad_input("steps: {} is not possible: expected at least 1", o.steps);
  return make_model(run, classes);
}

/// The model's task: models from files are timed as classifiers, of positions if they return maps.
const train::Task& task_of(const models::Model& model) {
  const bool map = model.output_shape.size() != model.output_shape[0];
  return train::task_for(nullptr, models::task_of(model.name), map ? data::Known::label_maps : data::Known::labels);
}

/// Random images with what the model's task reads.
data::Batch random_batch(const models::Model& model, int64_t size) {
  Rng rng(0, "bench");
  const Shape &image = model.input_shape, &output = model.output_shape;
  data::Batch batch{.x = Tensor::empty({size, image[0], image[1], image[2]}), .labels = {}};
  for (float& v : batch.x.data()) v = static_cast<float>(rng.uniform());
  if (task_of(model).reads_targets) {
    batch.targets = Tensor::empty({size, output.size()});
    for (float& v : batch.targets.data()) v = static_cast<float>(rng.uniform());
    return batch;
  }
  for (int64_t i = 0; i < size * output.size() / output[0]; ++i)
    batch.labels.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(output[0]))));
  return batch;
}

/// Milliseconds of steps, and of their convolutions.
struct Times {
  std::vector<double> step, conv;

  /// All threads add up the time of their convolutions.
  void add(const std::function<void()>& run) {
    kernels::conv_seconds_reset();
    const Stopwatch watch;
    run();
    step.push_back(1e3 * watch.seconds());
    conv.push_back(1e3 * kernels::conv_seconds() / train::threads());
  }
};

/// Runs and times `step`, in turns with the chosen and with direct convolutions. The peak memory is that of the former.
StepTimes measure(const StepOptions& o, const std::function<void()>& step) {
  Times untimed, chosen, direct;
  const auto add_direct = [&](Times& to) {
    kernels::winograd::enable(false);
    to.add(step);
    kernels::winograd::enable(true);
  };
  kernels::conv_seconds_enable(true);
  for (int i = 0; i < untimed_steps; ++i) untimed.add(step);
  const double peak = peak_rss_mib();
  for (int i = 0; i < untimed_steps; ++i) add_direct(untimed);
  for (int i = 0; i < o.steps; ++i) {
    chosen.add(step);
    add_direct(direct);
  }
  kernels::conv_seconds_enable(false);
  StepTimes times{.ms = median(chosen.step),
                  .images_per_s = 0,
                  .conv_ms = median(chosen.conv),
                  .direct_ms = median(direct.step),
                  .direct_conv_ms = median(direct.conv),
                  .peak_rss_mib = peak};
  times.images_per_s = 1e3 * static_cast<double>(o.batch) / times.ms;
  return times;
}

StepTimes float_step(const StepOptions& o, const models::Model& model, const data::Batch& batch) {
  nn::Module& net = *model.net;
  optim::Sgd sgd({{.parameters = net.parameters()}}, {.lr = 1e-3});
  net.train();
  return measure(o, [&] {
    train::step(net, batch, nullptr, &task_of(model));
    sgd.step();
  });
}

MixPrec searching(const StepOptions& o, const models::Model& model, const data::Batch& batch) {
  return {*model.net,
          {.input_shape = model.input_shape,
           .activation_precisions = o.act_bits,
           .weight_precisions = o.weight_bits,
           .w_mixprec_type = o.scheme,
           .calibration = {batch.x},
           .input_range = ValueRange{.low = 0, .high = 1},
           .weight_quantizer = weight_quantizer(o.weight_quantizer, o.weight_grid)}};
}

StepTimes search_step(const StepOptions& o, const models::Model& model, const data::Batch& batch) {
  MixPrec net = searching(o, model, batch);
  optim::Adam weights(train::parameter_groups(net.graph()), {.lr = 1e-4});
  optim::Adam alphas({{.parameters = net.nas_parameters()}}, {.lr = 1e-4});
  const train::StepOptions options{
      .sample = [&] { return net.sample(); },
      .regularization = [&](const Thetas& t) { return scale(net.get_regularization_loss(t), 1e-6); },
      .dtype = dtype_of(o.dtype),
      .task = &task_of(model)};
  return measure(o, [&] {
    train::step(net.graph(), batch, options);
    weights.step();
    alphas.step();
  });
}

/// Fine-tunes a network whose bit-widths are drawn at random from the candidates.
StepTimes fine_tuning_step(const StepOptions& o, const models::Model& model, const data::Batch& batch) {
  MixPrec net = searching(o, model, batch);
  Rng rng(0, "bench bits");
  for (const Tensor& alpha : net.nas_parameters()) {
    for (float& v : alpha.data()) v = static_cast<float>(rng.uniform());
  }
  const Graph discrete = net.arch_export();
  optim::Adam adam(train::parameter_groups(discrete), {.lr = 1e-4});
  return measure(o, [&] {
    train::step(discrete, batch, {.dtype = dtype_of(o.dtype), .task = &task_of(model)});
    adam.step();
  });
}

StepTimes timed(const StepOptions& o, const models::Model& model, const data::Batch& batch) {
  switch (o.phase) {
    case StepKind::search:
      return search_step(o, model, batch);
    case StepKind::fine_tune:
      return fine_tuning_step(o, model, batch);
    case StepKind::warm_up:
      return float_step(o, model, batch);
  }
  return {};
}

}  // namespace

StepTimes step(const StepOptions& o) {
  const models::Model model = make_valid(o);
  const train::Threads threads(o.threads);
  nn::initialize(*model.net, Rng(0, "init"));
  return timed(o, model, random_batch(model, o.batch));
}

}  // namespace mixgrad::bench
