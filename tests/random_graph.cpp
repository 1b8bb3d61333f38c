// SPDX-License-Identifier: Apache-2.0
#include "random_graph.h"

#include "dice.h"
#include "networks.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>
#include <variant>

namespace mixgrad::test {
namespace {

/// Grows a network step by step; every step reads existing values, [C, H, W] or [features].
class RandomNet : public nn::Module {
 public:
  RandomNet(Dice& dice, Dice& small, Dice& functions, Dice& ends) : dice_(dice), small_(small), functions_(functions) {
    const NoTape pause;
    eval();
    samples_.push_back(Tensor::zeros({1, dice.from(1, 4), dice.from(1, 8), dice.from(1, 8)}));
    for (int64_t steps = dice.from(3, 12); steps > 0; --steps) grow();
    if (dice.chance(0.4)) linear(values_.back());
    output_ = dice.chance(0.9) ? values_.back() : dice.one_of(values_);
    while (is_input(output_)) {
      linear(values_.back());
      output_ = values_.back();
    }
    if (ends.chance(0.2)) return_more(ends);
  }

  Shape input_shape() const { return shape(0); }

  Tensor forward(const Tensor& x) override {
    std::vector<Tensor> values = {x};
    for (const Step& step : steps_) values.push_back(step(values));
    if (others_.empty()) return values[output_];
    std::vector<Tensor> all = {values[output_]};
    for (const size_t at : others_) all.push_back(values[at]);
    return outputs(all);
  }

 private:
  using Step = std::function<Tensor(const std::vector<Tensor>&)>;

  Shape shape(size_t at) const { return Shape(samples_[at].shape().dims().subspan(1)); }
  bool is_image(size_t at) const { return shape(at).rank() == 3; }

  size_t push(Step step) {
    samples_.push_back(step(samples_));
    steps_.push_back(std::move(step));
    return samples_.size() - 1;
  }
  template <typename M>
  size_t push(size_t at, std::unique_ptr<M> module) {
    M& layer = *module;
    layer.eval();
    add_module(fmt::format("layer{}", layers_.size()), layer);
    layers_.push_back(std::move(module));
    return push([at, &layer](const std::vector<Tensor>& v) { return layer(v[at]); });
  }
  size_t push(size_t at, Tensor (*op)(const Tensor&)) {
    return push([at, op](const std::vector<Tensor>& v) { return op(v[at]); });
  }

  /// One or two more outputs. Not of one position: an output may be the same value, flattened.
  void return_more(Dice& ends) {
    std::set<size_t> images;
    for (const size_t at : values_) {
      if (at > 0 && at != output_ && is_image(at) && shape(at).size() > shape(at)[0]) images.insert(at);
    }
    for (int64_t count = ends.from(1, 2); count > 0 && !images.empty(); --count) {
      others_.push_back(ends.one_of(std::vector(images.begin(), images.end())));
      images.erase(others_.back());
    }
  }

  /// A value that later steps may read.
  void offer(size_t at) { values_.push_back(at); }

  /// Whether the input has only been flattened so far.
  bool is_input(size_t at) const { return std::ranges::find(inputs_, at) != inputs_.end(); }

  void grow() {
    const size_t x = dice_.chance(0.6) ? values_.back() : dice_.one_of(values_);  // which gives it several consumers
    if (functions_.chance(0.3)) return function(x);
    const int64_t kind = dice_.from(0, 18);
    if (kind <= 4) {
      is_image(x) ? convolution(x) : linear(x);
    } else if (kind <= 6) {
      addition(x);
    } else if (kind == 7) {
      offer(push(x, relu));
    } else if (kind == 8 && dice_.chance(0.6)) {
      offer(flat(x));
    } else if (kind == 13) {
      concatenation(x);
    } else if (kind == 14) {
      selection(x);
    } else if (kind == 15 && is_image(x)) {
      padding(x);
    } else if (kind == 16 && is_image(x)) {
      upsampling(x);
    } else if (kind == 17) {
      offer(batch_norm(x));
    } else if (kind == 18 && is_image(x)) {
      transposed_convolution(x);
    } else if (is_image(x)) {
      pool(x);
    }
  }

  size_t flat(size_t x) {
    const size_t y = push(x, flatten);
    if (is_input(x)) inputs_.push_back(y);
    return y;
  }

