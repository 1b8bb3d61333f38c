// SPDX-License-Identifier: Apache-2.0
// Reports on a run: the table at its end, and a page with charts.
#pragma once

#include <mixgrad/front_run.h>
#include <mixgrad/run.h>

#include <string>
#include <vector>

namespace mixgrad::report {

/// The table printed at the end of a run, at most 100 columns wide: bits of every layer, costs, accuracies.
std::string table(const RunConfig& config, const RunResult& result);

/// The points of a front, printed after its training, and the same as JSON.
std::string table(const FrontResult& result);
std::string front_json(const FrontResult& result);

/// Per-class figures and, of a few classes, the matrix.
std::string table(const train::Confusion& confusion);

/// The data of the report on the folder of a run, of a sweep (sweep.csv and a run's folder per point) or of a front
/// (front.csv), as JSON. `beside`: folders of runs and sweeps to show beside a front. Throws bad_input if the folder is
/// none of these, a file in it is corrupt, or other folders are given for a run or a sweep.
std::string page_data(const std::string& path, const std::vector<std::string>& beside = {});
/// An HTML page that shows such data; it needs neither a network connection nor other files.
std::string page(const std::string& data);
/// Writes report.html into the folder of a run, a sweep or a front and returns its path. Throws like page_data.
std::string write_page(const std::string& path);
/// The same with runs beside a front; write_page is passed on as a function of the path alone.
std::string write_page_beside(const std::string& path, const std::vector<std::string>& beside);

}  // namespace mixgrad::report
