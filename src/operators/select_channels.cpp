// SPDX-License-Identifier: Apache-2.0
// Slices, splits and shuffles of channels.
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/move.h>
#include <src/internal/by_dtype.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace mixgrad {

Tensor select_channels(const Tensor& x, const SelectAttrs& attrs) {
  const char* name = op::SelectChannels::name();
  const auto [rows, channels] = rows_channels(name, x.shape());
  const std::vector<int64_t>& index = attrs.channels;
  const auto outside = std::ranges::find_if(index, [all = channels](int64_t c) { return c < 0 || c >= all; });
  if (index.empty() || outside != index.end()) {
    bad_input("[{}] {} of input {}: expected channels from 0 to {}", name,
              index.empty() ? "no channel" : fmt::format("channel {}", *outside), x.shape().str(), channels - 1);
  }
  Shape shape = x.shape();
  shape[1] = std::ssize(index);
  return by_dtype(x.dtype(), [&, rows = rows, channels = channels]<typename T>() {
    Tensor y = Tensor::empty(shape, x.dtype());
    kernels::select_channels<T>(rows, channels, index, x.data<T>().data(), y.data<T>().data());
    return record(op::SelectChannels{attrs}, y, {x}, [rows, channels, index](const Backward& b) {
      if (auto gx = b.grad<T>(0))
        kernels::select_channels_grad<T>(rows, channels, index, b.grad_output<T>().data(), gx);
    });
  });
}

Tensor slice_channels(const Tensor& x, int64_t begin, int64_t end) {
  const int64_t channels = rows_channels("slice_channels", x.shape()).channels;
  if (begin < 0 || begin >= end || end > channels) {
    bad_input("[slice_channels] channels {} to {} of input {}: expected a part of 0 to {}", begin, end - 1,
              x.shape().str(), channels - 1);
  }
  SelectAttrs attrs{.channels = std::vector<int64_t>(static_cast<size_t>(end - begin))};
  std::iota(attrs.channels.begin(), attrs.channels.end(), begin);
  return select_channels(x, attrs);
}

std::vector<Tensor> split_channels(const Tensor& x, const std::vector<int64_t>& sizes) {
  const int64_t channels = rows_channels("split_channels", x.shape()).channels;
  if (std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) != channels) {
    bad_input("[split_channels] parts of {} channels of input {}: expected {} in total", fmt::join(sizes, ", "),
              x.shape().str(), channels);
  }
  std::vector<Tensor> out;
  int64_t at = 0;
  for (const int64_t size : sizes) {
    out.push_back(slice_channels(x, at, at + size));
    at += size;
  }
  return out;
}

Tensor channel_shuffle(const Tensor& x, int64_t groups) {
  const int64_t channels = rows_channels("channel_shuffle", x.shape()).channels;
  if (groups < 1 || channels % groups != 0) {
    bad_input("[channel_shuffle] {} groups do not divide the channels of input {}", groups, x.shape().str());
  }
  SelectAttrs attrs;
  for (int64_t k = 0; k < channels / groups; ++k) {
    for (int64_t g = 0; g < groups; ++g) attrs.channels.push_back(g * (channels / groups) + k);
  }
  return select_channels(x, attrs);
}

namespace op {

ChannelSources SelectChannels::sources(const std::vector<int64_t>&, int64_t) const {
  ChannelSources out;
  for (const int64_t c : attrs.channels) out.push_back({.input = 0, .channel = c});
  return out;
}

Value SelectChannels::run(const RunContext& c) const {
  const Value& x = c.input();
  return {select_channels(x.tensor, attrs), x.codes_of, x.steps};
}

}  // namespace op

}  // namespace mixgrad
