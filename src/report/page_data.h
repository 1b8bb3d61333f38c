// SPDX-License-Identifier: Apache-2.0
// Parts of a report's data, each read from one file of a run.
#pragma once

#include <mixgrad/graph.h>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace mixgrad::report {

/// The lines of a file of JSON values. Throws bad_input naming file and line.
nlohmann::ordered_json read_lines(const std::filesystem::path& file);
/// The data of history.jsonl that the page draws, by epoch: the temperature and, for each α, its bits, θ in percent and
/// the mean α of each candidate. Throws bad_input naming file and line.
nlohmann::ordered_json read_replay(const std::filesystem::path& file);
/// For each layer, the name of its output's α; for each of its bit-widths, a histogram of w / max|w_c|, the quantizer's
/// levels on that scale, and the number of weights at each level.
nlohmann::ordered_json histograms(const Graph& network);

}  // namespace mixgrad::report
