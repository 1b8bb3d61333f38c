// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/optim.h>

#include <cmath>
#include <numbers>

namespace mixgrad::optim {
namespace {

/// From 1 (share 0) to 0 (share 1) along half a cosine.
double half_cosine(double share) { return 0.5 * (1 + std::cos(std::numbers::pi * share)); }

}  // namespace

double cosine(double lr, int64_t step, int64_t steps, double end) {
  return end + (lr - end) * half_cosine(static_cast<double>(step) / static_cast<double>(std::max<int64_t>(steps, 1)));
}

double one_cycle(double lr, int64_t step, int64_t steps, double rise) {
  const double start = lr / 25, end = lr / 1e4;
  const double position = static_cast<double>(step) / static_cast<double>(std::max<int64_t>(steps - 1, 1));
  if (position < rise) return lr + (start - lr) * half_cosine(position / rise);
  return end + (lr - end) * half_cosine((position - rise) / (1 - rise));
}

double exponential(double lr, int64_t step, double gamma) { return lr * std::pow(gamma, static_cast<double>(step)); }

}  // namespace mixgrad::optim