  /// Batch norm, ReLU or ReLU6 after a layer or an Add, perhaps with max pooling between; only the last can be read.
  void finish(size_t y, bool layer) {
    if (layer && dice_.chance(0.3)) y = batch_norm(y);
    if (is_image(y) && dice_.chance(0.1))
      y = push([y](const std::vector<Tensor>& v) { return max_pool2d(v[y], {.kernel = {1, 1}}); });
    const int64_t kind = dice_.from(0, 9);
    if (kind <= 2) y = push(y, relu);
    if (kind == 3) y = push(y, relu6);
    offer(y);
  }

  /// Sometimes makes one channel's weights negligible, as in dead channels.
  void shrink_one(const Tensor& weight) {
    if (!small_.chance(0.3)) return;
    const int64_t row = weight.size() / weight.dim(0), c = small_.from(0, weight.dim(0) - 1);
    const auto factor = static_cast<float>(std::pow(10, -small_.from(3, 40)));
    for (float& w : weight.data().subspan(static_cast<size_t>(c * row), static_cast<size_t>(row))) w *= factor;
  }

  size_t batch_norm(size_t y) {
    auto norm = std::make_unique<nn::BatchNorm2d>(shape(y)[0]);
    dice_.fill_between(norm->gamma, 0.5, 1.5);
    dice_.fill(norm->beta, 0.3);
    dice_.fill(norm->running_mean, 0.3);
    dice_.fill_between(norm->running_var, 0.5, 2);
    return push(y, std::move(norm));
  }

  void convolution(size_t x) {
    const Shape in = shape(x);
    Conv2dAttrs a{.stride = {dice_.from(1, 2), dice_.from(1, 2)},
                  .padding = {},
                  .dilation = {dice_.from(1, 2), dice_.from(1, 2)}};
    std::array<int64_t, 2> kernel{dice_.from(1, 3), dice_.from(1, 3)};
    for (size_t side = 0; side < 4; ++side) a.padding[side] = dice_.from(0, 2);
    if (dice_.chance(0.4)) a = {.padding = {1, 1, 1, 1}}, kernel = {3, 3};  // keeps the shape, for an Add
    for (size_t d = 0; d < 2; ++d) {  // a size of 1 if the window would be larger than the padded image
      if ((kernel[d] - 1) * a.dilation[d] + 1 > in[1 + static_cast<int>(d)] + a.padding[d] + a.padding[d + 2])
        kernel[d] = 1;
    }
    std::vector<int64_t> divisors;
    for (int64_t g = 1; g <= in[0]; ++g) {
      if (in[0] % g == 0) divisors.push_back(g);
    }
    a.groups = dice_.chance(0.5) ? 1 : dice_.one_of(divisors);
    const bool depthwise = a.groups == in[0] && dice_.chance(0.7);
    const int64_t out =
        depthwise || dice_.chance(0.4) ? in[0] : a.groups * dice_.from(1, std::max<int64_t>(1, 8 / a.groups));
    auto conv = std::make_unique<nn::Conv2d>(Shape{out, in[0] / a.groups, kernel[0], kernel[1]}, a, dice_.chance(0.7));
    dice_.fill(conv->weight, 1 / std::sqrt(static_cast<double>(conv->weight.size() / out)));
    if (conv->bias) dice_.fill(conv->bias, 0.3);
    shrink_one(conv->weight);
    finish(push(x, std::move(conv)), true);
  }

