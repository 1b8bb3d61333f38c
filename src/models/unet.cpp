// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <mixgrad/models.h>

#include <utility>

namespace mixgrad::models {
namespace {

/// Two 3×3 blocks.
class Pair : public nn::Module {
 public:
  Pair(int64_t in, int64_t out) : conv1_(same_conv(in, out, 3)), conv2_(same_conv(out, out, 3)) {
    add_module("conv1", conv1_);
    add_module("conv2", conv2_);
  }
  Tensor forward(const Tensor& x) override { return conv2_(conv1_(x)); }

 private:
  ConvBlock conv1_, conv2_;
};

/// Ronneberger et al. 2015, figure 1; padded, so that scores have the size of the image, and with batch norms.
class UNet : public nn::Module {
 public:
  explicit UNet(const UNetOptions& o) : scores_(same_conv(o.width, o.classes, 1)) {
    int64_t in = o.channels, out = o.width;
    for (int level = 0; level <= o.levels; ++level) {
      add("down", down_, std::make_unique<Pair>(in, out));
      in = std::exchange(out, 2 * out);
    }
    for (int level = 0; level < o.levels; ++level) {
      out = in / 2;
      add("up", up_,
          std::make_unique<nn::ConvTranspose2d>(
              nn::ConvTranspose2dOptions{.in_channels = in, .out_channels = out, .kernel = {2, 2}, .stride = {2, 2}}));
      add("merge", merge_, std::make_unique<Pair>(in, out));
      in = out;
    }
    add_module("scores", scores_);
  }

  Tensor forward(const Tensor& x) override {
    std::vector<Tensor> levels = {(*down_[0])(x)};
    for (size_t i = 1; i < down_.size(); ++i) levels.push_back((*down_[i])(max_pool2d(levels.back())));
    Tensor y = levels.back();
    for (size_t i = 0; i < up_.size(); ++i) {
      levels.pop_back();
      y = (*merge_[i])(concat({levels.back(), relu((*up_[i])(y))}));
    }
    return scores_(y);
  }

 private:
  template <typename T>
  void add(const std::string& name, std::vector<std::unique_ptr<T>>& to, std::unique_ptr<T> module) {
    to.push_back(std::move(module));
    add_module(name + std::to_string(to.size()), *to.back());
  }

  std::vector<std::unique_ptr<Pair>> down_, merge_;
  std::vector<std::unique_ptr<nn::ConvTranspose2d>> up_;
  nn::Conv2d scores_;
};

}  // namespace

std::unique_ptr<nn::Module> unet(const UNetOptions& options) { return std::make_unique<UNet>(options); }

}  // namespace mixgrad::models
