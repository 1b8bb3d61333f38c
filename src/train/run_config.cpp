// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/models.h>
#include <mixgrad/run.h>

#include <kernels/cpu.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {
namespace {

constexpr int most_threads = 256;

void check_choice(const char* name, const std::string& value, const std::vector<std::string>& choices) {
  if (std::ranges::find(choices, value) == choices.end()) {
    bad_input("{}: unknown '{}': expected {}", name, value, fmt::join(choices, ", "));
  }
}

void check_above_zero(const char* name, double value) {
  if (!(value > 0) || !std::isfinite(value))
    bad_input("{}: {} is not possible: expected a number above 0", name, value);
}

void check_not_negative(const char* name, double value) {
  if (!(value >= 0) || !std::isfinite(value)) bad_input("{}: {} is not possible: expected 0 or more", name, value);
}

}  // namespace

std::string cost_to_lower(const RunConfig& config) {
  if (!config.target.empty()) return config.target.substr(0, config.target.find('='));
  return config.regularizer.empty() ? "size" : config.regularizer;
}

MixPrecOptions mix_prec_options(const RunConfig& config, std::span<const Target> targets) {
  return {.input_shape = {},
          .activation_precisions = config.act_bits,
          .weight_precisions = config.weight_bits,
          .w_mixprec_type = config.scheme == "per-layer" ? MixPrecType::PER_LAYER : MixPrecType::PER_CHANNEL,
          .regularizer = targets.empty() ? cost_to_lower(config) : targets[0].model.name,
          .input_precisions = config.input_bits,
          .temperature = config.tau_start,
          .clips = parse_clip_rule(config.calibration),
          .overrides = parse_overrides(config.override_layers),
          .sampler = {.kind = config.sampler == "gumbel" ? SamplerKind::GUMBEL : SamplerKind::SOFTMAX,
                      .hard = config.hard,
                      .seed = config.seed},
          .alpha_init = config.alpha_init == "same" ? AlphaInit::SAME : AlphaInit::SCALED,
          .activation_quantizer = quant::find_activation(config.act_quantizer),
          .quantize_output = config.quantize_output};
}

void RunConfig::validate() const {
  models::check_name(model);
  const bool positive = std::ranges::all_of(input_shape, [](int d) { return d >= 1; });
  if (!input_shape.empty() && (input_shape.size() != 3 || !positive)) {
    bad_input("input-shape: {} is not possible: expected C,H,W, like 3,32,32", fmt::join(input_shape, ","));
  }
  data::default_augmentation(data);  // refuses what is no data set
  if (!loss.empty()) train::find_task(loss);
  if (!(val_split > 0 && val_split < 1))
    bad_input("val-split: {} is not possible: expected a share between 0 and 1", val_split);
  check_choice("scheme", scheme, {"per-layer", "per-channel"});
  quant::checked_precisions("weight-bits", weight_bits, scheme == "per-channel" && method != "sensitivity" ? 0 : 2);
  quant::checked_precisions("act-bits", act_bits, 2);
  quant::checked_precisions("input-bits", input_bits, 2);
  parse_overrides(override_layers);
  check_choice("method", method, {"dnas", "uniform", "sensitivity", "random"});
  if (method != "dnas" && target.empty())
    bad_input("method: {} needs a target to meet, like --target size=40%", method);
  if (!target.empty() && strength) bad_input("strength: with a target the strength follows from it: give one of them");
  if (!target.empty() && !regularizer.empty())
    bad_input("regularizer: with a target it is the target's cost that is lowered: give one of them");
  if (!target.empty() && refine)
    bad_input("refine: with a target, weights are raised as far as it allows anyway: leave one of them out");
  if (target.empty()) cost::find(cost_to_lower(*this));
  if (strength) check_not_negative("strength", *strength);
  check_choice("sampler", sampler, {"softmax", "gumbel"});
  quant::find_activation(act_quantizer);
  check_choice("alpha-init", alpha_init, {"scaled", "same"});
  parse_clip_rule(calibration);
  if (!(arch_split >= 0 && arch_split < 1))
    bad_input("arch-split: {} is not possible: expected a share from 0 to below 1", arch_split);
  check_not_negative("patience", patience);
  check_not_negative("warmup-epochs", warmup_epochs);
  check_not_negative("search-epochs", search_epochs);
  check_not_negative("finetune-epochs", finetune_epochs);
  if (batch_size < 1) bad_input("batch-size: {} is not possible: expected at least 1", batch_size);
  check_above_zero("lr", lr);
  check_not_negative("arch-lr", arch_lr);
  check_above_zero("tau-start", tau_start);
  check_above_zero("tau-end", tau_end);
  check_choice("tau-schedule", tau_schedule, {"geometric", "exp"});
  parse_dtype(dtype);
  check_threads(threads);
}

DType parse_dtype(const std::string& name) {
  check_choice("dtype", name, {"f32", "bf16", "auto"});
  if (name == "f32") return DType::float32;
  if (kernels::bfloat16_is_fast()) return DType::bfloat16;
  if (name == "auto") return DType::float32;
  bad_input("dtype: this CPU has neither AMX nor AVX512_BF16, so bf16 would only be slower: expected f32 or auto");
}

void check_threads(int threads) {
  if (threads < 0 || threads > most_threads)
    bad_input("threads: {} is not possible: expected 0 (all) to {}", threads, most_threads);
}

}  // namespace mixgrad
