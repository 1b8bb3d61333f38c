// SPDX-License-Identifier: Apache-2.0
// The data of a report, read from the files of a run or of all runs of a sweep.
#include "page_data.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>

#include <src/internal/json.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

namespace mixgrad::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char *sweep_name = "sweep.csv", *metrics_name = "metrics.jsonl", *history_name = "history.jsonl";

/// Calls `use(line, number)` for every non-empty line, numbered from 1.
template <typename Use>
void each_line(const std::string& content, Use&& use) {
  int number = 0;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    std::string_view line(content.data() + begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    if (!line.empty()) use(line, number);
    begin = end + 1;
  }
}

/// Calls `use` with the JSON value of every line.
template <typename Use>
void each_value(const fs::path& file, Use&& use) {
  each_line(io::read_file(file), [&](std::string_view line, int number) {
    try {
      use(parse_ordered_json(line));
    } catch (const nlohmann::json::exception&) {
      bad_input("{}:{}: corrupt: expected an epoch of a run, as one line of JSON", file.string(), number);
    }
  });
}

int percent(double share) { return static_cast<int>(std::lround(100 * share)); }

/// θ [P] or [P, C] in percent, and the mean α of each candidate [P].
void add_epoch(ordered_json& alpha, const ordered_json& line) {
  ordered_json theta = ordered_json::array(), mean = ordered_json::array();
  for (const ordered_json& row : line.at("theta")) {
    if (row.is_number()) {
      theta.push_back(percent(row.get<double>()));
      continue;
    }
    ordered_json& channels = theta.emplace_back(ordered_json::array());
    for (const ordered_json& t : row) channels.push_back(percent(t.get<double>()));
  }
  for (const ordered_json& row : line.at("alpha")) {
    double total = 0;
    for (const ordered_json& a : row) total += a.get<double>();  // iterating over a number gives the number itself
    mean.push_back(std::round(1e4 * total / static_cast<double>(std::max<size_t>(row.size(), 1))) / 1e4);
  }
  alpha["theta"].push_back(std::move(theta));
  alpha["alpha"].push_back(std::move(mean));
}

/// How the float network and the one found confuse classes.
ordered_json read_confusion(const fs::path& file) {
  try {
    ordered_json all = parse_ordered_json(io::read_file(file));
    if (all.at("of").is_string() && all.at("truth").is_string()) {
      for (const char* network : {"float", "found"}) {
        if (all.at(network).at("classes").size() != all.at(network).at("confusion").size()) throw std::out_of_range("");
      }
      return all;
    }
  } catch (const std::exception&) {
  }
  bad_input("{}: corrupt: expected the confusion of classes of a run", file.string());
}

ordered_json read_run(const RunPlace& place) {
  const fs::path& folder = place.folder;
  ordered_json run = {
      {"name", place.name}, {"summary", read_summary(place)}, {"metrics", read_lines(folder / metrics_name)}};
  std::error_code error;
  if (fs::exists(folder / history_name, error)) run["history"] = read_replay(folder / history_name);
  if (fs::exists(folder / "confusion.json", error)) run["confusion"] = read_confusion(folder / "confusion.json");
  const Graph network = load_graph(folder / "model.safetensors");
  run["weights"] = histograms(network);
  run["memory"] = memory_map(network);
  return run;
}

/// The points of a sweep: the column "name".
std::vector<RunPlace> points_of(const fs::path& folder) {
  const fs::path file = folder / sweep_name;
  const CsvTable table = read_csv(file);
  const auto column = std::ranges::find(table.columns, "name") - table.columns.begin();
  if (column == std::ssize(table.columns))
    bad_input("{}: no column 'name': expected the sweep.csv of a sweep", file.string());
  std::vector<RunPlace> out;
  for (const CsvTable::Row& row : table.rows) {
    const std::string& name = row.fields[static_cast<size_t>(column)];
    if (name.empty()) bad_input("{}:{}: corrupt: expected the name of a point", file.string(), row.line);
    out.push_back({.folder = folder / name, .name = name});
  }
  if (out.empty()) bad_input("{}: has no points: expected at least one", file.string());
  return out;
}

bool holds_sweep(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / sweep_name, error);
}

/// The epochs of a search or of a front's training that has begun in the folder and has not ended; else empty.
ordered_json unfinished_epochs(const fs::path& folder) {
  std::error_code error;
  for (const char* result : {sweep_name, "summary.json", "float.safetensors"}) {
    if (fs::exists(folder / result, error)) return ordered_json::array();
  }
  return fs::exists(folder / metrics_name, error) ? read_lines(folder / metrics_name) : ordered_json::array();
}

/// What the page calls a folder, even where its path ends with a slash.
std::string name_of_folder(const fs::path& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

ordered_json read_lines(const fs::path& file) {
  ordered_json out = ordered_json::array();
  each_value(file, [&](const ordered_json& value) { out.push_back(value); });
  return out;
}

ordered_json read_replay(const fs::path& file) {
  ordered_json out = {{"tau", ordered_json::array()}, {"alphas", ordered_json::array()}};
  each_value(file, [&](const ordered_json& epoch) {
    const ordered_json& lines = epoch.at("alphas");
    out["tau"].push_back(epoch.at("tau").get<double>());
    for (size_t i = 0; i < lines.size(); ++i) {
      if (i >= out["alphas"].size())
        out["alphas"].push_back(
            {{"name", lines[i].at("name")}, {"nodes", lines[i].at("nodes")}, {"bits", lines[i].at("bits")}});
      add_epoch(out["alphas"].at(i), lines[i]);
    }
  });
  return out;
}

ordered_json read_summary(const RunPlace& run) {
  const fs::path file = run.folder / "summary.json";
  try {
    ordered_json summary = parse_ordered_json(io::read_file(file));
    if (summary.at("cost").is_object() && summary.at("layers").is_array()) return summary;
  } catch (const nlohmann::json::exception&) {
  }
  bad_input("{}: corrupt: expected the summary of a run, with its cost and layers", file.string());
}

std::vector<RunPlace> runs_in(const fs::path& folder, const char* others) {
  check_existing_folder(folder, "a run or a sweep");
  if (holds_sweep(folder)) return points_of(folder);
  std::error_code error;
  if (!fs::exists(folder / "summary.json", error))
    bad_input("{}: expected a folder with a finished run (summary.json) or a sweep (sweep.csv){}", folder.string(),
              others);
  return {{.folder = folder, .name = name_of_folder(folder)}};
}

std::string page_data(const std::string& path, const std::vector<std::string>& beside) {
  check_existing_folder(path, "a run, a sweep or a front");
  const fs::path folder = path;
  ordered_json all = {{"kind", ""}, {"name", name_of_folder(folder)}, {"version", MIXGRAD_VERSION}};
  if (holds_front(folder)) {
    all.update(front_data(folder, beside));
    return json_text(all);  // the name of a folder may not be UTF-8
  }
  if (!beside.empty()) bad_input("{}: is not a front: expected no folders to show beside it", path);
  if (ordered_json epochs = unfinished_epochs(folder); !epochs.empty()) {
    all["kind"] = "running";
    all["metrics"] = std::move(epochs);
    std::error_code error;
    if (fs::exists(folder / history_name, error)) all["history"] = read_replay(folder / history_name);
  } else {
    all["kind"] = holds_sweep(folder) ? "sweep" : "run";
    for (const RunPlace& run : runs_in(folder, ", or a front (front.csv)")) all["runs"].push_back(read_run(run));
  }
  return json_text(all);
}

}  // namespace mixgrad::report
