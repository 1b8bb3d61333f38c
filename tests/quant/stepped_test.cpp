// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace mixgrad;

TEST_CASE("weight quantizers: least-squares steps are the best of a fine scan") {
  Rng rng(6, "weights");
  Tensor w = Tensor::empty({3, 300});
  for (int64_t i = 0; i < w.size(); ++i) {  // normal, heavy-tailed, and few values
    const double v = rng.normal();
    w.data()[static_cast<size_t>(i)] = static_cast<float>(i < 300 ? v : i < 600 ? v * v * v : std::copysign(0.3, v));
  }
  const auto error = [&](const WeightQuantizer& q, int64_t c, int bits, float scale) {
    const CodeRange range = q.range(bits);
    const auto row = w.data().subspan(static_cast<size_t>(c) * 300, 300);
    std::vector<float> codes(300);
    q.codes(scale, range, row, codes);
    double total = 0;
    for (size_t i = 0; i < 300; ++i)
      total += std::pow(static_cast<double>(codes[i]) * q.step(scale, range) - row[i], 2);
    return total;
  };
  for (const std::string name : {"mse-signed", "mse-symmetric", "mse-odd"}) {
    const auto q = quant::find_weight(name);
    for (const int bits : {1, 2, 3, 4, 8}) {
      if (bits == 1 && name != "mse-odd") continue;
      const std::vector<int> all(3, bits);
      const Tensor found = weight_scales(w, all, *q);
      for (int64_t c = 0; c < 3; ++c) {
        CAPTURE(name);
        CAPTURE(bits);
        CAPTURE(c);
        double best = std::numeric_limits<double>::infinity();
        for (float scale = 8; scale > 1e-3F; scale *= 0.998F) best = std::min(best, error(*q, c, bits, scale));
        CHECK(error(*q, c, bits, found.data()[static_cast<size_t>(c)]) <= 1.03 * best + 1e-9);
      }
    }
  }
}
