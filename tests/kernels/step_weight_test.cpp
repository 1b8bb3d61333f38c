// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/quantize.h"
#include "tests/kernels/cases.h"
#include "tests/worse.h"

namespace k = mixgrad::kernels;
using mixgrad::test::Floats, mixgrad::test::noise;

namespace {

Floats positive(size_t n, uint32_t seed) {
  Floats values = noise(static_cast<int64_t>(n), seed);
  for (float& v : values) v = std::abs(v) + 0.05F;
  return values;
}

}  // namespace

TEST_CASE("step_mixture is the reference's, on every grid") {
  const std::vector<k::CodeRange> ranges{{0, 0},       {-3, 3, 2},  {-2, 1},       {-7, 7},
                                         {-15, 15, 2}, {-128, 127}, {-255, 255, 2}};
  for (const k::WeightSize& s : std::vector<k::WeightSize>{{1, 1}, {5, 7}, {16, 33}, {3, 1153}, {61, 1639}})
    for (const bool per_channel : {false, true}) {
      CAPTURE(s.per_channel);
      const auto channels = static_cast<size_t>(s.channels);
      const Floats w = noise(s.channels * s.per_channel, 8);
      const Floats theta = positive(ranges.size() * (per_channel ? channels : 1), 9);
      const Floats scales = positive(ranges.size() * channels, 10);
      Floats out(w.size()), expected(w.size());
      k::step_mixture(s, ranges, per_channel, w, theta, scales, out);
      k::reference::step_mixture(s, ranges, per_channel, w, theta, scales, expected);
      CHECK(mixgrad::test::error(out, expected) < 1e-6);
    }
}

TEST_CASE("step_codes keeps NaN and gives ends beyond the range") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const Floats w{nan, infinity, -infinity, 1e30f, -0.1f, 0.1f, -1.1f, 0};
  Floats codes(w.size());
  k::step_codes({1, 8}, std::vector<k::CodeRange>{{-3, 3, 2}}, Floats{1}, w, codes);
  CHECK(std::isnan(codes[0]));
  CHECK(Floats(codes.begin() + 1, codes.end()) == Floats{3, -3, 3, -1, 1, -3, 1});
  k::step_codes({1, 8}, std::vector<k::CodeRange>{{-2, 1}}, Floats{0.1f}, w, codes);
  CHECK(std::isnan(codes[0]));
  CHECK(Floats(codes.begin() + 1, codes.end()) == Floats{1, -2, 1, -1, 1, -2, 0});
  CHECK(k::least_error_scale({-2, 1}, Floats{0, 0}) == 0);
}
