// SPDX-License-Identifier: Apache-2.0
// Fixed-point multipliers: as near to the ratio as 31 bits allow, and the same codes from floats and from integers.
#include "kernels/requantize.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

using namespace mixgrad::kernels;

TEST_CASE("fixed_point: 31 bits from 2^-14 on, 44 places below, saturated above") {
  for (const double ratio : {1e-12, 3e-6, 1e-4, 0.0123, 0.5, 1.0, 1.7, 255.0, 1e6}) {
    CAPTURE(ratio);
    const FixedPoint f = fixed_point(ratio);
    CHECK(f.shift <= 44);
    CHECK(f.multiplier >= 0);
    CHECK(std::abs(f.value() - ratio) <= std::max(ratio * 0x1p-31, 0x1p-45));
    CHECK(fixed_point(-ratio) == FixedPoint{-f.multiplier, f.shift});
  }
  CHECK(fixed_point(0).multiplier == 0);
  CHECK(fixed_point(1e30) == FixedPoint{2147483647, 0});
  CHECK(FixedPoint{3, 1}.apply(1) == 2);    // 1.5
  CHECK(FixedPoint{3, 1}.apply(-1) == -1);  // -1.5: halves round up
  CHECK(FixedPoint{1, 2}.apply(-3) == -1);
  CHECK(FixedPoint{5, 0}.apply(-3) == -15);
}

TEST_CASE("requantize: floats give the codes of 64-bit integers, stored as floats or bfloat16s") {
  std::mt19937 generator(1);
  const int64_t rows = 400, channels = 37;
  for (const auto& [low, high] : {std::pair{0.0F, 255.0F}, {-127.0F, 127.0F}, {0.0F, 3.0F}, {-1.0F, 1.0F}}) {
    std::vector<FixedPoint> ratios(channels);
    std::vector<int32_t> bias(channels);
    std::vector<float> acc(rows * channels), codes(acc.size());
    for (int64_t c = 0; c < channels; ++c) {
      const double size = std::exp2(4 + 20 * std::generate_canonical<double, 24>(generator));  // of the accumulators
      ratios[static_cast<size_t>(c)] =
          c % 5 == 0 ? FixedPoint{1, 1 + static_cast<int>(c % 7)} : fixed_point(300 / size);  // exact halves too
      bias[static_cast<size_t>(c)] = static_cast<int32_t>(size * std::normal_distribution<>(0, 0.3)(generator));
      for (int64_t r = 0; r < rows; ++r)
        acc[static_cast<size_t>(r * channels + c)] =
            static_cast<float>(std::nearbyint(std::normal_distribution<>(0, size)(generator)));
    }
    requantize(rows, channels, acc, bias, ratios, low, high, codes);
    std::vector<bfloat16> halves(acc.size());
    requantize(rows, channels, acc, bias, ratios, low, high, halves);
    int64_t different = 0;
    for (size_t i = 0; i < acc.size(); ++i) {
      const size_t c = i % channels;
      const auto expected = std::clamp<int64_t>(ratios[c].apply(static_cast<int64_t>(acc[i]) + bias[c]),
                                                static_cast<int64_t>(low), static_cast<int64_t>(high));
      different += codes[i] != static_cast<float>(expected) || static_cast<float>(halves[i]) != codes[i];
    }
    CHECK(different == 0);
  }
}

TEST_CASE("requantize and add_codes: sums become the bytes of 64-bit integers") {
  std::mt19937 generator(2);
  const auto from = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
  };
  for (const auto& [low, high] : {std::pair{0, 255}, {-128, 127}, {0, 3}, {-1, 1}}) {
    const int64_t channels = from(1, 70), rows = from(1, 40);
    std::vector<int32_t> sums, bias;
    std::vector<FixedPoint> ratios;
    for (int64_t c = 0; c < channels; ++c) {
      bias.push_back(static_cast<int32_t>(from(-500, 500)));
      ratios.push_back(c % 3 == 0 ? FixedPoint{1, static_cast<int>(from(0, 4))}
                                  : fixed_point(0.003 * static_cast<double>(from(1, 900))));
    }
    for (int64_t k = 0; k < rows * channels; ++k)
      sums.push_back(static_cast<int32_t>(k % 7 == 0 ? from(-2000000000, 2000000000) : from(-400, 400)));
    std::vector<uint8_t> codes(sums.size()), a, b, added(sums.size());
    requantize(rows, channels, sums, Requantization(channels, bias, ratios, low, high), codes);
    for (size_t k = 0; k < sums.size(); ++k)
      a.push_back(static_cast<uint8_t>(from(0, 255))), b.push_back(static_cast<uint8_t>(from(0, 255)));
    add_codes({a, true}, {b, false}, ratios.back(), low, high, added);
    int64_t different = 0;
    for (size_t k = 0; k < sums.size(); ++k) {
      const size_t c = k % bias.size();
      const auto byte = [&](FixedPoint ratio, int64_t sum) {
        return static_cast<uint8_t>(std::clamp<int64_t>(ratio.apply(sum), low, high));
      };
      different += codes[k] != byte(ratios[c], int64_t{sums[k]} + bias[c]);
      different += added[k] != byte(ratios.back(), static_cast<int8_t>(a[k]) + b[k]);
    }
    CHECK(different == 0);
  }
}
