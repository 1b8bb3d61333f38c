// SPDX-License-Identifier: Apache-2.0
// The parts of a report's data, each from one file of a run.
#pragma once

#include <mixgrad/graph.h>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace mixgrad::report {

/// The lines of a file of JSON values. Throws bad_input naming file and line.
nlohmann::ordered_json read_lines(const std::filesystem::path& file);
/// history.jsonl with what a page draws: temperature, and per α its bits, θ in percent and the mean α of each
/// candidate, all by epoch. Throws bad_input naming file and line.
nlohmann::ordered_json read_replay(const std::filesystem::path& file);
/// Per layer the name that its output's α has, and per bit-width a histogram of w / max|w_c|, the quantizer's levels on
/// that scale, and the weights at each.
nlohmann::ordered_json histograms(const Graph& network);

}  // namespace mixgrad::report
