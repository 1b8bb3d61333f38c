// SPDX-License-Identifier: Apache-2.0
#include "ends.h"

#include "../networks.h"

namespace mixgrad::test {
namespace {

using Tail = Tensor (*)(const Tensor&);

/// Two convolutions with a ReLU between them, followed by `tail`.
class Net : public nn::Module {
 public:
  explicit Net(Tail tail)
      : tail_(tail),
        stem_({.in_channels = 3, .out_channels = 8, .padding = {1, 1}}),
        head_({.in_channels = 8, .out_channels = 5}) {
    add_module("stem", stem_);
    add_module("head", head_);
  }
  Tensor forward(const Tensor& x) override { return tail_(head_(relu(stem_(x)))); }

 private:
  Tail tail_;
  nn::Conv2d stem_, head_;
};

Tensor as_it_is(const Tensor& x) { return x; }
Tensor pooled(const Tensor& x) { return global_avg_pool2d(x); }
Tensor pooled_flat(const Tensor& x) { return flatten(global_avg_pool2d(x)); }
Tensor largest(const Tensor& x) { return max_pool2d(x, {.kernel = {4, 4}}); }
/// The padding is as wide as the kernel, though not as what it spans.
Tensor dilated(const Tensor& x) {
  return max_pool2d(x, {.kernel = {2, 2}, .stride = {1, 1}, .padding = {2, 1, 2, 3}, .dilation = {3, 4}});
}
Tensor pooled_twice(const Tensor& x) {
  return relu(avg_pool2d(max_pool2d(x, {.kernel = {3, 3}, .stride = {1, 1}}), {.kernel = {2, 2}}));
}
Tensor flat(const Tensor& x) { return flatten(x); }
Tensor doubled(const Tensor& x) { return add(x, x); }
Tensor doubled_and_pooled(const Tensor& x) { return flatten(global_avg_pool2d(add(x, x))); }
Tensor squared(const Tensor& x) { return mul(x, x); }
Tensor limited(const Tensor& x) { return tanh(x); }
Tensor gated(const Tensor& x) { return flatten(hard_swish(global_avg_pool2d(x))); }
Tensor several(const Tensor& x) { return outputs({flatten(global_avg_pool2d(x)), relu(x), x}); }
Tensor flat_sum(const Tensor& x) { return add(flatten(x), flatten(relu(x))); }

FormCase exported_case(const std::string& name, Tail tail, bool quantize_output) {
  const Shape input = {3, 8, 8};
  Net net(tail);
  nn::initialize(net, Rng(7, "init"));
  for (const nn::NamedTensor& p : net.named_parameters()) {
    if (p.name.ends_with("bias")) std::ranges::fill(p.tensor.data(), 0.2F);
  }
  MixPrecOptions options{.input_shape = input,
                         .activation_precisions = {4, 8},
                         .weight_precisions = {2, 4, 8},
                         .w_mixprec_type = MixPrecType::PER_CHANNEL,
                         .calibration = {random_batch(4, input, 2, 5).x}};
  options.quantize_output = quantize_output;
  MixPrec search(net, options);
  randomize_architecture(search, 9);
  return {name, search.arch_export(), random_images(20, input, 3)};
}

}  // namespace

std::vector<FormCase> networks_by_end(bool quantize_output) {
  std::vector<FormCase> out;
  for (const auto& [name, tail] :
       std::vector<std::pair<const char*, Tail>>{{"an image", as_it_is},
                                                 {"global pooling", pooled},
                                                 {"global pooling, flattened", pooled_flat},
                                                 {"max pooling", largest},
                                                 {"dilated max pooling", dilated},
                                                 {"pools and a ReLU of its own", pooled_twice},
                                                 {"a flattened image", flat},
                                                 {"a ReLU", relu},
                                                 {"a ReLU6", relu6},
                                                 {"an Add", doubled},
                                                 {"an Add, pooled", doubled_and_pooled},
                                                 {"a Mul", squared},
                                                 {"a function", limited},
                                                 {"a function of means, flattened", gated},
                                                 {"an Add of flattened images", flat_sum},
                                                 {"several outputs", several}}) {
    out.push_back(exported_case(name, tail, quantize_output));
  }
  return out;
}

}  // namespace mixgrad::test
