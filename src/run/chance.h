// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/data.h>
#include <mixgrad/train.h>

#include <string>

namespace mixgrad {

/// What the best guess that ignores the images scores on `set`: the share of the largest class, or, where a network
/// reconstructs, the mean squared error of the mean image.
train::Score score_of_constant(const data::Dataset& set);

/// Whether `score` on `set` is hardly better than that guess.
bool is_near_chance(const train::Score& score, const data::Dataset& set);

}  // namespace mixgrad
