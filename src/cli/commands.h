// SPDX-License-Identifier: Apache-2.0
// The subcommands: each function adds one to the command line, with the action that it runs. One adds --version.
#pragma once

#include <mixgrad/communicator.h>

#include <CLI/CLI.hpp>

#include <string>

namespace mixgrad::cli {

/// The version, and what determines the speed of this build on this machine.
std::string version_text();
void add_version(CLI::App& app);
void add_search(CLI::App& app, const Communicator& communicator);
void add_front(CLI::App& app, const Communicator& communicator);
void add_pick(CLI::App& app);
void add_sweep(CLI::App& app, const Communicator& communicator);
void add_train(CLI::App& app);
void add_eval(CLI::App& app);
void add_predict(CLI::App& app);
void add_verify(CLI::App& app);
void add_export(CLI::App& app);
void add_profile(CLI::App& app);
void add_cost_table(CLI::App& app);
void add_inspect(CLI::App& app);
void add_report(CLI::App& app);
void add_bench(CLI::App& app);
void add_doctor(CLI::App& app);
void add_completion(CLI::App& app);

}  // namespace mixgrad::cli
