// SPDX-License-Identifier: Apache-2.0
#include "../../src/run/chance.h"

#include <mixgrad/task.h>

#include <doctest/doctest.h>

using namespace mixgrad;

namespace {

data::Dataset labelled(std::vector<int32_t> labels, int64_t classes) {
  data::Dataset set{.name = "set",
                    .channels = 1,
                    .height = 1,
                    .width = 1,
                    .pixels = std::vector<uint8_t>(labels.size()),
                    .labels = labels,
                    .class_names = {}};
  set.class_names.resize(static_cast<size_t>(classes));
  return set;
}

train::Score right(double correct, int64_t images) {
  return {.measured = correct, .images = images, .metric = train::find_task("classify").metric};
}

train::Score off_by(double error) {
  return {.measured = 3 * error, .images = 3, .metric = train::find_task("reconstruct").metric};
}

}  // namespace

TEST_CASE("an accuracy is near chance if it is hardly above the share of the largest class") {
  std::vector<int32_t> labels;
  for (int i = 0; i < 1000; ++i) labels.push_back(i % 10);
  const data::Dataset ten = labelled(labels, 10);
  const auto chance = train::find_task("classify").chance;
  CHECK(chance(ten) == doctest::Approx(0.1));
  CHECK(is_near_chance(right(118, 1000), chance(ten)));
  CHECK_FALSE(is_near_chance(right(300, 1000), chance(ten)));

  const data::Dataset skewed = labelled({0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, 2);
  CHECK(is_near_chance(right(8, 10), chance(skewed)));
  CHECK_FALSE(is_near_chance(right(9, 10), chance(skewed)));
}

TEST_CASE("a reconstruction is near chance if it is hardly better than the mean image") {
  data::Dataset set{.name = "set",
                    .channels = 2,
                    .height = 1,
                    .width = 1,
                    .pixels = {},
                    .labels = {},
                    .class_names = {},
                    .features = {0, 5, 2, 5, 4, 5}};
  const double variance = (8.0 / 3 + 0) / 2;  // of 0, 2, 4, and of the constant 5
  const double chance = train::find_task("reconstruct").chance(set);
  CHECK(chance == doctest::Approx(variance));
  CHECK(is_near_chance(off_by(0.95 * variance), chance));
  CHECK_FALSE(is_near_chance(off_by(0.5 * variance), chance));
}
