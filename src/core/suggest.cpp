// SPDX-License-Identifier: Apache-2.0
#include <src/internal/suggest.h>

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <numeric>

namespace mixgrad {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// Number of letters to change, insert, delete or swap with the next one to turn `b` into `a`.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before, last(b.size() + 1), row(b.size() + 1);  // for a's first i - 2, i - 1 and i letters
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

/// The largest distance that still counts as near, for words of these lengths.
size_t most_wrong(size_t a, size_t b) { return std::max<size_t>(1, std::max(a, b) / 3); }

bool is_part_of(std::string_view word, std::string_view choice) {
  constexpr size_t shortest = 3;
  return word.size() >= shortest &&
         (choice.starts_with(std::string(word) + '-') || choice.ends_with('-' + std::string(word)));
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& choices) {
  const std::string typed = lower(word);
  std::string best;
  size_t fewest = typed.size();  // an empty or entirely different word suggests nothing
  for (const std::string& choice : choices) {
    const size_t most = most_wrong(typed.size(), choice.size());
    if (std::max(typed.size(), choice.size()) - std::min(typed.size(), choice.size()) > most) continue;
    const size_t wrong = distance(typed, lower(choice));
    if (wrong <= most && wrong < fewest) {
      fewest = wrong;
      best = choice;
    }
  }
  if (!best.empty()) return best;
  const auto has_part = [&](const std::string& choice) { return is_part_of(typed, choice); };
  const auto only = std::ranges::find_if(choices, has_part);
  return only != choices.end() && std::ranges::count_if(choices, has_part) == 1 ? *only : "";
}

std::string did_you_mean(const std::string& meant) {
  return meant.empty() ? "" : fmt::format("; did you mean {}?", meant);
}

}  // namespace mixgrad
