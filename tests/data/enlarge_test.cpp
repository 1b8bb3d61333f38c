// SPDX-License-Identifier: Apache-2.0
// Enlarged parts of images, as random changes in training.
#include <mixgrad/data.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

using namespace mixgrad;

TEST_CASE("loader: enlarged parts have the drawn area, lie everywhere in the image and change its proportions") {
  data::Dataset set{"ramps", 2, 40, 60, {}, {}, {}};  // channel 0 grows by 4 a row, channel 1 by 4 a column
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < 60; ++x) set.pixels.insert(set.pixels.end(), {uint8_t(4 * y), uint8_t(4 * x)});
  }
  data::Loader loader(set, {.augmentation = {.flip = true, .least_area = 0.4}, .seed = 3});
  double least = 1, most = 0, narrow = 10, wide = 0, top = 1, bottom = 0;
  int mirrored = 0;
  constexpr int visits = 400;
  for (int epoch = 0; epoch < visits; ++epoch) {
    loader.start(epoch);
    const std::vector<float> image = loader.batch(0).x.to_vector();
    const auto at = [&](size_t c, size_t y, size_t x) { return 255.0 * image[(c * 40 + y) * 60 + x] / 4; };
    // Positions are exact where the sampled part does not reach past the image.
    const double height = (at(0, 30, 30) - at(0, 10, 30)) / 20, width = (at(1, 20, 40) - at(1, 20, 20)) / 20;
    mirrored += width < 0;
    const double area = height * std::abs(width), stretch = std::abs(width) / height;
    least = std::min(least, area), most = std::max(most, area);
    narrow = std::min(narrow, stretch), wide = std::max(wide, stretch);
    top = std::min(top, at(0, 20, 30) / 40), bottom = std::max(bottom, at(0, 20, 30) / 40);
  }
  CHECK(least > 0.38);
  CHECK(least < 0.45);
  CHECK(most > 0.9);
  CHECK(most < 1.02);
  CHECK(narrow > 0.74);
  CHECK(narrow < 0.8);
  CHECK(wide > 1.25);
  CHECK(wide < 1.35);
  CHECK(top < 0.4);
  CHECK(bottom > 0.6);
  CHECK(std::abs(mirrored - visits / 2) < 50);

  data::Dataset floats = set;
  floats.pixels.clear();
  for (const uint8_t v : set.pixels) floats.features.push_back(static_cast<float>(v) / 255.0F);
  data::Loader other(floats, {.augmentation = {.flip = true, .least_area = 0.4}, .seed = 3});
  const std::vector<float> a = loader.batch(0).x.to_vector(),
                           b = (other.start(visits - 1), other.batch(0).x).to_vector();
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]));
  CHECK(worst > 0);
  CHECK(worst < 0.51 / 255);
}
