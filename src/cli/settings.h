// SPDX-License-Identifier: Apache-2.0
// The settings of a run that decide what comes out of it, as flags: shared by the subcommands that run.
#pragma once

#include "options.h"

#include <mixgrad/run.h>

namespace mixgrad::cli {

/// All of a search, its warm-up included.
void add_search_settings(Options& options, RunConfig& config);
/// Those of the warm-up alone.
void add_train_settings(Options& options, RunConfig& config);

// What values look like, for Options::add.
constexpr const char *scheme_form = "per-layer|per-channel", *dtype_form = "f32|bf16|auto",
                     *phase_form = "search|float", *method_form = "dnas|uniform|sensitivity|random",
                     *folder_form = "DIR", *file_form = "FILE";
std::string model_form();
std::string data_form();
std::string loss_form();
std::string regularizer_form();

}  // namespace mixgrad::cli
