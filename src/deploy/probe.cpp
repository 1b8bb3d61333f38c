// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <mixgrad/models.h>
#include <mixgrad/nn.h>
#include <mixgrad/search.h>

#include <fmt/core.h>

namespace mixgrad {
namespace {

nn::Conv2dOptions conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t groups = 1) {
  return {.in_channels = in,
          .out_channels = out,
          .kernel = {kernel, kernel},
          .stride = {stride, stride},
          .padding = {kernel / 2, kernel / 2},
          .groups = groups};
}

nn::Conv2dOptions depthwise(int64_t channels, int64_t kernel, int64_t stride = 1) {
  return conv(channels, channels, kernel, stride, channels);
}

nn::ConvTranspose2dOptions transposed(int64_t in, int64_t out, int64_t kernel) {
  return {.in_channels = in, .out_channels = out, .kernel = {kernel, kernel}, .stride = {2, 2}};
}

nn::LinearOptions linear(int64_t in, int64_t out) { return {.in_features = in, .out_features = out}; }

/// Layers one after the other. Within a kind, their sizes differ as in small networks, or else costs per
/// multiply-accumulate, per input and per output could not be told apart.
class Layers : public nn::Module {
 public:
  template <typename Layer, typename Options>
  void add(std::initializer_list<Options> all) {
    for (const Options& options : all) {
      layers_.push_back(std::make_unique<Layer>(options));
      add_module(fmt::format("layer{}", layers_.size()), *layers_.back());
    }
  }

  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (const auto& layer : layers_) {
      if (dynamic_cast<nn::Linear*>(layer.get()) != nullptr && y.shape().rank() > 2) y = flatten(y);
      y = (*layer)(y);
      if (layer != layers_.back()) y = relu(y);  // so that all inputs are 0 or more, as in most networks
    }
    return y;
  }

 private:
  std::vector<std::unique_ptr<nn::Module>> layers_;
};

/// Every operator without weights that takes time on a device; the pools on several sizes.
class Others : public nn::Module {
 public:
  Others() {
    add_module("first", first_);
    add_module("slopes", slopes_);
    add_module("last", last_);
  }

  Tensor forward(const Tensor& x) override {
    const Pool2dAttrs wide{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1, 1, 1}};
    Tensor y = first_(x);
    y = add(relu(y), y);
    y = add(relu6(y), y);
    y = slopes_(mul(y, silu(y)));
    y = channel_shuffle(concat({max_pool2d(y, wide), avg_pool2d(y, wide)}), 4);
    y = upsample2d(pad2d(max_pool2d(y, {}), {.padding = {1, 0, 0, 1}}));
    y = concat({avg_pool2d(y, {}), max_pool2d(y, {})});
    return last_(mul(y, sigmoid(global_avg_pool2d(y))));
  }

 private:
  nn::Conv2d first_{conv(3, 8, 1)}, last_{conv(32, 4, 1)};
  nn::PReLU slopes_{8};
};

Graph discrete(nn::Module& net, const Shape& image, int bits) {
  nn::initialize(net, Rng(0, "probe"));
  net.eval();
  Rng rng(0, "images of a probe");
  Tensor images = Tensor::empty({2, image[0], image[1], image[2]});
  for (float& v : images.data()) v = static_cast<float>(rng.uniform(0, 1));
  return MixPrec(net, {.input_shape = image,
                       .weight_precisions = {bits},
                       .calibration = {images},
                       .weight_quantizer = quant::find_weight("mse-odd")})
      .arch_export();
}

}  // namespace

Graph probe_of_layers(int bits) {
  Layers net;
  net.add<nn::Conv2d>({conv(3, 16, 3), conv(16, 16, 3), depthwise(16, 3), conv(16, 32, 1), conv(32, 32, 3, 2),
                       depthwise(32, 3), conv(32, 64, 1), conv(64, 64, 1), depthwise(64, 5), conv(64, 24, 1),
                       conv(24, 64, 3, 2), depthwise(64, 3), conv(64, 64, 3), conv(64, 16, 1)});
  net.add<nn::Linear>({linear(576, 64), linear(64, 128), linear(128, 100), linear(100, 10)});
  return discrete(net, {3, 24, 24}, bits);
}

Graph probe_of_transposed(int bits) {
  Layers net;
  net.add<nn::ConvTranspose2d>({transposed(16, 16, 2), transposed(16, 12, 3)});
  return discrete(net, {16, 8, 8}, bits);
}

Graph probe_of_others() {
  Others net;
  return discrete(net, {3, 24, 24}, 8);
}

Graph probe_of_model(const std::string& name) {
  const models::Model model = models::make(name, 10);
  return discrete(*model.net, model.input_shape, 8);
}

}  // namespace mixgrad