  void transposed_convolution(size_t x) {
    const Shape in = shape(x);
    ConvTranspose2dAttrs a{.stride = {dice_.from(1, 3), dice_.from(1, 2)}, .dilation = {dice_.from(1, 2), 1}};
    const std::array<int64_t, 2> kernel{dice_.from(1, 3), dice_.from(1, 3)};
    for (size_t d = 0; d < 2; ++d) {
      const int64_t span = (kernel[d] - 1) * a.dilation[d] + 1;
      for (const size_t side : {d, d + 2}) a.padding[side] = dice_.from(0, std::min<int64_t>(2, span - 1));
      a.output_padding[d] = dice_.from(0, a.stride[d] - 1 + std::min<int64_t>(1, a.padding[d + 2]));
      const int64_t out = (in[1 + static_cast<int>(d)] - 1) * a.stride[d] + span + a.output_padding[d];
      if (out <= a.padding[d] + a.padding[d + 2]) a.padding[d] = a.padding[d + 2] = a.output_padding[d] = 0;
    }
    const int64_t kind = dice_.from(0, 3);
    a.groups = kind == 0 ? in[0] : kind == 1 && in[0] % 2 == 0 ? 2 : 1;
    const int64_t out = kind == 0 ? in[0] : a.groups * dice_.from(1, 4);
    auto conv =
        std::make_unique<nn::ConvTranspose2d>(Shape{out, in[0] / a.groups, kernel[0], kernel[1]}, a, dice_.chance(0.7));
    dice_.fill(conv->weight, 1 / std::sqrt(static_cast<double>(conv->weight.size() / out)));
    if (conv->bias) dice_.fill(conv->bias, 0.3);
    shrink_one(conv->weight);
    finish(push(x, std::move(conv)), true);
  }

  void linear(size_t x) {
    if (is_image(x)) x = flat(x);
    const int64_t in = shape(x)[0];
    auto layer = std::make_unique<nn::Linear>(
        nn::LinearOptions{.in_features = in, .out_features = dice_.from(1, 8), .bias = dice_.chance(0.7)});
    dice_.fill(layer->weight, 1 / std::sqrt(static_cast<double>(in)));
    if (layer->bias) dice_.fill(layer->bias, 0.3);
    shrink_one(layer->weight);
    finish(push(x, std::move(layer)), true);
  }

  /// A value of the same shape, preferably another.
  size_t alike(size_t x) {
    std::vector<size_t> all;
    for (const size_t i : values_) {
      if (shape(i) == shape(x)) all.push_back(i);
    }
    const size_t other = dice_.one_of(all);
    return other == x ? dice_.one_of(all) : other;
  }

  void addition(size_t x) {
    const size_t other = alike(x);
    finish(push([x, other](const std::vector<Tensor>& v) { return add(v[x], v[other]); }), false);
  }

  void concatenation(size_t x) {
    std::vector<size_t> alike;
    const auto with_channels_of_x = [&](size_t i) {
      Shape s = shape(i);
      s[0] = shape(x)[0];
      return s;
    };
    for (const size_t i : values_) {
      if (with_channels_of_x(i) == shape(x)) alike.push_back(i);
    }
    std::vector<size_t> parts = {x};
    for (int64_t more = dice_.from(1, 2); more > 0; --more) parts.push_back(dice_.one_of(alike));
    if (dice_.chance(0.5)) std::ranges::reverse(parts);
    int64_t channels = 0;
    for (const size_t i : parts) channels += shape(i)[0];
    if (channels > 24) return;
    finish(push([parts](const std::vector<Tensor>& v) {
             std::vector<Tensor> inputs;
             for (const size_t i : parts) inputs.push_back(v[i]);
             return concat(inputs);
           }),
           false);
  }

  /// A slice, a split whose parts are all offered, or a shuffle.
  void selection(size_t x) {
    const int64_t channels = shape(x)[0], kind = dice_.from(0, 2), begin = dice_.from(0, channels - 1);
    if (kind == 0) {
      const int64_t groups = channels % 3 == 0 ? 3 : channels % 2 == 0 ? 2 : 1;
      finish(push([x, groups](const std::vector<Tensor>& v) { return channel_shuffle(v[x], groups); }), false);
      return;
    }
    if (kind == 1 && begin > 0)
      finish(push([x, begin](const std::vector<Tensor>& v) { return slice_channels(v[x], 0, begin); }), false);
    const int64_t end = kind == 1 ? channels : dice_.from(begin + 1, channels);
    finish(push([x, begin, end](const std::vector<Tensor>& v) { return slice_channels(v[x], begin, end); }), false);
  }

  void padding(size_t x) {
    Pad2dAttrs a;
    for (int64_t& side : a.padding) side = dice_.from(0, 2);
    finish(push([x, a](const std::vector<Tensor>& v) { return pad2d(v[x], a); }), false);
  }

  void upsampling(size_t x) {
    const Upsample2dAttrs a{.factor = {dice_.from(1, 3), dice_.from(1, 3)}};
    if (shape(x)[1] * a.factor[0] > 12 || shape(x)[2] * a.factor[1] > 12) return;
    finish(push([x, a](const std::vector<Tensor>& v) { return upsample2d(v[x], a); }), false);
  }

