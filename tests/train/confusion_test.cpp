// SPDX-License-Identifier: Apache-2.0
// Counts of classes taken for each other, and the figures made from them.
#include <mixgrad/confusion.h>

#include "../refusal.h"

#include <nlohmann/json.hpp>

#include <cmath>

using namespace mixgrad;
using test::refusal;
using train::Confusion;

TEST_CASE("confusion: accuracy and overlap per class, and of all") {
  Confusion c({"cat", "dog", "cow"}, true);
  CHECK(std::isnan(c.accuracy()));
  c.add({.truth = {0, 0, 0, 1, 1}, .chosen = {0, 0, 1, 1, 2}});
  c.add({.truth = {0}, .chosen = {2}});
  CHECK(c.count(0, 0) == 2);
  CHECK(c.count(0, 2) == 1);
  CHECK(c.truths(0) == 4);
  CHECK(c.choices(1) == 2);
  CHECK(c.total() == 6);
  CHECK(c.accuracy() == doctest::Approx(0.5));
  CHECK(c.accuracy(0) == 0.5);
  CHECK(c.overlap(1) == doctest::Approx(1.0 / 3));
  CHECK(std::isnan(c.accuracy(2)));
  CHECK(c.overlap(2) == 0);
  CHECK(refusal([&] { c.add({.truth = {3}, .chosen = {0}}); }) == "[confusion] classes 3 and 0: expected 0 to 2");

  const auto json = nlohmann::json::parse(to_json(c));
  CHECK(json.at("confusion") == nlohmann::json({{2, 1, 1}, {0, 1, 1}, {0, 0, 0}}));
  CHECK(json.at("classes")[0] ==
        nlohmann::json(
            {{"name", "cat"}, {"pixels", 4}, {"correct", 2}, {"predicted", 2}, {"accuracy", 0.5}, {"iou", 0.5}}));
  CHECK(json.at("classes")[2].at("accuracy").is_null());
}

TEST_CASE("confusion: the largest score of every image or position, the first of equal ones") {
  CHECK(train::largest_scores(Tensor::from({2, 3}, std::vector<float>{1, 3, 3, -1, -2, -3})) ==
        std::vector<int32_t>{1, 0});
  const Tensor maps = Tensor::from({1, 2, 1, 3}, std::vector<float>{1, 2, 3, 3, 1, 2});
  CHECK(train::largest_scores(maps) == std::vector<int32_t>{1, 0, 0});
}

TEST_CASE("confusion: classes have the data's names if there are as many") {
  const data::Dataset set{.name = "set", .class_names = {"a", "b"}};
  CHECK(Confusion(Shape{2}, set).name(1) == "b");
  CHECK(Confusion(Shape{3}, set).name(1) == "1");
  CHECK_FALSE(Confusion(Shape{3, 1, 1}, set).of_positions());
  CHECK(Confusion(Shape{3, 1, 2}, set).of_positions());
}
