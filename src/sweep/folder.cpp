// SPDX-License-Identifier: Apache-2.0
#include "folder.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <src/internal/json.h>

#include <algorithm>
#include <string_view>

namespace mixgrad::sweep {
namespace {

namespace fs = std::filesystem;

constexpr const char* settings_name = "settings.toml";

bool stands(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// The first difference between two sets of settings: "lr = 0.1, now lr = 0.15".
std::string difference(std::string_view before, std::string_view now) {
  const auto line = [](std::string_view& rest) {
    const std::string_view first = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), first.size() + 1));
    return first;
  };
  while (!before.empty() || !now.empty()) {
    const std::string_view a = line(before), b = line(now);
    if (a != b) return fmt::format("{}, now {}", a.empty() ? "nothing" : a, b.empty() ? "nothing" : b);
  }
  return "none";
}

std::optional<double> number(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

std::optional<double> share(const nlohmann::json& summary, const char* cost) {
  const auto part = number(summary.at("cost"), cost), whole = number(summary.at("cost_uniform8"), cost);
  return part && whole && *whole > 0 ? std::optional(*part / *whole) : std::nullopt;
}

/// Summaries written before tasks had names hold an accuracy, or null where the mean squared error is what counts.
bool names_metric(const nlohmann::json& summary) { return summary.contains("metric"); }

train::Metric metric(const nlohmann::json& summary) {
  if (!names_metric(summary))
    return train::find_task(number(summary, "final_accuracy") ? "classify" : "reconstruct").metric;
  const nlohmann::json& m = summary.at("metric");
  return {.name = m.at("name").get<std::string>(),
          .label = m.at("label").get<std::string>(),
          .larger_is_better = m.at("larger_is_better").get<bool>(),
          .is_share = m.at("is_share").get<bool>()};
}

std::optional<double> metric_of(const nlohmann::json& summary, const std::string& stage) {
  if (names_metric(summary)) return number(summary, (stage + "_metric").c_str());
  const bool accuracy = metric(summary).name == "accuracy";
  return number(summary, (stage + (accuracy ? "_accuracy" : "_loss")).c_str());
}

}  // namespace

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) bad_input("out: can't create folder {}: {}", path.string(), error.message());
  io::check_folder(path);
}

bool SubFolder::finished() const {
  if (!stands(path_ / settings_name)) {
    if (stands(path_ / result_))
      bad_input("out: {} holds a run that is not part of a sweep: choose another folder, or give --overwrite",
                path_.string());
    return false;
  }
  const std::string before = io::read_file(path_ / settings_name);
  if (before != settings_) {
    bad_input("out: {} has a run with other settings ({}): choose another folder, or give --overwrite", path_.string(),
              difference(before, settings_));
  }
  return stands(path_ / result_);
}

void SubFolder::prepare(bool overwrite) const {
  std::error_code error;
  if (overwrite || stands(path_ / settings_name)) fs::remove_all(path_, error);
  fs::create_directories(path_, error);
  if (error) failed_run("can't create folder {}: {}", path_.string(), error.message());
  io::write_file(path_ / settings_name, settings_);
}

Row read_row(const Point& point, const std::string& file) {
  try {
    const auto summary = parse_json(io::read_file(file));
    Row row{.point = point};
    if (is_search(point.config.method) && point.config.target.empty()) row.strength = number(summary, "strength");
    row.metric = metric(summary);
    row.float_metric = metric_of(summary, "float");
    row.final_metric = metric_of(summary, "final");
    row.final_loss = number(summary, "final_loss");
    row.size_bits = number(summary.at("cost"), "size");
    row.size_share = share(summary, "size");
    row.macs_share = share(summary, "macs");
    return row;
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: corrupt: expected the summary of a run", file);
  }
}

}  // namespace mixgrad::sweep
