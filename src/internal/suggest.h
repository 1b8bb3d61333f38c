// SPDX-License-Identifier: Apache-2.0
// Suggestions for mistyped words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mixgrad {

/// The first of the `choices` nearest to `word` in Damerau-Levenshtein distance, ignoring case, if the distance is at
/// most a third of the length. Otherwise the only choice with `word` as its first or last part (batch for batch-size),
/// or "".
std::string nearest(std::string_view word, const std::vector<std::string>& choices);

/// "; did you mean resnet8?", to append to a message; "" for an empty word.
std::string did_you_mean(const std::string& meant);

}  // namespace mixgrad