  void multiplication(size_t x, size_t other) {
    finish(push([x, other](const std::vector<Tensor>& v) { return mul(v[x], v[other]); }), false);
  }

  /// Squeeze and excite: images times a factor for each channel, as images or features.
  void gate(size_t x) {
    const int64_t channels = shape(x)[0];
    size_t y = push(x, global_avg_pool2d);
    if (functions_.chance(0.5)) {
      auto layer = std::make_unique<nn::Conv2d>(Shape{channels, channels, 1, 1}, Conv2dAttrs{}, true);
      functions_.fill(layer->weight, 0.5);
      y = push(y, std::move(layer));
    } else {
      auto layer = std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = channels, .out_features = channels});
      functions_.fill(layer->weight, 0.5);
      y = push(push(y, flatten), std::move(layer));
    }
    const FunctionAttrs f = functions_.chance(0.5) ? FunctionAttrs{.kind = FunctionKind::sigmoid}
                                                   : FunctionAttrs{FunctionKind::hard_sigmoid, 1.0F / 6, 0.5F};
    multiplication(x, push([y, f](const std::vector<Tensor>& v) { return mixgrad::function(f, v[y]); }));
  }

  void function(size_t x) {
    const auto kinds = std::ssize(function_names);
    const int64_t kind = functions_.from(0, kinds + 5);
    if (kind < kinds) {
      FunctionAttrs f{.kind = static_cast<FunctionKind>(kind),
                      .a = static_cast<float>(functions_.from(-3, 8)) / 8,
                      .b = static_cast<float>(functions_.from(1, 8)) / 8};
      if (f.kind == FunctionKind::clip) f.b += f.a;
      offer(push([x, f](const std::vector<Tensor>& v) { return mixgrad::function(f, v[x]); }));
    } else if (kind < kinds + 2) {
      auto slopes = std::make_unique<nn::PReLU>(functions_.chance(0.3) ? 1 : shape(x)[0]);
      functions_.fill(slopes->weight, 0.5);
      offer(push(x, std::move(slopes)));
    } else if (kind < kinds + 4 && is_image(x)) {
      gate(x);
    } else {
      multiplication(x, alike(x));
    }
  }

  void pool(size_t x) {
    if (dice_.chance(0.3)) {
      offer(push(x, global_avg_pool2d));
      return;
    }
    const Shape in = shape(x);
    Pool2dAttrs a;
    for (size_t d = 0; d < 2; ++d) {
      a.kernel[d] = dice_.from(1, std::min<int64_t>(3, in[1 + static_cast<int>(d)]));
      a.stride[d] = dice_.from(0, 3);
      for (const size_t side : {d, d + 2}) a.padding[side] = dice_.from(0, a.kernel[d] - 1);
    }
    a.ceil = dice_.chance(0.3);
    a.count_padding = dice_.chance(0.5);
    const bool largest = dice_.chance(0.5);
    if (largest && dice_.chance(0.4)) dilate(a, in);
    offer(push(
        [x, a, largest](const std::vector<Tensor>& v) { return largest ? max_pool2d(v[x], a) : avg_pool2d(v[x], a); }));
  }

  /// Spreads the window where it still fits and every window has a position in the image.
  void dilate(Pool2dAttrs& a, const Shape& in) {
    for (size_t d = 0; d < 2; ++d) {
      if (a.kernel[d] != 2 && a.kernel[d] != 3) continue;
      if (2 * (a.kernel[d] - 1) + 1 <= in[1 + static_cast<int>(d)]) a.dilation[d] = 2;
    }
  }

  Dice &dice_, &small_, &functions_;
  std::vector<Tensor> samples_;  // the value of every step for an input of zeros
  std::vector<size_t> values_ = {0}, inputs_ = {0};
  std::vector<Step> steps_;
  std::vector<std::unique_ptr<nn::Module>> layers_;
  size_t output_ = 0;
  std::vector<size_t> others_;  // outputs
};

