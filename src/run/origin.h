// SPDX-License-Identifier: Apache-2.0
// What a finished run's folder says about where its network is from.
#pragma once

#include <mixgrad/run.h>

#include <cstdint>
#include <string>

namespace mixgrad {

/// The part of a summary that says what a run was made from.
struct Origin {
  std::string model, data;  // model: for a file, its name without the folder
  uint64_t data_seed = 0;
  data::Layout layout = data::Layout::automatic;
  bool skip_unreadable = false;
};
/// Throws bad_input if `folder` holds no finished run.
Origin read_origin(const std::string& folder);

/// How images are read for the network of a run, which takes them of shape `input`.
data::ReadOptions read_options(const Origin& origin, const Shape& input);

/// The float network that a run's task imitates.
void write_teacher(const train::Teacher& teacher, const std::string& file);
train::Teacher read_teacher(const std::string& file);

/// The text of confusion.json.
std::string confusion_text(const RunResult& result);

}  // namespace mixgrad
