// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/nn.h>

namespace mixgrad::nn {

Conv2d::Conv2d(const Shape& weight_shape, const Conv2dAttrs& attrs, bool with_bias) : attrs_(attrs) {
  weight = Tensor::zeros(weight_shape);
  add_parameter("weight", weight);
  if (!with_bias) return;
  bias = Tensor::zeros({weight_shape[0]});
  add_parameter("bias", bias);
}

namespace {

template <typename Options>
Shape checked_weight_shape(const char* layer, const Options& o) {
  if (o.in_channels < 1 || o.out_channels < 1 || o.groups < 1 || o.in_channels % o.groups != 0) {
    bad_input("[{}] {} input and {} output channels in {} groups: all must be positive, inputs divisible by groups",
              layer, o.in_channels, o.out_channels, o.groups);
  }
  return {o.out_channels, o.in_channels / o.groups, o.kernel[0], o.kernel[1]};
}

}  // namespace

Conv2d::Conv2d(const Conv2dOptions& o)
    : Conv2d(checked_weight_shape("Conv2d", o),
             {.stride = o.stride,
              .padding = {o.padding[0], o.padding[1], o.padding[0], o.padding[1]},
              .dilation = o.dilation,
              .groups = o.groups},
             o.bias) {}

Tensor Conv2d::forward(const Tensor& x) { return conv2d(x, weight, bias, attrs_); }

ConvTranspose2d::ConvTranspose2d(const Shape& weight_shape, const ConvTranspose2dAttrs& attrs, bool with_bias)
    : attrs_(attrs) {
  weight = Tensor::zeros(weight_shape);
  add_parameter("weight", weight);
  if (!with_bias) return;
  bias = Tensor::zeros({weight_shape[0]});
  add_parameter("bias", bias);
}

ConvTranspose2d::ConvTranspose2d(const ConvTranspose2dOptions& o)
    : ConvTranspose2d(checked_weight_shape("ConvTranspose2d", o),
                      {.stride = o.stride,
                       .padding = {o.padding[0], o.padding[1], o.padding[0], o.padding[1]},
                       .output_padding = o.output_padding,
                       .dilation = o.dilation,
                       .groups = o.groups},
                      o.bias) {}

Tensor ConvTranspose2d::forward(const Tensor& x) { return conv_transpose2d(x, weight, bias, attrs_); }

Linear::Linear(const LinearOptions& o) {
  if (o.in_features < 1 || o.out_features < 1)
    bad_input("[Linear] {} to {} features: both must be positive", o.in_features, o.out_features);
  weight = Tensor::zeros({o.out_features, o.in_features});
  add_parameter("weight", weight);
  if (!o.bias) return;
  bias = Tensor::zeros({o.out_features});
  add_parameter("bias", bias);
}

Tensor Linear::forward(const Tensor& x) { return linear(x, weight, bias); }

BatchNorm2d::BatchNorm2d(int64_t channels, const BatchNormOptions& options)
    : gamma(Tensor::full({channels}, 1)),
      beta(Tensor::zeros({channels})),
      running_mean(Tensor::zeros({channels})),
      running_var(Tensor::full({channels}, 1)),
      options_(options) {
  add_parameter("weight", gamma);
  add_parameter("bias", beta);
  add_buffer("running_mean", running_mean);
  add_buffer("running_var", running_var);
}

Tensor BatchNorm2d::forward(const Tensor& x) {
  return batch_norm(x, gamma, beta, running_mean, running_var,
                    {.eps = options_.eps, .momentum = options_.momentum, .training = training()});
}

void Sequential::append(std::unique_ptr<Module> module) {
  add_module(std::to_string(modules_.size()), *module);
  modules_.push_back(std::move(module));
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (const auto& module : modules_) y = (*module)(y);
  return y;
}

}  // namespace mixgrad::nn
