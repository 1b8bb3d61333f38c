// SPDX-License-Identifier: Apache-2.0
// A front as files: what can be picked from, and a table of what there is to pick.
#include "file_names.h"
#include "front.h"

#include <mixgrad/error.h>
#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>
#include <mixgrad/settings.h>

#include <src/internal/json.h>
#include <src/internal/text.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

namespace mixgrad {
namespace {

constexpr const char *float_prefix = "float/", *cost_key = "cost", *limit_key = "limit", *data_key = "data",
                     *score_key = "score", *confusion_key = "confusion";

std::string segment_prefix(size_t i) { return fmt::format("segment/{}/", i); }

std::string larger_name(size_t i) { return fmt::format("larger.{}", i); }
std::string smaller_name(size_t i) { return fmt::format("smaller.{}", i); }
std::string losses_name(size_t i) { return fmt::format("losses.{}", i); }

io::Safetensors content_of(const Segment& segment) {
  io::Safetensors out = to_safetensors(segment.searched);
  out.metadata[cost_key] = segment.budget.model.name;
  out.metadata[limit_key] = fmt::format("{}", segment.budget.limit);
  for (size_t i = 0; i < segment.losses.size(); ++i) {
    out.tensors.emplace_back(larger_name(i), segment.larger[i]);
    out.tensors.emplace_back(smaller_name(i), segment.smaller[i]);
    out.tensors.emplace_back(losses_name(i), segment.losses[i]);
  }
  return out;
}

/// Whether every column of θ has chosen one candidate.
bool is_one_hot(const Tensor& theta) {
  const std::span<const float> values = theta.data();
  const size_t columns = values.size() / static_cast<size_t>(theta.shape()[0]);
  for (size_t c = 0; c < columns; ++c) {
    size_t ones = 0, zeros = 0;
    for (size_t i = c; i < values.size(); i += columns) {
      ones += values[i] == 1 ? 1 : 0;
      zeros += values[i] == 0 ? 1 : 0;
    }
    if (ones != 1 || ones + zeros != values.size() / columns) return false;
  }
  return true;
}

/// The budget of a segment.
Target budget_from(const io::Safetensors& content) {
  const auto cost = content.metadata.find(cost_key), limit = content.metadata.find(limit_key);
  const double value = limit == content.metadata.end() ? 0 : std::strtod(limit->second.c_str(), nullptr);
  if (cost == content.metadata.end() || !std::isfinite(value) || value <= 0)
    bad_input("{}: corrupt: expected a segment's budget as a cost and a positive limit", content.path);
  return {.model = cost::find(cost->second), .limit = value};
}

Segment segment_from(const io::Safetensors& content) {
  Segment out{
      .budget = budget_from(content), .searched = graph_from(content), .larger = {}, .smaller = {}, .losses = {}};
  for (const Parameter& alpha : out.searched.parameters(Role::alpha)) {
    const size_t i = out.losses.size();
    const Shape& shape = alpha.tensor.shape();
    const Tensor larger = content.at(larger_name(i)), smaller = content.at(smaller_name(i)),
                 losses = content.at(losses_name(i));
    if (losses.shape() != shape || larger.shape() != shape || smaller.shape() != shape || !is_one_hot(larger) ||
        !is_one_hot(smaller) || !std::ranges::all_of(losses.data(), [](float loss) { return std::isfinite(loss); }))
      bad_input("{}: corrupt: the networks of a segment do not fit its candidates", content.path);
    out.larger.push_back(larger);
    out.smaller.push_back(smaller);
    out.losses.push_back(losses);
  }
  return out;
}

/// The float network and how well it does.
io::Safetensors content_of_float(const TrainedFront& front) {
  const train::Score& score = front.floating_score;
  io::Safetensors out = to_safetensors(front.floating);
  out.metadata[data_key] = front.data;
  out.metadata[score_key] = json_text(nlohmann::json{
      {"loss", score.loss}, {"measured", score.measured}, {"images", score.images}, {"counts", score.counts}});
  out.metadata[confusion_key] = train::to_json(front.floating_confusion);
  return out;
}

void read_float(const io::Safetensors& content, TrainedFront& front) {
  front.floating = graph_from(content);
  try {
    const auto score = parse_json(content.metadata.at(score_key));
    front.floating_score = {.loss = score.at("loss"),
                            .measured = score.at("measured"),
                            .images = score.at("images"),
                            .counts = score.at("counts")};
    front.data = content.metadata.at(data_key);
    front.floating_confusion = train::confusion_from_json(content.metadata.at(confusion_key), content.path);
  } catch (const std::exception&) {
    bad_input("{}: corrupt: expected the float network's score", content.path);
  }
}

io::Safetensors read_content(const std::string& folder) {
  check_existing_folder(folder, "a front");
  const std::string file = std::filesystem::path(folder) / front_name;
  std::error_code error;
  if (!std::filesystem::exists(file, error))
    bad_input("{}: expected the folder of a front ({} of mixgrad front)", folder, front_name);
  return io::read_safetensors(file);
}

/// The part with this prefix, with the file's name for messages.
io::Safetensors part_of(const io::Safetensors& content, const std::string& prefix) {
  io::Safetensors out = content.part(prefix);
  out.path = content.path;
  return out;
}

RunConfig config_from(const io::Safetensors& content) {
  RunConfig config;
  const auto settings = content.part(settings_prefix).metadata;
  for (const Setting& s : run_settings()) {
    const auto found = settings.find(s.name);
    if (s.in_front == Setting::InFront::no || found == settings.end()) continue;
    if (found->second != value_text(s.member(config))) set_from_text(s.of(config), found->second);
  }
  return config;
}

}  // namespace

io::Safetensors front_file(const TrainedFront& front) {
  io::Safetensors out;
  out.put(float_prefix, content_of_float(front));
  for (size_t i = 0; i < front.front.segments.size(); ++i)
    out.put(segment_prefix(i), content_of(front.front.segments[i]));
  out.put(settings_prefix, {.tensors = {}, .metadata = decisive_settings(front.config)});
  return out;
}

TrainedFront read_front(const std::string& folder) {
  const io::Safetensors content = read_content(folder);
  TrainedFront out{.config = config_from(content), .front = {}, .floating = {}, .data = {}};
  read_float(part_of(content, float_prefix), out);
  for (size_t i = 0;; ++i) {
    const io::Safetensors part = part_of(content, segment_prefix(i));
    if (part.tensors.empty()) break;
    out.front.segments.push_back(segment_from(part));
  }
  if (out.front.segments.empty())
    bad_input("{}: the front has no segments: expected one trained by this version of mixgrad", content.path);
  return out;
}

RunConfig settings_from_front(const std::string& folder) {
  RunConfig config = config_from(read_content(folder));
  const RunConfig defaults;
  config.warmup_epochs = config.search_epochs = config.finetune_epochs = 0;
  config.search_lr /= 4;  // the front's training has ended at 0, and a full rise would undo much of it
  config.costs = defaults.costs;
  config.least_cost = defaults.least_cost;
  config.from_front = folder;
  return config;
}

void check_settings_of_front(const RunConfig& config, const TrainedFront& trained) {
  const std::vector<std::string> changed =
      changed_settings(decisive_settings(trained.config), config,
                       [](const Setting& s) { return s.in_front == Setting::InFront::fixes; });
  if (!changed.empty()) bad_input("from-front: {}: expected the front's own settings", changed[0]);
}

std::string front_table(const FrontResult& result) {
  std::string out = "cost,unit,limit,found,share,metric,validation";
  for (const std::string& name : result.config.costs) out += "," + report::csv_field(name);
  for (const std::string& name : result.layers) out += "," + report::csv_field("bits:" + name);
  out += "\n";
  for (const FrontPoint& p : result.points) {
    const auto at = std::ranges::find(result.config.costs, p.budget.model.name) - result.config.costs.begin();
    const double found = p.costs[static_cast<size_t>(at)];
    out += fmt::format("{},{},{:.10g},{:.10g},{},{},{:.6f}", report::csv_field(p.budget.model.name),
                       report::csv_field(p.budget.model.unit), p.budget.limit, found,
                       p.uniform8 ? fmt::format("{:.6f}", found / *p.uniform8) : "", p.validation.metric.name,
                       p.validation.value());
    for (const double cost : p.costs) out += fmt::format(",{:.10g}", cost);
    for (const double bits : p.mean_bits) out += fmt::format(",{:.4f}", bits);
    out += "\n";
  }
  return out;
}

}  // namespace mixgrad
