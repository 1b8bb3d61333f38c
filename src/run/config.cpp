// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/models.h>
#include <mixgrad/run_config.h>
#include <mixgrad/task.h>

#include <kernels/cpu.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace mixgrad {
namespace {

constexpr int most_threads = 256;

void check_above_zero(const char* name, double value) {
  if (!(value > 0) || !std::isfinite(value))
    bad_input("{}: {} is not possible: expected a number above 0", name, value);
}

void check_not_negative(const char* name, double value) {
  if (!(value >= 0) || !std::isfinite(value)) bad_input("{}: {} is not possible: expected 0 or more", name, value);
}

/// The model and its data.
void check_task(const RunConfig& c) {
  models::check_name(c.model);
  const bool positive = std::ranges::all_of(c.input_shape, [](int d) { return d >= 1; });
  if (!c.input_shape.empty() && (c.input_shape.size() != 3 || !positive)) {
    bad_input("input-shape: {} is not possible: expected C,H,W, like 3,32,32", fmt::join(c.input_shape, ","));
  }
  check_reading(c, c.data, data::source_of(c.data));
  if (!c.loss.empty()) train::find_task(c.loss);
  if (!(c.val_split > 0 && c.val_split < 1))
    bad_input("val-split: {} is not possible: expected a share between 0 and 1", c.val_split);
}

void check_candidates(const RunConfig& c) {
  const bool by_layer = c.method == Method::sensitivity && c.from_front.empty();
  const bool prunes = c.scheme == MixPrecType::PER_CHANNEL && !by_layer;
  quant::check_grid(*weight_quantizer(c.weight_quantizer, c.weight_grid),
                    quant::checked_precisions("weight-bits", c.weight_bits, prunes ? 0 : 1));
  quant::checked_precisions("act-bits", c.act_bits, 2);
  quant::checked_precisions("input-bits", c.input_bits, 2);
  parse_overrides(c.override_layers);
}

/// Targets and costs.
void check_goal(const RunConfig& c) {
  if (c.target.empty()) {
    if (!is_search(c.method)) bad_input("method: {} needs a target to meet, like --target size=40%", name_of(c.method));
    cost::find(cost_to_lower(c));
  } else {
    if (c.strength) bad_input("strength: a target determines the strength itself: set only one of them");
    if (!c.regularizer.empty())
      bad_input("regularizer: with a target, the target's cost is minimized: set only one of them");
    if (c.refine)
      bad_input("refine: with a target, weights are always raised as far as it allows: set only one of them");
  }
  if (c.strength) check_not_negative("strength", *c.strength);
  if (!c.from_front.empty() && (c.target.empty() || (c.method != Method::fisher && c.method != Method::sensitivity)))
    bad_input("from-front: expected a target, like --target size=40%, and --method fisher or sensitivity");
  if (c.costs.empty()) bad_input("costs: there are none: expected at least one, like size");
  if (!(c.least_cost > 0 && c.least_cost < 1))
    bad_input("least-cost: {} is not possible: expected a share between 0 and 1", c.least_cost);
}

void check_training(const RunConfig& c) {
  quant::find_activation(c.act_quantizer);
  parse_clip_rule(c.calibration);
  if (!(c.arch_split >= 0 && c.arch_split < 1))
    bad_input("arch-split: {} is not possible: expected a share from 0 to below 1", c.arch_split);
  if (c.arch_split > 0 && c.method == Method::fisher)
    bad_input("arch-split: --method fisher does not train alpha: expected 0, or --method dnas");
  check_not_negative("patience", c.patience);
  check_not_negative("max-shift", c.max_shift);
  check_not_negative("warmup-epochs", c.warmup_epochs);
  check_not_negative("search-epochs", c.search_epochs);
  check_not_negative("finetune-epochs", c.finetune_epochs);
  if (c.batch_size < 1) bad_input("batch-size: {} is not possible: expected at least 1", c.batch_size);
  check_above_zero("lr", c.lr);
  check_above_zero("search-lr", c.search_lr);
  if (!(c.distill >= 0 && c.distill <= 1))
    bad_input("distill: {} is not possible: expected a share from 0 to 1", c.distill);
  if (c.distill > 0 && !c.loss.empty() && train::find_task(c.loss).taught)
    bad_input("distill: --loss {} imitates the float network already: set only one of them", c.loss);
  check_not_negative("arch-lr", c.arch_lr);
  check_above_zero("tau-start", c.tau_start);
  check_above_zero("tau-end", c.tau_end);
}

}  // namespace

