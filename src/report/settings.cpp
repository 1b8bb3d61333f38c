// SPDX-License-Identifier: Apache-2.0
#include "settings.h"

#include "../core/names.h"

#include <mixgrad/data.h>

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace mixgrad::report {
namespace {

using nlohmann::ordered_json;

/// As one word of a shell's command line.
std::string quoted(const std::string& text) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("_./:=,%+-").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::ranges::all_of(text, plain)) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

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
  return value.is_boolean() ? " --" + name : fmt::format(" --{} {}", name, quoted(text_of(value)));
}

}  // namespace

ordered_json settings(const RunConfig& c) {
  // A field added to RunConfig has to be added here, and below, or this does not compile.
  [[maybe_unused]] const auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
                                f24, f25, f26, f27, f28, f29, f30, f31, f32, f33] = c;
  return {{"model", c.model},
          {"data", data::absolute(c.data)},
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
    if (name != "threads" && name != "check-numerics") out[name] = valid_utf8(text_of(value));  // a path need not be
  }
  return out;
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
