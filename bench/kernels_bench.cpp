// SPDX-License-Identifier: Apache-2.0
// Times each kernel on one thread, as in a micro-batch of a training step.
#include "layers.h"

#include <mixgrad/optim.h>
#include <mixgrad/tensor.h>

#include <kernels/conv2d.h>
#include <kernels/linear.h>
#include <kernels/quantize.h>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <chrono>
#include <span>
#include <string>
#include <utility>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace mixgrad::layers;

namespace {

/// The first `count` bit-widths, the most common candidates first. There are seven from 2 to 8; the eighth is a
/// duplicate, to reach the kernel's maximum.
std::vector<int> candidates(int64_t count) {
  const std::vector<int> order{8, 4, 2, 6, 3, 5, 7, 8};
  return {order.begin(), order.begin() + count};
}

// --- mixtures ---------------------------------------------------------------------------------------------------

/// Elements of a ResNet8 tensor: for a micro-batch (stays in cache) and for a batch of 128.
const std::vector<int64_t> tensor_sizes{images * 16 * 32 * 32, 128 * 16 * 32 * 32};

struct ActivationCase {
  ActivationCase(int64_t count, int64_t size)
      : bits(candidates(count)),
        x(normal(size, 2)),
        g(normal(size)),
        theta(filled(count, 1.0F / static_cast<float>(count))),
        clip(filled(count)),
        out(filled(size)),
        gtheta(filled(count)),
        gclip(filled(count)) {
    for (size_t p = 0; p < clip.size(); ++p) clip[p] = 1 + 0.25F * static_cast<float>(p);
  }

  std::vector<int> bits;
  Floats x, g, theta, clip, out, gtheta, gclip;
};

/// Reports elements/s, and the bytes/s that one pass must read and write.
void count_elements(benchmark::State& state, int64_t elements, int64_t tensors) {
  state.SetItemsProcessed(state.iterations() * elements);
  state.SetBytesProcessed(state.iterations() * elements * tensors * static_cast<int64_t>(sizeof(float)));
}

void activation_forward(benchmark::State& state, k::ActivationFormat format) {
  ActivationCase c(state.range(0), state.range(1));
  for (auto _ : state) {
    k::activation_mixture(c.bits, format, c.x, c.theta, c.clip, c.out);
    benchmark::ClobberMemory();
  }
  count_elements(state, state.range(1), 2);
}

void activation_backward(benchmark::State& state, k::ActivationFormat format) {
  ActivationCase c(state.range(0), state.range(1));
  for (auto _ : state) {
    k::activation_mixture_grad(c.bits, format, c.x, c.theta, c.clip, c.g, grad(c.out), grad(c.gtheta), grad(c.gclip));
    benchmark::ClobberMemory();
  }
  count_elements(state, state.range(1), 3);
}

struct WeightCase {
  WeightCase(int64_t count, bool channelwise)
      : bits(candidates(count)),
        per_channel(channelwise),
        w(normal(total)),
        g(normal(total)),
        theta(filled(count * (channelwise ? size.channels : 1), 1.0F / static_cast<float>(count))),
        out(filled(total)),
        gtheta(theta) {}

  /// ResNet8's largest layer, stack3.conv2.
  static constexpr k::WeightSize size{.channels = 64, .per_channel = 64 * 3 * 3};
  static constexpr int64_t total = size.channels * size.per_channel;

