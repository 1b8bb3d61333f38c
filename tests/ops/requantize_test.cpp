// SPDX-License-Identifier: Apache-2.0
// requantize against what it stands for: rescale, then quantize_activation.
#include "check_gradient.h"

#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <doctest/doctest.h>

#include <cmath>

using namespace mixgrad;

namespace {

std::vector<float> gradient(const Tensor& t) { return {t.grad().begin(), t.grad().end()}; }

}  // namespace

TEST_CASE("requantize: codes within a rounding of the float path's, gradients the same") {
  Rng rng(7, "test");
  for (const ActivationFormat format : {ActivationFormat{false, true}, {true, false}, {true, true}, {false, false}}) {
    for (const int bits : {2, 4, 8}) {
      const Tensor clip = Tensor::full({1}, 1.3F).requires_grad(),
                   steps = Tensor::from({3}, std::vector<float>{0.01F, 0.002F, 0.03F});
      Tensor acc = test::random_tensor({2, 3, 4, 5}, rng), bias = test::random_tensor({3}, rng);
      for (float& v : acc.data()) v = std::nearbyint(v * 100);
      acc.requires_grad();
      bias.requires_grad();
      const auto run = [&](bool fused) {
        for (const Tensor& t : {acc, bias, clip}) t.zero_grad();
        Tape tape;
        const Tensor y = fused
                             ? requantize(acc, steps, bias, clip, bits, format)
                             : quantize_activation(rescale(acc, steps, quantize_bias(bias, steps)), clip, bits, format);
        std::vector<float> g(static_cast<size_t>(y.size()));
        for (size_t i = 0; i < g.size(); ++i) g[i] = static_cast<float>(i % 7) - 3;
        y.set_grad(g);
        tape.backward();
        return y.to_vector();
      };
      const std::vector<float> plain = run(false), gacc = gradient(acc), gbias = gradient(bias), gclip = gradient(clip);
      const std::vector<float> fused = run(true);
      for (size_t i = 0; i < plain.size(); ++i) CHECK(std::abs(fused[i] - plain[i]) <= 1);
      CHECK(gradient(acc) == gacc);
      CHECK(gradient(bias) == gbias);
      CHECK(gradient(clip)[0] == doctest::Approx(gclip[0]));
    }
  }
}
