// SPDX-License-Identifier: Apache-2.0
// Every op's gradient: one row an op. Straight-through gradients have closed forms (quantizers_test.cpp).
#include "check_gradient.h"

#include <mixgrad/ops.h>

#include <doctest/doctest.h>

using namespace mixgrad;
using test::check_gradient;
using test::random_tensor;

namespace {

struct Row {
  const char* name;
  std::vector<Shape> inputs;  // rank 0 stands for "no tensor"
  test::Op op;
  double gap = 0;         // keeps values off a kink at zero
  bool distinct = false;  // keeps values off ties: max pooling has a kink where two are equal
};

const Conv2dAttrs strided{.stride = {2, 2}, .padding = {1, 1, 1, 1}};
/// Three windows of 3×3 a side, the last of which reaches one beyond the padded image.
Pool2dAttrs uneven(bool count_padding) {
  return {.kernel = {3, 3}, .stride = {2, 2}, .padding = {0, 1, 0, 0}, .ceil = true, .count_padding = count_padding};
}
const std::vector<int32_t> labels = {2, 0, 1};

Conv2dAttrs padded(int64_t p, int64_t groups = 1) { return {.padding = {p, p, p, p}, .groups = groups}; }

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"conv2d 3x3",
       {{2, 3, 6, 5}, {4, 3, 3, 3}, {4}},
       [](const auto& t) { return conv2d(t[0], t[1], t[2], padded(1)); }},
      {"conv2d strided",
       {{2, 3, 6, 6}, {4, 3, 3, 3}, {4}},
       [](const auto& t) { return conv2d(t[0], t[1], t[2], strided); }},
      {"conv2d 1x1 stride 2",
       {{2, 4, 6, 6}, {8, 4, 1, 1}},
       [](const auto& t) {
         return conv2d(t[0], t[1], {}, {.stride = {2, 2}});
       }},
      {"conv2d depthwise",
       {{2, 4, 5, 5}, {4, 1, 3, 3}, {4}},
       [](const auto& t) { return conv2d(t[0], t[1], t[2], padded(1, 4)); }},
      {"conv2d grouped",
       {{2, 4, 5, 5}, {6, 2, 3, 3}, {6}},
       [](const auto& t) { return conv2d(t[0], t[1], t[2], padded(1, 2)); }},
      {"conv2d dilated",
       {{1, 2, 7, 7}, {3, 2, 3, 3}},
       [](const auto& t) {
         return conv2d(t[0], t[1], {}, {.dilation = {2, 2}});
       }},
      {"conv2d uneven",
       {{1, 1, 9, 7}, {2, 1, 4, 2}},
       [](const auto& t) {
         return conv2d(t[0], t[1], {}, {.stride = {2, 1}, .padding = {2, 0, 1, 1}});
       }},
      {"conv_transpose2d",
       {{2, 3, 4, 3}, {4, 3, 3, 2}, {4}},
       [](const auto& t) {
         return conv_transpose2d(t[0], t[1], t[2],
                                 {.stride = {2, 1}, .padding = {1, 0, 2, 1}, .output_padding = {1, 0}});
       }},
      {"conv_transpose2d grouped, dilated",
       {{2, 4, 3, 3}, {6, 2, 2, 3}, {6}},
       [](const auto& t) {
         return conv_transpose2d(t[0], t[1], t[2], {.stride = {1, 2}, .dilation = {2, 1}, .groups = 2});
       }},
      {"conv_transpose2d depthwise",
       {{2, 4, 3, 3}, {4, 1, 3, 3}},
       [](const auto& t) {
         return conv_transpose2d(t[0], t[1], {}, {.stride = {2, 2}, .groups = 4});
       }},
      {"linear", {{3, 5}, {4, 5}, {4}}, [](const auto& t) { return linear(t[0], t[1], t[2]); }},
      {"linear without bias", {{3, 5}, {4, 5}}, [](const auto& t) { return linear(t[0], t[1], {}); }},
      {"batch_norm training",
       {{3, 2, 3, 3}, {2}, {2}},
       [](const auto& t) {
         return batch_norm(t[0], t[1], t[2], Tensor::zeros({2}), Tensor::full({2}, 1), {.training = true});
       }},
      {"batch_norm training [N, C]",
       {{7, 3}, {3}, {3}},
       [](const auto& t) {
         return batch_norm(t[0], t[1], t[2], Tensor::zeros({3}), Tensor::full({3}, 1), {.training = true});
       }},
      {"batch_norm evaluation",
       {{3, 2, 3, 3}, {2}, {2}},
       [](const auto& t) { return batch_norm(t[0], t[1], t[2], Tensor::full({2}, 0.3F), Tensor::full({2}, 2), {}); }},
      {"relu6 below its top", {{4, 9}}, [](const auto& t) { return relu6(t[0]); }, 0.05},
      {"relu6 above its top", {{4, 9}}, [](const auto& t) { return relu6(scale(t[0], 120)); }, 0.1},
      {"clipped_relu", {{4, 9}}, [](const auto& t) { return clipped_relu(t[0], 0.5F); }, 0.05},
      {"relu", {{4, 9}}, [](const auto& t) { return relu(t[0]); }, 0.05},
      {"add", {{2, 3, 2, 2}, {2, 3, 2, 2}}, [](const auto& t) { return add(t[0], t[1]); }},
      {"add of one tensor twice", {{2, 3}}, [](const auto& t) { return add(t[0], t[0]); }},
      {"mul", {{2, 3, 2, 2}, {2, 3, 2, 2}}, [](const auto& t) { return mul(t[0], t[1]); }},
      {"mul of one tensor twice", {{2, 3}}, [](const auto& t) { return mul(t[0], t[0]); }},
      {"mul by a factor per channel", {{2, 3, 2, 4}, {2, 3, 1, 1}}, [](const auto& t) { return mul(t[0], t[1]); }},
      {"mul by features", {{2, 3}, {2, 3, 2, 4}}, [](const auto& t) { return mul(t[0], t[1]); }},
      {"sigmoid", {{4, 9}}, [](const auto& t) { return sigmoid(scale(t[0], 3)); }},
      {"hard_sigmoid", {{4, 9}}, [](const auto& t) { return hard_sigmoid(t[0], 0.2F, 0.3F); }},
      {"hard_sigmoid beyond its bounds", {{4, 9}}, [](const auto& t) { return hard_sigmoid(t[0], 300); }, 0.05},
      {"hard_swish", {{4, 9}}, [](const auto& t) { return hard_swish(t[0]); }},
      {"silu", {{4, 9}}, [](const auto& t) { return silu(scale(t[0], 3), 1.7F); }},
      {"tanh", {{4, 9}}, [](const auto& t) { return mixgrad::tanh(scale(t[0], 2)); }},
      {"leaky_relu", {{4, 9}}, [](const auto& t) { return leaky_relu(t[0], 0.3F); }, 0.05},
      {"elu", {{4, 9}}, [](const auto& t) { return elu(t[0], 0.7F); }, 0.05},
      {"clip", {{4, 9}}, [](const auto& t) { return clip(t[0], -40, 40); }},
      {"clip beyond its bounds", {{4, 9}}, [](const auto& t) { return clip(t[0], -0.01F, 0.02F); }, 0.05},
      {"gelu", {{4, 9}}, [](const auto& t) { return gelu(scale(t[0], 2)); }},
      {"gelu_tanh", {{4, 9}}, [](const auto& t) { return gelu_tanh(scale(t[0], 2)); }},
      {"softplus", {{4, 9}}, [](const auto& t) { return softplus(scale(t[0], 2)); }},
      {"mish", {{4, 9}}, [](const auto& t) { return mish(scale(t[0], 2)); }},
      {"prelu", {{2, 3, 2, 4}, {3}}, [](const auto& t) { return prelu(t[0], t[1]); }, 0.05},
      {"prelu with one slope", {{4, 9}, {1}}, [](const auto& t) { return prelu(t[0], t[1]); }, 0.05},
      {"max_pool2d", {{2, 3, 6, 6}}, [](const auto& t) { return max_pool2d(t[0], {}); }, 0, true},
      {"max_pool2d overlapping",
       {{1, 2, 7, 7}},
       [](const auto& t) {
         return max_pool2d(t[0], {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1, 1, 1}});
       },
       0,
       true},
      {"max_pool2d uneven, ceil",
       {{1, 2, 6, 6}},
       [](const auto& t) { return max_pool2d(t[0], uneven(true)); },
       0,
       true},
      {"max_pool2d dilated",
       {{1, 2, 8, 7}},
       [](const auto& t) {
         return max_pool2d(t[0], {.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0, 2, 1}, .dilation = {2, 3}});
       },
       0,
       true},
      {"avg_pool2d",
       {{2, 3, 6, 6}},
       [](const auto& t) {
         return avg_pool2d(t[0], {.kernel = {3, 2}});
       }},
      {"avg_pool2d overlapping",
       {{1, 2, 5, 5}},
       [](const auto& t) {
         return avg_pool2d(t[0], {.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1, 1, 1}});
       }},
      {"avg_pool2d uneven, ceil", {{1, 2, 6, 6}}, [](const auto& t) { return avg_pool2d(t[0], uneven(true)); }},
      {"avg_pool2d without its padding", {{1, 2, 6, 6}}, [](const auto& t) { return avg_pool2d(t[0], uneven(false)); }},
      {"global_avg_pool2d", {{2, 3, 4, 5}}, [](const auto& t) { return global_avg_pool2d(t[0]); }},
      {"global_max_pool2d", {{2, 3, 4, 5}}, [](const auto& t) { return global_max_pool2d(t[0]); }, 0, true},
      {"concat",
       {{2, 3, 2, 2}, {2, 1, 2, 2}, {2, 2, 2, 2}},
       [](const auto& t) {
         return concat({t[0], t[1], t[2]});
       }},
      {"concat of features, one of them twice",
       {{2, 3}, {2, 1}},
       [](const auto& t) {
         return concat({t[0], t[1], t[0]});
       }},
      {"outputs of several shapes, one of them twice",
       {{2, 3, 2, 2}, {2, 4}},
       [](const auto& t) {
         return outputs({t[0], t[1], t[0]});
       }},
      {"select_channels, one of them twice",
       {{2, 4, 2, 3}},
       [](const auto& t) {
         return select_channels(t[0], {.channels = {2, 0, 2}});
       }},
      {"slice_channels of features", {{3, 5}}, [](const auto& t) { return slice_channels(t[0], 1, 4); }},
      {"split_channels",
       {{2, 5, 2, 2}},
       [](const auto& t) {
         const std::vector<Tensor> parts = split_channels(t[0], {2, 2, 1});
         return add(parts[0], parts[1]);
       }},
      {"channel_shuffle", {{2, 6, 2, 2}}, [](const auto& t) { return channel_shuffle(t[0], 3); }},
      {"pad2d",
       {{2, 2, 3, 2}},
       [](const auto& t) {
         return pad2d(t[0], {.padding = {1, 0, 2, 3}});
       }},
      {"upsample2d",
       {{2, 2, 3, 2}},
       [](const auto& t) {
         return upsample2d(t[0], {.factor = {2, 3}});
       }},
      {"flatten", {{2, 3, 2, 4}}, [](const auto& t) { return flatten(t[0]); }},
      {"softmax", {{5}}, [](const auto& t) { return softmax(t[0], 0.7F); }},
      {"softmax of columns", {{3, 4}}, [](const auto& t) { return softmax(t[0], 2.0F); }},
      {"cross_entropy", {{3, 4}}, [](const auto& t) { return cross_entropy(t[0], labels); }},
      {"cross_entropy with denominator", {{3, 4}}, [](const auto& t) { return cross_entropy(t[0], labels, 7); }},
      {"mse",
       {{3, 4}},
       [](const auto& t) {
         return mse(t[0], Tensor::full({3, 4}, -0.2F));
       }},
      {"mse with denominator",
       {{3, 4}},
       [](const auto& t) {
         return mse(t[0], Tensor::full({3, 4}, 0.3F), 7);
       }},
      {"pixels", {{2, 3, 2, 2}}, [](const auto& t) { return pixels(t[0]); }},
      {"imitate",
       {{3, 4}},
       [](const auto& t) {
         return imitate(t[0], Tensor::from({3, 4}, std::vector<float>{1, -2, 0.5F, 3, 0, 0, 1, -1, 2, 2, -3, 0.1F}), 4,
                        7);
       }},
      {"expectation",
       {{3}},
       [](const auto& t) {
         return expectation(t[0], std::vector<double>{2, 4, 8});
       }},
      {"expectation of columns",
       {{2, 3}},
       [](const auto& t) {
         return expectation(t[0], std::vector<double>{3, 5});
       }},
      {"expectation of columns that count several times",
       {{2, 3}},
       [](const auto& t) {
         return expectation(t[0], std::vector<double>{3, 5}, std::vector<double>{2, 0, 1});
       }},
      {"product", {{1}, {1}}, [](const auto& t) { return product(t[0], t[1], 3); }},
      {"mask_bias",
       {{3}, {2, 3}},
       [](const auto& t) {
         return mask_bias(t[0], t[1], std::vector<int>{0, 4});
       }},
      {"pruned_and_kept",
       {{3, 2}},
       [](const auto& t) {
         return pruned_and_kept(t[0], std::vector<int>{0, 4, 8});
       }},
      {"scale", {{2, 3}}, [](const auto& t) { return scale(t[0], -1.5); }},
      {"sum",
       {{2}, {3}},
       [](const auto& t) {
         return sum(std::vector<Tensor>{expectation(t[0], std::vector<double>{1, 2}),
                                        expectation(t[1], std::vector<double>{1, 2, 3})});
       }},
      {"rescale",
       {{2, 3, 2, 2}},
       [](const auto& t) {
         return rescale(t[0], Tensor::from({3}, std::vector<float>{0.5F, 2, 3}), {});
       }},
      {"rescale with bias", {{4, 3}}, [](const auto& t) { return rescale(t[0], Tensor::full({1}, 0.5F), {}); }},
  };
  return table;
}

/// A random order of 0, 0.1, 0.2, ...
Tensor distinct_tensor(const Shape& shape, Rng& rng) {
  Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.size(); ++i) {
    const auto j = static_cast<int64_t>(rng.below(static_cast<uint64_t>(i + 1)));
    t.data()[i] = t.data()[j];
    t.data()[j] = 0.1F * static_cast<float>(i);
  }
  return t;
}

}  // namespace

TEST_CASE("every op's gradient equals central differences") {
  Rng rng(3, "gradients");
  for (const Row& row : rows()) {
    std::vector<Tensor> inputs;
    for (const Shape& shape : row.inputs) {
      inputs.push_back(row.distinct ? distinct_tensor(shape, rng) : random_tensor(shape, rng, row.gap));
    }
    check_gradient(row.name, row.op, inputs);
  }
}
