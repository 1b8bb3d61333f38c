// SPDX-License-Identifier: Apache-2.0
// What a mistyped word was meant to be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mixgrad {

/// The one of `choices` that `word` is nearest to by letters that are wrong, missing, too many or swapped (the Damerau-
/// Levenshtein distance without regard to case), up to a third of its letters; the first of several. Otherwise the only
/// one that has `word` for its first or last part, as batch-size has batch. "" where none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& choices);

/// "; did you mean resnet8?", to end a message with; nothing for no word.
std::string did_you_mean(const std::string& meant);

}  // namespace mixgrad
