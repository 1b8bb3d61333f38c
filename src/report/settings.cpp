// SPDX-License-Identifier: Apache-2.0
#include "settings.h"

#include <mixgrad/data.h>

#include <src/internal/names.h>

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

namespace mixgrad::report {
namespace {

using nlohmann::ordered_json;

/// As a flag's value.
std::string text_of(const ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string list;
  for (const ordered_json& item : value) list += (list.empty() ? "" : ",") + item.dump();
  return list;
}

/// The words of one flag.
std::string flag(const std::string& name, const ordered_json& value) {
  return value.is_boolean() ? " --" + name : fmt::format(" --{} {}", name, shell_word(text_of(value)));
}

/// Nothing stays nothing.
std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return path.empty() || error ? path : whole.lexically_normal().string();
}

/// A cost's name: that of a table is its file.
std::string absolute_table(const std::string& cost) {
  constexpr std::string_view table = "table:";
  return cost.starts_with(table) ? std::string(table) + absolute(cost.substr(table.size())) : cost;
}

/// Of "size=40%,table:costs.toml=1e6".
std::string absolute_tables(const std::string& target) {
  std::string out;
  for (size_t begin = 0, end; begin < target.size(); begin = end + 1) {
    end = std::min(target.find(',', begin), target.size());
    const size_t equals = std::min(target.find('=', begin), end);
    if (!out.empty()) out += ',';
    out += absolute_table(target.substr(begin, equals - begin)) + target.substr(equals, end - equals);
  }
  return out;
}

}  // namespace

ordered_json settings(const RunConfig& config) {
  const RunConfig c = from_any_folder(config);
  // A field added to RunConfig has to be added here, and below, or this does not compile.
  [[maybe_unused]] const auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
                                f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33, f34, f35,
                                f36, f37] = c;
  return {{"model", c.model},
          {"input-shape", c.input_shape},
          {"data", c.data},
          {"loss", c.loss},
          {"normalize", c.normalize},
          {"val-split", c.val_split},
          {"scheme", c.scheme},
          {"weight-bits", c.weight_bits},
          {"act-bits", c.act_bits},
          {"input-bits", c.input_bits},
          {"override", c.override_layers},
          {"method", c.method},
          {"target", c.target},
          {"regularizer", c.regularizer},
          {"strength", c.strength ? ordered_json(*c.strength) : ordered_json(nullptr)},
          {"init", c.init},
          {"warmup-epochs", c.warmup_epochs},
          {"search-epochs", c.search_epochs},
          {"finetune-epochs", c.finetune_epochs},
          {"batch-size", c.batch_size},
          {"lr", c.lr},
          {"arch-lr", c.arch_lr},
          {"tau-start", c.tau_start},
          {"tau-end", c.tau_end},
          {"tau-schedule", c.tau_schedule},
          {"sampler", c.sampler},
          {"hard", c.hard},
          {"alpha-init", c.alpha_init},
          {"act-quantizer", c.act_quantizer},
          {"calibration", c.calibration},
          {"quantize-output", c.quantize_output},
          {"refine", c.refine},
          {"arch-split", c.arch_split},
          {"patience", c.patience},
          {"check-numerics", c.check_numerics},
          {"dtype", c.dtype},
          {"seed", c.seed},
          {"threads", c.threads}};
}

std::map<std::string, std::string> decisive_settings(const RunConfig& config) {
  const ordered_json all = settings(config);
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : all.items()) {
    if (name == "threads" || name == "check-numerics") continue;
    const std::string text = text_of(value);
    out[name] = is_utf8(text) ? text : shell_word(text);  // a path, which a checkpoint could not hold as it is
  }
  return out;
}

RunConfig from_any_folder(RunConfig config) {
  config.data = data::absolute(config.data);
  config.init = absolute(config.init);
  config.regularizer = absolute_table(config.regularizer);
  config.target = absolute_tables(config.target);
  if (config.model.ends_with(".onnx")) config.model = absolute(config.model);
  return config;
}

std::string command(const RunConfig& config) {
  const ordered_json given = settings(config), defaults = settings({});
  std::string out = "mixgrad search";
  for (const auto& [name, value] : given.items()) {
    if (value != defaults.at(name)) out += flag(name, value);
  }
  return out;
}

}  // namespace mixgrad::report
