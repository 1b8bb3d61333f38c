// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/layout.h>
#include <src/internal/by_dtype.h>
#include <src/internal/value.h>

namespace mixgrad {

Tensor flatten(const Tensor& x) {
  const Shape& s = x.shape();
  if (s.rank() < 2) bad_input("[flatten] input {}: expected at least one dimension besides N", s.str());
  const int64_t n = s[0], c = s[1], positions = n * c == 0 ? 0 : s.size() / (n * c);
  Tensor y = Tensor::empty({n, c * positions});
  return by_dtype(x.dtype(), [&]<typename T>() {
    kernels::channels_last_to_rows(n, c, positions, x.data<T>(), y.data());
    return record(op::Flatten(), y, {x}, [n, c, positions](const Backward& b) {
      if (auto gx = b.grad<T>(0)) kernels::rows_to_channels_last(n, c, positions, b.grad_output(), gx);
    });
  });
}

/// Channel c becomes features c · positions to (c + 1) · positions - 1.
op::ChannelSources op::Flatten::sources(const std::vector<int64_t>& channels, int64_t outputs) const {
  op::ChannelSources out;
  for (int64_t f = 0; f < outputs; ++f) out.push_back({.input = 0, .channel = f / (outputs / channels[0])});
  return out;
}

Value op::Flatten::run(const RunContext& c) const {
  const Value& x = c.input();
  return {flatten(x.tensor), x.codes_of, x.steps};
}

}  // namespace mixgrad
