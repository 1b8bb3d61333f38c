// SPDX-License-Identifier: Apache-2.0
// A run's settings under the names of their flags.
#pragma once

#include <mixgrad/run.h>

#include <nlohmann/json.hpp>

#include <map>
#include <string>

namespace mixgrad::report {

/// Every field of RunConfig by its flag; the strength null where none was given, paths absolute.
nlohmann::ordered_json settings(const RunConfig& config);
/// Those that count for a run's result, as text: all but the threads, and what only looks on.
std::map<std::string, std::string> decisive_settings(const RunConfig& config);
/// The same run, told from any folder: its paths are absolute.
RunConfig from_any_folder(RunConfig config);
/// The command line that repeats the run from any folder: `mixgrad search` with what is not at its default, quoted for
/// a shell.
std::string command(const RunConfig& config);

}  // namespace mixgrad::report
