// SPDX-License-Identifier: Apache-2.0
#include "notes.h"

#include "float_network.h"

#include <mixgrad/settings.h>

#include <fmt/ranges.h>

#include <initializer_list>

namespace mixgrad {

std::string near_chance(const RunConfig& config, const train::Score& score) {
  return fmt::format(
      "the float network's {} of {} on the test images is hardly better than chance, so bit-widths found from it are "
      "meaningless: {}",
      score.metric.name, fmt::format(fmt::runtime(score.metric.is_share ? "{:.4f}" : "{:.4g}"), score.value()),
      !weights_file(config).empty()
          ? "were its training images normalized differently (--normalize), or its classes in another order?"
          : "train it first (--warmup-epochs, --lr, --init)");
}

std::string meaning(const RunConfig& config, const train::Task& task) {
  if (config.loss != "imitate" || !task_of_float(config).empty()) return "";
  const bool scores = task.name == "imitate-scores";
  const char *class_scores = "class scores", *values = "values that are not class scores";
  return fmt::format("--loss imitate takes the outputs of {} for {}: --loss {} takes them for {}", config.model,
                     scores ? class_scores : values, scores ? "imitate-values" : "imitate-scores",
                     scores ? values : class_scores);
}

namespace {

/// Those of the settings that are not at their defaults.
std::vector<std::string> changed(const RunConfig& config, std::initializer_list<const char*> names) {
  RunConfig given = config, defaults;
  std::vector<std::string> out;
  for (const char* name : names) {
    const Setting& setting = run_setting(name);
    if (value_text(setting.member(given)) != value_text(setting.member(defaults))) out.emplace_back(name);
  }
  return out;
}

}  // namespace

std::vector<std::string> unread(const RunConfig& config) {
  std::vector<std::string> out;
  const auto add = [&](const char* readers, std::initializer_list<const char*> settings) {
    const std::vector<std::string> names = changed(config, settings);
    if (!names.empty()) out.push_back(fmt::format("only {} reads {}", readers, fmt::join(names, ", ")));
  };
  if (config.method != Method::dnas)
    add("--method dnas", {"arch-lr", "tau-start", "tau-end", "tau-schedule", "sampler", "hard", "alpha-init"});
  if (config.weight_quantizer == WeightSteps::minmax) add("--weight-quantizer mse or lsq", {"weight-grid"});
  return out;
}

std::string only_simulated(const std::string& obstacle) {
  return fmt::format(
      "the network found will run in simulation only and can't be exported as a C package or ONNX file: {}", obstacle);
}

std::string small_weights(const Graph& discrete) {
  std::vector<std::string> counts;
  for (const Node& node : discrete.nodes) {
    const int64_t channels = discrete.channels_set_by_bias(node);
    if (channels > 0) counts.push_back(fmt::format("{} of {}", channels, node.name));
  }
  if (counts.empty()) return "";
  return fmt::format(
      "the weights of some channels are so small that the biases set the steps, and their outputs are almost "
      "constant: {}",
      fmt::join(counts, ", "));
}

}  // namespace mixgrad
