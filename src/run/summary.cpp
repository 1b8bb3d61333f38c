// SPDX-License-Identifier: Apache-2.0
#include "settings_json.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>
#include <mixgrad/settings.h>

#include <src/internal/json.h>

#include <fmt/core.h>

namespace mixgrad {
namespace {

using nlohmann::ordered_json;

/// One number if the whole layer has one choice, or a list with one number per channel.
ordered_json weight_bits(const LayerSummary& layer, bool per_layer) {
  if (layer.weight_bits.empty()) return nullptr;
  return per_layer ? ordered_json(layer.weight_bits[0]) : ordered_json(layer.weight_bits);
}

ordered_json metric(const train::Metric& m) {
  return {{"name", m.name}, {"label", m.label}, {"larger_is_better", m.larger_is_better}, {"is_share", m.is_share}};
}

/// Null if the task has another metric.
ordered_json accuracy(const train::Score& score) {
  return score.metric.name == "accuracy" ? ordered_json(score.value()) : ordered_json(nullptr);
}

ordered_json optional(const std::optional<int>& bits) { return bits ? ordered_json(*bits) : ordered_json(nullptr); }

ordered_json layers(const RunResult& result, bool per_layer) {
  ordered_json list = ordered_json::array();
  for (const LayerSummary& layer : result.layers) {
    list.push_back({{"name", layer.name},
                    {"weight_bits", weight_bits(layer, per_layer)},
                    {"pruned_channels", layer.pruned},
                    {"in_bits", optional(layer.in_bits)},
                    {"out_bits", optional(layer.out_bits)},
                    {"weights", layer.weights},
                    {"macs", layer.macs},
                    {"costs", layer.costs}});
  }
  return list;
}

/// One line per key and per layer.
std::string laid_out(const ordered_json& all) {
  std::string out;
  for (const auto& [key, value] : all.items()) {
    out += fmt::format("{} \"{}\": ", out.empty() ? "{\n" : ",\n", key);
    if (key != "layers") {
      out += json_text(value);
      continue;
    }
    for (size_t i = 0; i < value.size(); ++i) out += fmt::format("{}\n  {}", i == 0 ? "[" : ",", json_text(value[i]));
    out += value.empty() ? "[]" : "]";
  }
  return out + "\n}\n";
}

ordered_json targets(const RunResult& result) {
  ordered_json out = ordered_json::object();
  for (const TargetReport& t : result.targets) out[t.name] = {{"limit", t.limit}, {"found", t.found}, {"unit", t.unit}};
  return out;
}

/// The network's memory on a device; null if it has no integer form (float layers).
ordered_json device(const Graph& network) {
  try {
    const DeviceBytes b = device_bytes(to_integer(network));
    return {{"weights", b.weights}, {"biases", b.biases}, {"multipliers", b.multipliers},
            {"shifts", b.shifts},   {"tables", b.tables}, {"constants", b.constants()},
            {"arena", b.arena}};
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace

std::string summary(const RunConfig& given, const RunResult& result) {
  const RunConfig config = from_any_folder(given);
  ordered_json cost, uniform8, floating, unit;
  for (const CostReport& c : result.costs) {
    cost[c.name] = c.found;
    unit[c.name] = c.unit;
    if (c.uniform8) uniform8[c.name] = *c.uniform8;
    if (c.floating) floating[c.name] = *c.floating;
  }
  const ordered_json all = {{"model", config.model},
                            {"data", config.data},
                            {"scheme", name_of(config.scheme)},
                            {"method", method_name(config)},
                            {"targets", targets(result)},
                            {"repair", result.repair ? parse_ordered_json(to_json(*result.repair)) : ordered_json()},
                            {"regularizer", cost_to_lower(config)},
                            {"strength", result.strength},
                            {"seed", config.seed},
                            {"data_seed", config.data_seed},
                            {"threads", result.threads},
                            {"interrupted", result.interrupted},
                            {"kept_start", result.kept_start},
                            {"notes", result.notes},
                            {"task", result.network.task},
                            {"metric", metric(result.final.metric)},
                            {"test_images", result.test_images},
                            {"float_metric", result.floating.value()},
                            {"search_metric", result.searched.value()},
                            {"final_metric", result.final.value()},
                            {"float_accuracy", accuracy(result.floating)},
                            {"search_accuracy", accuracy(result.searched)},
                            {"final_accuracy", accuracy(result.final)},
                            {"float_loss", result.floating.mean_loss()},
                            {"search_loss", result.searched.mean_loss()},
                            {"final_loss", result.final.mean_loss()},
                            {"checksum", checksum(result.network)},
                            {"cost", cost},
                            {"cost_uniform8", uniform8},
                            {"cost_float", floating},
                            {"cost_unit", unit},
                            {"device_bytes", device(result.network)},
                            {"layers", layers(result, config.scheme == MixPrecType::PER_LAYER)},
                            {"seconds",
                             {{"warmup", result.seconds.warmup},
                              {"search", result.seconds.search},
                              {"finetune", result.seconds.finetune},
                              {"total", result.seconds.total}}},
                            {"command", search_command(config)},
                            {"config", settings_json(config)}};
  return laid_out(all);
}

}  // namespace mixgrad