std::array<int64_t, 2> parse_image_size(const std::string& text) {
  constexpr int64_t most = 4096;
  std::array<int64_t, 2> size = {0, 0};
  const char *at = text.data(), *end = text.data() + text.size();
  const auto next = [&](int64_t& n) {
    const auto parsed = std::from_chars(at, end, n);
    at = parsed.ptr;
    return parsed.ec == std::errc() && n >= 1 && n <= most;
  };
  bool good = next(size[0]);
  size[1] = size[0];
  if (good && at != end) good = *at++ == 'x' && next(size[1]);
  if (!good || at != end)
    bad_input("image-size: '{}': expected H or HxW, like 96 or 96x128, from 1 to {} pixels", text, most);
  return size;
}

void check_reading(const RunConfig& c, const std::string& data, const std::string& source) {
  const bool images = source == "images", arrays = source == "npy" || source == "npz";
  if (!c.image_size.empty()) parse_image_size(c.image_size);
  if (!c.image_size.empty() && !images)
    bad_input("image-size: '{}' is not resized: expected data from images:DIR; see also --input-shape", data);
  if (c.layout != data::Layout::automatic && !arrays)
    bad_input("layout: '{}' has no choice of layout: expected data from npy:DIR or npz:FILE", data);
  if (c.skip_unreadable && !images)
    bad_input("skip-unreadable: '{}' has no files to skip: expected data from images:DIR", data);
}

std::string method_name(const RunConfig& config) {
  if (config.from_front.empty()) return name_of(config.method);
  return config.method == Method::sensitivity ? "front-sensitivity" : "front";
}

std::string cost_to_lower(const RunConfig& config) {
  if (!config.target.empty()) return config.target.substr(0, config.target.find('='));
  return config.regularizer.empty() ? config.costs[0] : config.regularizer;
}

cost::Model model_to_lower(const RunConfig& config, std::span<const Target> targets) {
  return targets.empty() ? cost::find(cost_to_lower(config)) : targets[0].model;
}

std::shared_ptr<const WeightQuantizer> weight_quantizer(WeightSteps steps, WeightGrid grid) {
  const std::string name = name_of(steps);
  return quant::find_weight(steps == WeightSteps::minmax ? name : name + "-" + name_of(grid));
}

MixPrecOptions mix_prec_options(const RunConfig& config, std::span<const Target> targets) {
  return {
      .input_shape = {},
      .activation_precisions = config.act_bits,
      .weight_precisions = config.weight_bits,
      .w_mixprec_type = config.scheme,
      .regularizer = model_to_lower(config, targets),
      .input_precisions = config.input_bits,
      .temperature = config.tau_start,
      .clips = parse_clip_rule(config.calibration),
      .overrides = parse_overrides(config.override_layers),
      .sampler = {.kind = config.sampler, .hard = config.hard || config.method == Method::fisher, .seed = config.seed},
      .alpha_init = config.alpha_init,
      .activation_quantizer = quant::find_activation(config.act_quantizer),
      .weight_quantizer = weight_quantizer(config.weight_quantizer, config.weight_grid),
      .quantize_output = config.quantize_output};
}

void set_effort(RunConfig& config, Effort effort) {
  const auto set = [&](int warmup, int search, int finetune, double lr, double weight_decay) {
    config.warmup_epochs = warmup;
    config.search_epochs = search;
    config.finetune_epochs = finetune;
    config.lr = lr;
    config.weight_decay = weight_decay;
  };
  switch (effort) {
    case Effort::quick:
      return set(12, 4, 8, 0.15, 2e-4);
    case Effort::normal:
      return set(50, 8, 16, 0.15, 2e-4);
    case Effort::thorough:
      return set(240, 16, 32, 0.1, 2e-4);
  }
}

void set_front_effort(RunConfig& config, Effort effort) {
  set_effort(config, effort);
  config.search_epochs *= 2;    // over the whole range of budgets
  config.finetune_epochs /= 4;  // in each segment
}

void RunConfig::validate() const {
  check_task(*this);
  check_candidates(*this);
  check_goal(*this);
  check_training(*this);
  dtype_of(dtype);
  check_threads(threads);
}

DType dtype_of(ActivationType type) {
  if (type == ActivationType::float32) return DType::float32;
  if (kernels::bfloat16_is_fast()) return DType::bfloat16;
  if (type == ActivationType::automatic) return DType::float32;
  bad_input("dtype: this CPU has neither AMX nor AVX512_BF16, so bf16 would be slower: expected f32 or auto");
}

void check_threads(int threads) {
  if (threads < 0 || threads > most_threads)
    bad_input("threads: {} is not possible: expected 0 (all) to {}", threads, most_threads);
}

}  // namespace mixgrad
