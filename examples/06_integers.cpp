// SPDX-License-Identifier: Apache-2.0
// Shows: what a device computes. A quantized layer needs only integers: codes times codes, summed in 32 bits, and one
//   multiplication by a fixed-point number that turns sums into codes of the next tensor. Nothing is lost on the way:
//   the integers are those of the float simulation.
// Prints: how an output of a small convolution comes about, by hand and by the engine; the error that all outputs have
//   at fewer and fewer bits; and how many of their codes equal those of the float simulation.
// Run: build/examples/06_integers
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;

namespace {

/// A 1x1 convolution from 4 channels to 3, with its ReLU, and images for it.
struct Layer {
  Layer()
      : net(std::make_unique<nn::Conv2d>(nn::Conv2dOptions{.in_channels = 4, .out_channels = 3, .kernel = {1, 1}}),
            std::make_unique<nn::ReLU>()) {
    nn::initialize(net, Rng(1, "init"));
    Rng rng(1, "images");
    for (float& v : x.data()) v = static_cast<float>(rng.uniform());
  }
  Graph at(int bits) {
    return MixPrec(net, {.input_shape = {4, 8, 8},
                         .activation_precisions = {bits},
                         .weight_precisions = {bits},
                         .input_precisions = {bits},
                         .calibration = {x},
                         .input_range = ValueRange{0, 1},
                         .quantize_output = true})
        .arch_export();
  }
  nn::Sequential net;
  Tensor x = Tensor::empty({16, 4, 8, 8});  // channels last in memory
};

constexpr size_t channel = 2;

/// Computes this channel at the first pixel from codes.
void by_hand(const IntegerNetwork& network, const std::vector<uint8_t>& codes) {
  const IntegerNode& node = network.result();
  const integer::Layer& layer = *node.layer();
  int32_t sum = layer.bias[channel];
  fmt::print("sum = {}", sum);
  for (size_t c = 0; c < 4; ++c) {
    sum += layer.weights[4 * channel + c] * codes[c];
    fmt::print(" + {} · {}", layer.weights[4 * channel + c], codes[c]);
  }
  const FixedPoint ratio = layer.ratios[channel];
  const int64_t code = std::clamp<int64_t>(ratio.apply(sum), node.low, node.high);
  fmt::print(" = {}\ncode = {} · {} / 2^{} = {}\nvalue = {} · {:.6f} = {:.4f}\n", sum, sum, ratio.multiplier,
             ratio.shift, code, code, node.step, static_cast<float>(code) * node.step);
}

}  // namespace

int main() {
  Layer layer;
  const Tensor exact = layer.net(layer.x);
  for (const int bits : {8, 4, 2}) {
    const Graph simulated = layer.at(bits);
    const IntegerNetwork network = to_integer(simulated);
    const std::vector<uint8_t> codes = network.quantize(layer.x);
    if (bits == 8) {
      by_hand(network, codes);
      fmt::print("the float layer: {:.4f}\n\nbits  root mean square error  codes that differ\n", exact.data()[channel]);
    }
    const Tensor integers = network.real_outputs(IntegerEngine(network, 16).run(codes), 16);
    const Tensor floats = simulated.forward(layer.x);
    int64_t differ = 0;
    for (int64_t i = 0; i < floats.size(); ++i) differ += integers.data()[i] != floats.data()[i];
    fmt::print("{:>4}  {:>22.5f}  {} of {}\n", bits, std::sqrt(mse(flatten(integers), flatten(exact)).item()), differ,
               floats.size());
  }
}