  std::vector<int> bits;
  bool per_channel;
  Floats w, g, theta, out, gtheta;
};

void weight_forward(benchmark::State& state, bool per_channel) {
  WeightCase c(state.range(0), per_channel);
  for (auto _ : state) {
    k::weight_mixture(c.size, c.bits, c.per_channel, c.w, c.theta, c.out);
    benchmark::ClobberMemory();
  }
  count_elements(state, c.total, 2);
}

void weight_backward(benchmark::State& state, bool per_channel) {
  WeightCase c(state.range(0), per_channel);
  for (auto _ : state) {
    k::weight_mixture_grad(c.size, c.bits, c.per_channel, c.w, c.theta, c.g, grad(c.out), grad(c.gtheta));
    benchmark::ClobberMemory();
  }
  count_elements(state, c.total, 3);
}

void add_mixtures() {
  const std::vector<int64_t> counts{1, 2, 3, 4, 5, 6, 7, 8};
  for (const bool is_signed : {false, true}) {
    // One-sided: after a conv, with a ReLU that the mixture applies.
    const k::ActivationFormat format{.is_signed = is_signed, .relu = !is_signed};
    const std::string side = is_signed ? "two_sided" : "one_sided";
    const auto add = [&](const std::string& direction, auto* run) {
      benchmark::RegisterBenchmark(("activation_mixture/" + side + "/" + direction).c_str(), run, format)
          ->ArgNames({"candidates", "elements"})
          ->ArgsProduct({counts, tensor_sizes});
    };
    add("forward", activation_forward);
    add("backward", activation_backward);
  }
  for (const bool per_channel : {false, true}) {
    const std::string scheme = per_channel ? "per_channel" : "per_layer";
    const auto add = [&](const std::string& direction, auto* run) {
      benchmark::RegisterBenchmark(("weight_mixture/" + scheme + "/" + direction).c_str(), run, per_channel)
          ->ArgName("candidates")
          ->Arg(1)
          ->Arg(3)
          ->Arg(7);
    };
    add("forward", weight_forward);
    add("backward", weight_backward);
  }
}

// --- layers -----------------------------------------------------------------------------------------------------

/// Reports multiply-accumulates/s. The first call is not timed, because it creates oneDNN's primitive.
template <typename Body>
void measure_layer(benchmark::State& state, int64_t macs, const Body& body) {
  body();
  for (auto _ : state) {
    body();
    benchmark::ClobberMemory();
  }
  state.counters["MAC/s"] =
      benchmark::Counter(static_cast<double>(macs * state.iterations()), benchmark::Counter::kIsRate);
}

struct Convolution {
  const char* name;
  k::Conv2dForward* forward;
  k::Conv2dGradX* grad_x;
  k::Conv2dGradW* grad_w;
};

constexpr Convolution chosen{"chosen", k::conv2d, k::conv2d_grad_x, k::conv2d_grad_w};
constexpr Convolution by_gemm{"gemm", k::gemm::conv2d, k::gemm::conv2d_grad_x, k::gemm::conv2d_grad_w};
constexpr Convolution by_winograd{"winograd", k::winograd::conv2d, k::winograd::conv2d_grad_x,
                                  k::winograd::conv2d_grad_w};

/// Those of images in bfloat16.
struct HalfConvolution {
  using Halves = std::span<const k::bfloat16>;
  const char* name;
  void (*forward)(const k::Conv2dSize&, Halves x, std::span<const float> w, std::span<const float> bias,
                  std::span<k::bfloat16> y);
  void (*grad_x)(const k::Conv2dSize&, Halves gy, std::span<const float> w, k::GradOf<k::bfloat16> gx);
  void (*grad_w)(const k::Conv2dSize&, Halves x, Halves gy, k::Grad gw, k::Grad gbias);
};

constexpr HalfConvolution half_direct{"direct_bf16", k::conv2d, k::conv2d_grad_x, k::conv2d_grad_w};
constexpr HalfConvolution half_winograd{"winograd_bf16", k::winograd::conv2d, k::winograd::conv2d_grad_x,
                                        k::winograd::conv2d_grad_w};

void conv(benchmark::State& state, const k::Conv2dSize& s, Direction direction, const Convolution& convolution,
          bool with_bias) {
  LayerCase c(s);
  const k::Grad gbias = with_bias ? grad(c.gbias) : k::Grad{};
  measure_layer(state, s.n * s.oh * s.ow * std::ssize(c.w), [&] {
    if (direction == Direction::forward) convolution.forward(s, c.x, c.w, c.bias, c.y);
    if (direction == Direction::grad_x) convolution.grad_x(s, c.y, c.w, grad(c.gx));
    if (direction == Direction::grad_w) convolution.grad_w(s, c.x, c.y, grad(c.gw), gbias);
  });
}

void layer_conv(benchmark::State& state, const ConvShape& shape, Direction direction, const Convolution& convolution) {
  conv(state, shape.size(), direction, convolution, /*with_bias=*/true);
}

/// Nothing else runs by Winograd's algorithm.
void square_conv(benchmark::State& state, const SquareShape& shape, Direction direction,
                 const Convolution& convolution) {
  k::winograd::enable(false);
  conv(state, shape.conv(), direction, convolution, /*with_bias=*/false);
  k::winograd::enable(true);
}

void half_square_conv(benchmark::State& state, const SquareShape& shape, Direction direction,
                      const HalfConvolution& convolution) {
  const k::Conv2dSize s = shape.conv();
  LayerCase c(s);
  std::vector<k::bfloat16> x(c.x.size()), y(c.y.size()), gx(c.x.size());
  k::from_float(c.x, x);
  k::from_float(c.y, y);
  k::winograd::enable(false);
  measure_layer(state, s.n * s.oh * s.ow * std::ssize(c.w), [&] {
    if (direction == Direction::forward) convolution.forward(s, x, c.w, c.bias, y);
    if (direction == Direction::grad_x) convolution.grad_x(s, y, c.w, {.data = gx.data()});
    if (direction == Direction::grad_w) convolution.grad_w(s, x, y, grad(c.gw), {});
  });
  k::winograd::enable(true);
}

void linear(benchmark::State& state, const LinearShape& s, Direction direction) {
  LayerCase c(s);
  measure_layer(state, images * s.in * s.out, [&] {
    if (direction == Direction::forward) k::linear(images, s.in, s.out, c.x, c.w, c.bias, c.y);
    if (direction == Direction::grad_x) k::linear_grad_x(images, s.in, s.out, c.y, c.w, grad(c.gx));
    if (direction == Direction::grad_w) k::linear_grad_w(images, s.in, s.out, c.x, c.y, grad(c.gw), grad(c.gbias));
  });
}

void add_layers() {
  const std::pair<const char*, Direction> directions[] = {
      {"forward", Direction::forward}, {"grad_x", Direction::grad_x}, {"grad_w", Direction::grad_w}};
  for (const ConvShape& shape : conv_shapes) {
    for (const auto& [name, direction] : directions) {
      const std::string prefix = fmt::format("conv2d/{}/{}/", shape.name(), name);
      benchmark::RegisterBenchmark((prefix + chosen.name).c_str(), layer_conv, shape, direction, chosen);
      if (k::gemm::computes(shape.size()))
        benchmark::RegisterBenchmark((prefix + by_gemm.name).c_str(), layer_conv, shape, direction, by_gemm);
    }
  }
  for (const SquareShape& shape : winograd_shapes) {
    for (const auto& [name, direction] : directions) {
      const std::string prefix =
          fmt::format("conv3x3/{0}x{1}x{1}_to_{2}/{3}/", shape.c_in, shape.size, shape.c_out, name);
      benchmark::RegisterBenchmark((prefix + "direct").c_str(), square_conv, shape, direction, chosen);
      benchmark::RegisterBenchmark((prefix + by_winograd.name).c_str(), square_conv, shape, direction, by_winograd);
      if (!k::winograd::runs_bfloat16()) continue;
      for (const HalfConvolution& half : {half_direct, half_winograd})
        benchmark::RegisterBenchmark((prefix + half.name).c_str(), half_square_conv, shape, direction, half);
    }
  }
  for (const LinearShape& shape : linear_shapes) {
    for (const auto& [name, direction] : directions)
      benchmark::RegisterBenchmark(
          fmt::format("linear/{}/{}_to_{}_x{}/{}", shape.network, shape.in, shape.out, shape.layers, name).c_str(),
          linear, shape, direction);
  }
}

// --- optimizers -------------------------------------------------------------------------------------------------

/// `total` parameters, split into as many tensors as ResNet8 has weights and biases.
std::vector<mixgrad::Tensor> parameters(int64_t total) {
  constexpr int64_t tensors = 20;
  std::vector<mixgrad::Tensor> out;
  for (int64_t i = 0; i < tensors; ++i) {
    const int64_t size = total * (i + 1) / tensors - total * i / tensors;
    out.push_back(mixgrad::Tensor::from({size}, normal(size)).requires_grad());
  }
  return out;
}

/// Times only `step`. It drops the gradients, which are created again outside the timed part.
void measure_optimizer(benchmark::State& state, mixgrad::optim::Optimizer& optimizer) {
  using Clock = std::chrono::steady_clock;
  const Floats gradient = normal(state.range(0), 0.01F);
  for (auto _ : state) {
    for (const mixgrad::Tensor& p : optimizer.parameters())
      p.set_grad(std::span(gradient).first(static_cast<size_t>(p.size())));
    const auto start = Clock::now();
    optimizer.step();
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void sgd(benchmark::State& state) {
  mixgrad::optim::Sgd optimizer({{.parameters = parameters(state.range(0)), .weight_decay = 5e-4}}, {.lr = 1e-4});
  measure_optimizer(state, optimizer);
}

void adam(benchmark::State& state) {
  mixgrad::optim::Adam optimizer({{.parameters = parameters(state.range(0))}}, {.lr = 1e-4});
  measure_optimizer(state, optimizer);
}

void add_optimizers() {
  const auto add = [](const char* name, auto* run) {
    benchmark::RegisterBenchmark(name, run)->ArgName("parameters")->Arg(77360)->Arg(500000)->UseManualTime();
  };
  add("optimizer/sgd", sgd);
  add("optimizer/adam", adam);
}

}  // namespace

int main(int argc, char** argv) {
#ifdef _OPENMP
  omp_set_num_threads(1);
#endif
  add_mixtures();
  add_layers();
  add_optimizers();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
