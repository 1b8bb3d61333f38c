// SPDX-License-Identifier: Apache-2.0
// Reports on a run: the table at its end, and a page with charts.
#pragma once

#include <mixgrad/run.h>

#include <string>

namespace mixgrad::report {

/// The table printed at the end of a run, at most 100 columns wide: bits of every layer, costs, accuracies.
std::string table(const RunConfig& config, const RunResult& result);

/// Per-class figures and, of a few classes, the matrix.
std::string table(const train::Confusion& confusion);

/// The data of the report on the folder of a run or of a sweep (sweep.csv and a run's folder per point), as JSON.
/// Throws bad_input if it is neither, or a file in it is corrupt.
std::string page_data(const std::string& path);
/// An HTML page that shows such data; it needs neither a network connection nor other files.
std::string page(const std::string& data);
/// Writes report.html into the folder of a run or a sweep and returns its path. Throws like page_data.
std::string write_page(const std::string& path);

}  // namespace mixgrad::report