data::Dataset images_for(Dice& dice, const Shape& shape, int64_t count, bool negative) {
  data::Dataset out = random_images(0, shape, 0);
  const Tensor values = Tensor::empty({count * shape.size()});
  dice.fill_between(values, negative ? -1 : 0, 1);
  out.features.assign(values.data().begin(), values.data().end());
  return out;
}

MixPrecOptions options_for(Dice& dice, const Shape& input, const data::Dataset& images) {
  data::Loader loader(images, {.batch_size = images.size()});
  loader.start(0);
  const bool per_channel = dice.chance(0.7);
  MixPrecOptions options{.input_shape = input, .calibration = {loader.batch(0).x}};
  options.w_mixprec_type = per_channel ? MixPrecType::PER_CHANNEL : MixPrecType::PER_LAYER;
  options.weight_precisions = dice.some_of({2, 3, 4, 5, 6, 7, 8});
  if (per_channel && dice.chance(0.5)) options.weight_precisions.push_back(0);
  options.activation_precisions = dice.some_of({2, 3, 4, 5, 6, 7, 8});
  options.input_precisions = dice.some_of({2, 3, 4, 5, 6, 7, 8});
  options.quantize_output = dice.chance(0.3);
  options.weight_quantizer = quant::find_weight(dice.one_of(quant::weight_names()));
  if (options.weight_quantizer->range(1).high > 0 && dice.chance(0.5)) options.weight_precisions.push_back(1);
  return options;
}

std::string attributes(const Node& node) {
  if (const auto* conv = node.as<op::Conv2d>()) {
    return fmt::format(" kernel {}x{} stride {} padding {} dilation {} groups {}", node.weight().dim(2),
                       node.weight().dim(3), conv->attrs.stride, conv->attrs.padding, conv->attrs.dilation,
                       conv->attrs.groups);
  }
  if (const auto* conv = node.as<op::ConvTranspose2d>()) {
    return fmt::format(" weight {} stride {} padding {} more {} dilation {} groups {}", node.weight().shape().str(),
                       conv->attrs.stride, conv->attrs.padding, conv->attrs.output_padding, conv->attrs.dilation,
                       conv->attrs.groups);
  }
  if (const Pool2dAttrs* p = pool_of(node))
    return fmt::format(" kernel {} stride {} padding {} dilation {} ceil {} counted {}", p->kernel, p->stride,
                       p->padding, p->dilation, p->ceil, p->count_padding);
  if (const auto* select = node.as<op::SelectChannels>()) return fmt::format(" channels {}", select->attrs.channels);
  if (const auto* pad = node.as<op::Pad2d>()) return fmt::format(" padding {}", pad->attrs.padding);
  if (const auto* up = node.as<op::Upsample2d>()) return fmt::format(" factor {}", up->attrs.factor);
  return "";
}

}  // namespace

RandomNetwork random_network(uint64_t seed, int64_t images) {
  Dice dice(seed, "random_graph"), small(seed, "small channels"), functions(seed, "functions"), ends(seed, "ends");
  RandomNet net(dice, small, functions, ends);
  data::Dataset set = images_for(dice, net.input_shape(), images, dice.chance(0.3));
  MixPrec search(net, options_for(dice, net.input_shape(), set));
  randomize_architecture(search, seed);
  return {.graph = search.arch_export(), .discrete = discretize(search.graph()), .images = std::move(set)};
}

const Pool2dAttrs* pool_of(const Node& node) {
  if (const auto* pool = node.as<op::AvgPool2d>()) return &pool->attrs;
  if (const auto* pool = node.as<op::MaxPool2d>()) return &pool->attrs;
  return nullptr;
}

std::string structure(const Graph& graph) {
  std::string out;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& n = graph.nodes[i];
    out += fmt::format("{:>3} {} {} of {}{}{}, {}", i, n.name, n.op_name(), n.inputs, attributes(n),
                       n.activation == Activation::relu6  ? ", relu6"
                       : n.activation == Activation::relu ? ", relu"
                                                          : "",
                       n.shape.str());
    if (n.weight_slot) out += fmt::format(", weights {}", n.weight_slot->bits);
    if (n.output_slot)
      out += fmt::format(", output {}{}", n.output_slot->precisions, n.output_slot->is_signed ? " signed" : "");
    out += static_cast<int>(i) == graph.output ? " <- result\n" : "\n";
  }
  return out;
}

}  // namespace mixgrad::test
