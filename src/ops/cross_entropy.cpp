// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/softmax.h>

#include <algorithm>

namespace mixgrad {

Tensor cross_entropy(const Tensor& logits, std::span<const int32_t> labels, double denominator) {
  const Shape& s = logits.shape();
  if (s.rank() != 2 || s[0] != std::ssize(labels)) {
    bad_input("[cross_entropy] logits {} do not fit {} labels: expected [N, classes] and N labels", s.str(),
              labels.size());
  }
  const auto wrong = std::ranges::find_if(labels, [&](int32_t label) { return label < 0 || label >= s[1]; });
  if (wrong != labels.end()) bad_input("[cross_entropy] label {} is out of range for {} classes", *wrong, s[1]);
  if (denominator == 0) denominator = static_cast<double>(s[0]);

  Tensor probabilities = Tensor::empty(s);
  const double total = kernels::cross_entropy(s[0], s[1], logits.data(), labels, probabilities.data());
  Tensor y = Tensor::scalar(static_cast<float>(total / denominator));
  return record("cross_entropy", y, {logits},
                [probabilities, kept = std::vector(labels.begin(), labels.end()), denominator](const Backward& b) {
                  const Shape& shape = probabilities.shape();
                  const auto g = static_cast<float>(b.grad_output()[0] / denominator);
                  if (auto gx = b.grad(0))
                    kernels::cross_entropy_grad(shape[0], shape[1], probabilities.data(), kept, g, gx);
                });
}

}  // namespace mixgrad
