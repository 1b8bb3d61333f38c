// SPDX-License-Identifier: Apache-2.0
// Parts of a report's data, each read from one file or folder.
#pragma once

#include <mixgrad/graph.h>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace mixgrad::report {

/// A table with the names of its columns in the first line. Quoted fields may contain commas, line feeds, and doubled
/// quotes for a quote.
struct CsvTable {
  struct Row {
    int line;  ///< where it begins
    std::vector<std::string> fields;
  };
  std::vector<std::string> columns;
  std::vector<Row> rows;  ///< as many fields as columns
};
/// Throws bad_input naming file and line of a row with another number of fields.
CsvTable read_csv(const std::filesystem::path& file);

/// The lines of a file of JSON values. Throws bad_input naming file and line.
nlohmann::ordered_json read_lines(const std::filesystem::path& file);
/// The data of history.jsonl that the page draws, by epoch: the temperature and, for each α, its bits, θ in percent and
/// the mean α of each candidate. Throws bad_input naming file and line.
nlohmann::ordered_json read_replay(const std::filesystem::path& file);
/// For each layer, the name of its output's α; for each of its bit-widths, a histogram of w / max|w_c|, the quantizer's
/// levels on that scale, and the number of weights at each level.
nlohmann::ordered_json histograms(const Graph& network);

/// The activation memory of the network's C package: its size, the names of its nodes, and the blocks in it
/// (ArenaBlock). Null if the network has no integer form.
nlohmann::ordered_json memory_map(const Graph& network);

/// The folder of a finished run, and the run's name on the page.
struct RunPlace {
  std::filesystem::path folder;
  std::string name;
};
/// A run, or all points of a sweep. Throws bad_input if the folder holds neither; `others`: what else could be there.
std::vector<RunPlace> runs_in(const std::filesystem::path& folder, const char* others = "");
/// Throws bad_input if the summary is missing or corrupt.
nlohmann::ordered_json read_summary(const RunPlace& run);

/// Whether it is the folder of a front, with its table.
bool holds_front(const std::filesystem::path& folder);
/// The data of a report on a front, with the runs and sweeps in other folders beside it.
nlohmann::ordered_json front_data(const std::filesystem::path& folder, const std::vector<std::string>& beside);

}  // namespace mixgrad::report
