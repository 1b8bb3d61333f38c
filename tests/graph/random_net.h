// SPDX-License-Identifier: Apache-2.0
// Small random networks: any order of operators, tensors that several read, sums of a tensor with itself.
#pragma once

#include <mixgrad/mixgrad.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mixgrad::test {

class RandomNet : public nn::Module {
 public:
  static inline const Shape image{3, 7, 6};
  static constexpr int64_t classes = 3;

  /// With `gain`, convolutions make values that are so much larger.
  RandomNet(uint64_t seed, bool batch_norms, float gain = 1)
      : rng_(seed, "random_net"), batch_norms_(batch_norms), gain_(gain) {
    samples_.push_back(Tensor::zeros({1, image[0], image[1], image[2]}));
    const NoTape pause;
    eval();
    for (uint64_t left = 4 + rng_.below(8); left > 0; --left) grow();
    finish();
  }

  Tensor forward(const Tensor& x) override {
    std::vector<Tensor> values = {x};
    for (const Step& s : steps_) values.push_back(s.function(values[s.a], values[s.b]));
    return values.back();
  }

 private:
  using Function = std::function<Tensor(const Tensor&, const Tensor&)>;
  struct Step {
    Function function;
    size_t a, b;
  };

  void push(Function f, size_t a, size_t b) {
    samples_.push_back(f(samples_[a], samples_[b]));
    steps_.push_back({std::move(f), a, b});
  }
  template <typename M>
  void push_layer(std::unique_ptr<M> module, size_t a) {
    M& m = *module;
    add_module("m" + std::to_string(modules_.size()), m);
    m.eval();
    modules_.push_back(std::move(module));
    push([&m](const Tensor& x, const Tensor&) { return m(x); }, a, a);
  }

  float normal(double scale) { return static_cast<float>(scale * rng_.normal()); }

  void conv(size_t at) {
    const Shape& s = samples_[at].shape();
    const int64_t c = s[1], side = s[2] >= 3 && s[3] >= 3 && rng_.below(2) == 0 ? 3 : 1,
                  pad = side == 3 ? static_cast<int64_t>(rng_.below(2)) : 0;
    const bool depthwise = rng_.below(3) == 0;
    auto m = std::make_unique<nn::Conv2d>(
        nn::Conv2dOptions{.in_channels = c,
                          .out_channels = depthwise ? c : 2 * (1 + static_cast<int64_t>(rng_.below(2))),
                          .kernel = {side, side},
                          .padding = {pad, pad},
                          .groups = depthwise ? c : 1,
                          .bias = rng_.below(2) == 0});
    for (float& w : m->weight.data()) w = normal(gain_ / std::sqrt(m->weight.dim(1) * side * side));
    if (m->bias)
      for (float& b : m->bias.data()) b = normal(0.3);
    push_layer(std::move(m), at);
  }

  void batch_norm(size_t at) {
    auto m = std::make_unique<nn::BatchNorm2d>(samples_[at].dim(1));
    for (float& v : m->gamma.data())
      v = static_cast<float>(rng_.uniform(0.5, 1.5)) * (rng_.below(12) == 0 ? -1.0F : 1.0F);
    for (float& v : m->running_var.data()) v = static_cast<float>(rng_.uniform(0.5, 2));
    for (float& v : m->beta.data()) v = normal(0.3);
    for (float& v : m->running_mean.data()) v = normal(0.3);
    push_layer(std::move(m), at);
  }

  void pool(size_t at, bool largest) {
    const Shape& s = samples_[at].shape();
    const int64_t pad = static_cast<int64_t>(rng_.below(4) == 0);
    if (s[2] < 2 || s[3] < 2) return;
    const Pool2dAttrs attrs{
        .kernel = {2, 2}, .stride = {1, 1}, .padding = {pad, pad, pad, pad}, .count_padding = rng_.below(2) == 0};
    push([attrs, largest](const Tensor& x,
                          const Tensor&) { return largest ? max_pool2d(x, attrs) : avg_pool2d(x, attrs); },
         at, at);
  }

