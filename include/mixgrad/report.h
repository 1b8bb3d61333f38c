// SPDX-License-Identifier: Apache-2.0
// What is shown of a run: the table at its end, and a page with charts.
#pragma once

#include <mixgrad/run.h>

#include <string>

namespace mixgrad::report {

/// The table at the end of a run, at most 100 columns wide: bits of every layer, costs, accuracies.
std::string table(const RunConfig& config, const RunResult& result);

/// What a report shows of a run's folder, or of a sweep's (sweep.csv and a run's folder per point), as JSON. Throws
/// bad_input when it is neither, or a file in it is damaged.
std::string page_data(const std::string& path);
/// A page of HTML that shows such data; it needs no network and no other file.
std::string page(const std::string& data);
/// Writes report.html into the folder of a run or a sweep; returns its path. Throws like page_data.
std::string write_page(const std::string& path);

}  // namespace mixgrad::report
