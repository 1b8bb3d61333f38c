// SPDX-License-Identifier: Apache-2.0
// The data of a report on a front: its points, its training, and runs to compare them with.
#include "page_data.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/settings.h>
#include <mixgrad/task.h>

#include <src/internal/text.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <span>
#include <string_view>

namespace mixgrad::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* table_name = "front.csv";
constexpr std::string_view layer_prefix = "bits:";
constexpr int most_bits = 32;  // of a layer that stays float

/// The columns of every front; its costs and then its layers follow.
enum Column { cost, unit, limit, found, share, metric, validation, first_cost };
constexpr const char* column_names[first_cost] = {"cost", "unit", "limit", "found", "share", "metric", "validation"};

const train::Metric* find_metric(const std::string& name) {
  for (const train::Task& task : train::tasks()) {
    if (task.metric.name == name) return &task.metric;
    if (task.on_maps && task.on_maps->metric.name == name) return &task.on_maps->metric;
  }
  return nullptr;
}

/// front.csv, read into what the page draws.
class FrontTable {
 public:
  explicit FrontTable(const fs::path& file) : file_(file.string()), table_(read_csv(file)) {
    name_columns();
    if (table_.rows.empty()) bad_input("{}: has no points: expected at least one", file_);
  }

  ordered_json data() const {
    ordered_json costs = ordered_json::array(), points = ordered_json::array();
    for (const CsvTable::Row& row : table_.rows) points.push_back(point(row));
    for (const std::string& name : costs_) costs.push_back(about_cost(name));
    const train::Metric& m = *find_metric(table_.rows[0].fields[metric]);
    return {
        {"metric",
         {{"name", m.name}, {"label", m.label}, {"larger_is_better", m.larger_is_better}, {"is_share", m.is_share}}},
        {"costs", std::move(costs)},
        {"layers", layers_},
        {"points", std::move(points)}};
  }

 private:
  void name_columns() {
    const std::vector<std::string>& names = table_.columns;
    bool fits = names.size() > first_cost && std::ranges::equal(column_names, std::span(names).first(first_cost));
    for (size_t i = first_cost; i < names.size(); ++i) {
      if (names[i].starts_with(layer_prefix))
        layers_.push_back(names[i].substr(layer_prefix.size()));
      else if (layers_.empty())
        costs_.push_back(names[i]);
      else
        fits = false;
    }
    if (!fits || costs_.empty() || layers_.empty())
      bad_input("{}:1: corrupt: expected the columns {}, then costs and {}LAYER", file_, fmt::join(column_names, ","),
                layer_prefix);
  }

  [[noreturn]] void refuse(const CsvTable::Row& row, size_t column, const char* expected) const {
    bad_input("{}:{}: corrupt: {} '{}': expected {}", file_, row.line, shortened(table_.columns[column]),
              shortened(row.fields[column]), expected);
  }

  /// NaN if the field says so.
  double number(const CsvTable::Row& row, size_t column) const {
    const std::string& text = row.fields[column];
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) refuse(row, column, "a number");
    return value;
  }
  double amount(const CsvTable::Row& row, size_t column) const {
    const double value = number(row, column);
    if (!std::isfinite(value) || value < 0) refuse(row, column, "a number that is 0 or more");
    return value;
  }
  double mean_bits(const CsvTable::Row& row, size_t column) const {
    const double value = amount(row, column);
    if (value > most_bits) refuse(row, column, "0 to 32 bits");
    return value;
  }

  ordered_json point(const CsvTable::Row& row) const {
    if (std::ranges::find(costs_, row.fields[cost]) == costs_.end()) refuse(row, cost, "a cost with a column");
    if (find_metric(row.fields[metric]) == nullptr || row.fields[metric] != table_.rows[0].fields[metric])
      refuse(row, metric, "the metric of a task, the same for all points");
    const size_t first_layer = first_cost + costs_.size();
    ordered_json costs = ordered_json::array(), bits = ordered_json::array();
    for (size_t i = first_cost; i < first_layer; ++i) costs.push_back(amount(row, i));
    for (size_t i = first_layer; i < row.fields.size(); ++i) bits.push_back(mean_bits(row, i));
    return {{"cost", row.fields[cost]},
            {"limit", amount(row, limit)},
            {"validation", number(row, validation)},  // JSON's null if it is not finite
            {"costs", std::move(costs)},
            {"bits", std::move(bits)}};
  }

  /// What the budgets on a cost tell about it: its unit, and its value at uniform 8 bits if that is defined.
  ordered_json about_cost(const std::string& name) const {
    ordered_json out = {{"name", name}, {"unit", ""}, {"uniform8", nullptr}};
    for (const CsvTable::Row& row : table_.rows) {
      if (row.fields[cost] != name) continue;
      out["unit"] = row.fields[unit];
      if (!row.fields[share].empty() && amount(row, share) > 0)
        out["uniform8"] = amount(row, found) / amount(row, share);
    }
    return out;
  }

  std::string file_;
  CsvTable table_;
  std::vector<std::string> costs_, layers_;
};

/// The front's settings by name; null if only its table is left. They stay text: a table of costs may have moved.
ordered_json settings(const fs::path& folder) {
  const fs::path file = folder / "front.safetensors";
  std::error_code error;
  if (!fs::exists(file, error)) return nullptr;
  const auto texts = io::read_safetensors(file).part("settings/").metadata;
  ordered_json out;
  for (const Setting& s : run_settings()) {
    const auto text = texts.find(s.name);
    if (s.in_front != Setting::InFront::no && text != texts.end()) out[s.name] = text->second;
  }
  return out;
}

/// Whether the run was picked from this front.
bool is_picked(const ordered_json& summary, const fs::path& front) {
  const std::string from = summary.value("config", ordered_json::object()).value("from-front", "");
  std::error_code error;
  return !from.empty() && fs::weakly_canonical(from, error) == fs::weakly_canonical(front, error);
}

/// The metric of a run; "" in summaries from before tasks had names.
std::string metric_of(const ordered_json& summary) {
  return summary.value("metric", ordered_json::object()).value("name", "");
}

/// A run as a front's page shows it.
ordered_json run_beside(const RunPlace& run, const fs::path& front, const std::string& metric) {
  ordered_json summary = read_summary(run);
  summary.erase("layers");  // by far the longest part, and not shown
  try {
    const std::string measured = metric_of(summary);
    if (!measured.empty() && measured != metric)
      bad_input("{}: its metric is the {}, that of the front the {}: expected a run of the same task",
                run.folder.string(), measured, metric);
    const bool picked = is_picked(summary, front);
    return {{"name", run.name}, {"picked", picked}, {"summary", std::move(summary)}};
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: corrupt: expected the summary of a run", (run.folder / "summary.json").string());
  }
}

}  // namespace

bool holds_front(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / table_name, error);
}

ordered_json front_data(const fs::path& folder, const std::vector<std::string>& beside) {
  ordered_json out = {{"kind", "front"}};
  out.update(FrontTable(folder / table_name).data());
  out["settings"] = settings(folder);
  out["metrics"] = read_lines(folder / "metrics.jsonl");
  ordered_json& runs = out["beside"] = ordered_json::array();
  for (const fs::path other : beside) {
    for (RunPlace run : runs_in(other)) {
      if (run.folder != other)  // a point: several sweeps may have one of this name
        run.name = run.folder.parent_path().filename() / run.name;
      runs.push_back(run_beside(run, folder, out["metric"]["name"]));
    }
  }
  return out;
}

}  // namespace mixgrad::report
