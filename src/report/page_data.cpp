// SPDX-License-Identifier: Apache-2.0
// The data of a report, read from the files of a run or of all runs of a sweep.
#include "page_data.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/report.h>
#include <mixgrad/run_folder.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

namespace mixgrad::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

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
      use(ordered_json::parse(line));
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

ordered_json read_summary(const fs::path& file) {
  try {
    ordered_json summary = ordered_json::parse(io::read_file(file));
    if (summary.at("cost").is_object() && summary.at("layers").is_array()) return summary;
  } catch (const nlohmann::json::exception&) {
  }
  bad_input("{}: corrupt: expected the summary of a run, with its cost and layers", file.string());
}

/// How the float network and the one found confuse classes.
ordered_json read_confusion(const fs::path& file) {
  try {
    ordered_json all = ordered_json::parse(io::read_file(file));
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

ordered_json read_run(const fs::path& folder, const std::string& name) {
  ordered_json run = {{"name", name},
                      {"summary", read_summary(folder / "summary.json")},
                      {"metrics", read_lines(folder / "metrics.jsonl")}};
  std::error_code error;
  if (fs::exists(folder / "history.jsonl", error)) run["history"] = read_replay(folder / "history.jsonl");
  if (fs::exists(folder / "confusion.json", error)) run["confusion"] = read_confusion(folder / "confusion.json");
  run["weights"] = histograms(load_graph(folder / "model.safetensors"));
  return run;
}

/// The fields of a CSV line. Quoted fields may contain commas, and doubled quotes for a quote.
std::vector<std::string> fields(std::string_view line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool twice = quoted && line.substr(i, 2) == "\"\"";
    if (line[i] == '"' && !twice)
      quoted = !quoted;
    else if (line[i] == ',' && !quoted)
      out.emplace_back();
    else
      out.back() += line[i];
    if (twice) ++i;
  }
  return out;
}

/// The points of a sweep: the column "name".
std::vector<std::string> read_names(const fs::path& file) {
  std::vector<std::string> names;
  size_t column = 0, columns = 0;
  each_line(io::read_file(file), [&](std::string_view line, int number) {
    const std::vector<std::string> row = fields(line);
    if (number == 1) {
      column = static_cast<size_t>(std::ranges::find(row, "name") - row.begin());
      columns = row.size();
      if (column == columns) bad_input("{}: no column 'name': expected the sweep.csv of a sweep", file.string());
      return;
    }
    if (row.size() != columns || row[column].empty()) {
      bad_input("{}:{}: corrupt: expected {} fields, one of them a name", file.string(), number, columns);
    }
    names.push_back(row[column]);
  });
  if (names.empty()) bad_input("{}: has no points: expected at least one", file.string());
  return names;
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

std::string page_data(const std::string& path) {
  const fs::path folder = fs::absolute(path).lexically_normal();
  const std::string name = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  std::error_code error;
  check_existing_folder(path, "a run or a sweep");
  ordered_json runs = ordered_json::array();
  const bool sweep = fs::exists(folder / "sweep.csv", error);
  if (sweep) {
    for (const std::string& point : read_names(folder / "sweep.csv")) runs.push_back(read_run(folder / point, point));
  } else if (fs::exists(folder / "summary.json", error)) {
    runs.push_back(read_run(folder, name));
  } else {
    bad_input("{}: expected a folder with a finished run (summary.json) or a sweep (sweep.csv)", path);
  }
  const ordered_json all = {
      {"kind", sweep ? "sweep" : "run"}, {"name", name}, {"version", MIXGRAD_VERSION}, {"runs", std::move(runs)}};
  return all.dump(-1, ' ', false, ordered_json::error_handler_t::replace);  // the name of a folder may not be UTF-8
}

}  // namespace mixgrad::report
