// SPDX-License-Identifier: Apache-2.0
#include "chance.h"

#include <algorithm>

namespace mixgrad {
namespace {

/// Mean over an image's values of their variance over the images.
double mean_variance(const data::Dataset& set) {
  constexpr int64_t at_once = 256;
  data::Loader loader(set, {.batch_size = at_once});
  loader.start(0);
  const auto values = static_cast<size_t>(set.image_values());
  std::vector<double> sum(values), squares(values);
  for (int64_t i = 0; i < loader.batches(); ++i) {
    const data::Batch batch = loader.batch(i);
    const std::span<const float> x = batch.x.data();
    for (size_t k = 0; k < x.size(); ++k) {
      sum[k % values] += static_cast<double>(x[k]);
      squares[k % values] += static_cast<double>(x[k]) * x[k];
    }
  }
  const auto n = static_cast<double>(set.size());
  double total = 0;
  for (size_t k = 0; k < values; ++k) total += squares[k] / n - sum[k] / n * (sum[k] / n);
  return total / static_cast<double>(values);
}

}  // namespace

train::Score score_of_constant(const data::Dataset& set) {
  if (set.labels.empty())
    return {.loss = mean_variance(set) * static_cast<double>(set.size()), .images = set.size(), .classifies = false};
  std::vector<int64_t> count(static_cast<size_t>(set.classes()));
  for (const int32_t label : set.labels) ++count[static_cast<size_t>(label)];
  return {.correct = std::ranges::max(count), .images = set.size()};
}

bool is_near_chance(const train::Score& score, const data::Dataset& set) {
  constexpr double share = 0.1;  // of the way from chance to a perfect network
  const train::Score constant = score_of_constant(set);
  if (!score.classifies) return score.mean_loss() > (1 - share) * constant.mean_loss();
  const double chance = constant.accuracy();
  return score.accuracy() < std::min(2 * chance, chance + share * (1 - chance));
}

}  // namespace mixgrad