  void add_to(size_t at) {
    std::vector<size_t> fitting;
    for (size_t i = 0; i < samples_.size(); ++i) {
      if (samples_[i].shape() == samples_[at].shape()) fitting.push_back(i);
    }
    push([](const Tensor& x, const Tensor& y) { return add(x, y); }, at, fitting[rng_.below(fitting.size())]);
  }

  void concat_to(size_t at) {
    std::vector<size_t> fitting;
    for (size_t i = 0; i < samples_.size(); ++i) {
      const Shape &s = samples_[i].shape(), &other = samples_[at].shape();
      if (s[2] == other[2] && s[3] == other[3] && s[1] + other[1] <= 12) fitting.push_back(i);
    }
    if (fitting.empty()) return;
    push([](const Tensor& x, const Tensor& y) { return concat({x, y}); }, at, fitting[rng_.below(fitting.size())]);
  }

  /// A slice, a shuffle, padding with zeros or repeated positions.
  void move(size_t at) {
    const Shape& s = samples_[at].shape();
    const auto half = static_cast<int64_t>(rng_.below(2));
    switch (rng_.below(4)) {
      case 0:
        if (s[1] < 2) return;
        return push([half](const Tensor& x,
                           const Tensor&) { return slice_channels(x, half * x.dim(1) / 2, x.dim(1) - 1 + half); },
                    at, at);
      case 1:
        return push([](const Tensor& x, const Tensor&) { return channel_shuffle(x, x.dim(1) % 2 == 0 ? 2 : 1); }, at,
                    at);
      case 2:
        return push(
            [half](const Tensor& x, const Tensor&) {
              return pad2d(x, {.padding = {half, 0, 1, half}});
            },
            at, at);
      default:
        if (s[2] > 4) return;
        return push([](const Tensor& x, const Tensor&) { return upsample2d(x, {.factor = {2, 1}}); }, at, at);
    }
  }

  void grow() {
    const size_t at = rng_.below(4) > 0 ? samples_.size() - 1 : rng_.below(samples_.size());
    switch (rng_.below(batch_norms_ ? 12 : 10)) {
      case 0:
      case 1:
      case 2:
        return conv(at);
      case 3:
        return push([](const Tensor& x, const Tensor&) { return relu(x); }, at, at);
      case 4:
        return push([](const Tensor& x, const Tensor&) { return relu6(x); }, at, at);
      case 5:
        return pool(at, true);
      case 6:
        return pool(at, false);
      case 7:
        return add_to(at);
      case 8:
        return concat_to(at);
      case 9:
        return move(at);
      default:
        return batch_norm(at);
    }
  }

  /// Convolution, flattening and linear layer, with a batch norm of features now and then.
  void finish() {
    conv(samples_.size() - 1);
    if (rng_.below(2) == 0)
      push([](const Tensor& x, const Tensor&) { return global_avg_pool2d(x); }, samples_.size() - 1, 0);
    push([](const Tensor& x, const Tensor&) { return flatten(x); }, samples_.size() - 1, 0);
    if (batch_norms_ && rng_.below(2) == 0) batch_norm(samples_.size() - 1);
    auto m =
        std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = samples_.back().dim(1), .out_features = classes});
    for (float& w : m->weight.data()) w = normal(1 / std::sqrt(static_cast<double>(m->weight.dim(1))));
    for (float& b : m->bias.data()) b = normal(0.3);
    push_layer(std::move(m), samples_.size() - 1);
  }

  Rng rng_;
  bool batch_norms_;
  float gain_;
  std::vector<Tensor> samples_;  // every value for an image of zeros
  std::vector<Step> steps_;
  std::vector<std::unique_ptr<nn::Module>> modules_;
};

}  // namespace mixgrad::test
