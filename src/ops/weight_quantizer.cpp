// SPDX-License-Identifier: Apache-2.0
// Mixtures and codes for any weight quantizer.
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/parallel.h>
#include <src/internal/shapes.h>

#include <algorithm>
#include <numeric>

namespace mixgrad {
namespace {

/// Sums values [P, O], one per candidate and channel, into a gradient of shape [P, O], [P] or [O].
void put_sums(const std::vector<double>& values, int64_t channels, bool by_candidate, bool by_channel,
              kernels::Grad out) {
  if (!out) return;
  const int64_t candidates = std::ssize(values) / channels;
  std::vector<double> sums(static_cast<size_t>((by_candidate ? candidates : 1) * (by_channel ? channels : 1)));
  for (int64_t p = 0; p < candidates; ++p) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t row = by_candidate ? p : 0, column = by_channel ? c : 0;
      sums[static_cast<size_t>(row * (by_channel ? channels : 1) + column)] +=
          values[static_cast<size_t>(p * channels + c)];
    }
  }
  for (int64_t i = 0; i < std::ssize(sums); ++i) out.put(i, static_cast<float>(sums[static_cast<size_t>(i)]));
}

double dot(std::span<const float> a, std::span<const float> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// The sizes of a mixture, and how to find θ and the scale of a candidate and channel.
struct Mixture {
  const WeightQuantizer quantizer;
  const std::vector<int> bits;
  const kernels::WeightSize size;
  const bool theta_by_channel, scale_by_candidate;

  size_t at(size_t p, int64_t c) const { return p * static_cast<size_t>(size.channels) + static_cast<size_t>(c); }
  float theta(std::span<const float> all, size_t p, int64_t c) const { return all[theta_by_channel ? at(p, c) : p]; }
  float scale(std::span<const float> all, size_t p, int64_t c) const { return all[at(scale_by_candidate ? p : 0, c)]; }
  template <typename T>
  std::span<T> row(std::span<T> all, int64_t c) const {
    return all.subspan(static_cast<size_t>(c * size.per_channel), static_cast<size_t>(size.per_channel));
  }

  void forward(std::span<const float> w, std::span<const float> thetas, std::span<const float> scales,
               std::span<float> out) const {
    kernels::parallel_tasks(size.channels, [&](int64_t c) {
      std::vector<float> codes(static_cast<size_t>(size.per_channel));
      const std::span<float> mixed = row(out, c);
      std::ranges::fill(mixed, 0.0F);
      for (size_t p = 0; p < bits.size(); ++p) {
        if (bits[p] == 0) continue;
        const CodeRange range = quantizer.range(bits[p]);
        const float s = scale(scales, p, c), factor = theta(thetas, p, c) * quantizer.step(s, range);
        quantizer.codes(s, range, row(w, c), codes);
        for (size_t i = 0; i < codes.size(); ++i) mixed[i] += factor * codes[i];
      }
    });
  }

  void backward(const Backward& b) const {
    const std::span<const float> w = b.input(0), thetas = b.input(1), scales = b.input(2), g = b.grad_output();
    const size_t count = bits.size() * static_cast<size_t>(size.channels);
    std::vector<double> gtheta(count), gscale(count);
    std::vector<float> gw(w.size());
    kernels::parallel_tasks(size.channels, [&](int64_t c) {
      std::vector<float> part(static_cast<size_t>(size.per_channel));
      for (size_t p = 0; p < bits.size(); ++p) {
        if (bits[p] == 0) continue;
        const CodeRange range = quantizer.range(bits[p]);
        const float s = scale(scales, p, c), t = theta(thetas, p, c);
        quantizer.codes(s, range, row(w, c), part);
        gtheta[at(p, c)] = dot(part, row(g, c)) * static_cast<double>(quantizer.step(s, range));
        gscale[at(p, c)] = static_cast<double>(t) * quantizer.gradient(s, range, row(w, c), row(g, c), part);
        const std::span<float> total = row(std::span<float>(gw), c);
        for (size_t i = 0; i < part.size(); ++i) total[i] += t * part[i];
      }
    });
    if (const auto out = b.grad(0)) {
      for (size_t i = 0; i < gw.size(); ++i) out.put(static_cast<int64_t>(i), gw[i]);
    }
    put_sums(gtheta, size.channels, true, theta_by_channel, b.grad(1));
    put_sums(gscale, size.channels, scale_by_candidate, true, b.grad(2));
  }
};

std::span<const float> channel_of(const Tensor& w, int64_t c) {
  const auto row = static_cast<size_t>(w.size() / w.dim(0));
  return w.data().subspan(static_cast<size_t>(c) * row, row);
}

}  // namespace

Tensor weight_mixture(const Tensor& w, const Tensor& theta, const Tensor& scales, std::span<const int> bits,
                      const WeightQuantizer& quantizer) {
  const bool by_candidate = !scales || scales.shape().rank() == 2;
  if (by_candidate && quantizer.mixture) return quantizer.mixture(w, theta, scales, bits);
  const Tensor of_candidates = scales ? scales : candidate_scales(w, bits, quantizer);
  const Mixture mixture{.quantizer = quantizer,
                        .bits = {bits.begin(), bits.end()},
                        .size = weight_size(w.shape()),
                        .theta_by_channel = theta.shape().rank() == 2,
                        .scale_by_candidate = of_candidates.shape().rank() == 2};
  const int64_t count = std::ssize(bits), channels = mixture.size.channels;
  const Shape each{count, channels};
  if (theta.shape() != (mixture.theta_by_channel ? each : Shape{count}) ||
      of_candidates.shape() != (mixture.scale_by_candidate ? each : Shape{channels})) {
    bad_input("[weight_mixture] theta {} and scales {} do not fit {} candidates for {} channels", theta.shape().str(),
              of_candidates.shape().str(), count, channels);
  }
  Tensor y = Tensor::empty(w.shape());
  mixture.forward(w.data(), theta.data(), of_candidates.data(), y.data());
  return record("weight_mixture", y, {w, theta, of_candidates}, [mixture](const Backward& b) { mixture.backward(b); });
}

Tensor candidate_scales(const Tensor& w, std::span<const int> candidates, const WeightQuantizer& quantizer) {
  const int64_t channels = w.dim(0);
  Tensor out = Tensor::empty({std::ssize(candidates), channels});
  for (size_t p = 0; p < candidates.size(); ++p) {
    const std::vector<int> bits(static_cast<size_t>(channels), candidates[p]);
    const Tensor scales = weight_scales(w, bits, quantizer);
    std::ranges::copy(scales.data(), out.data().begin() + static_cast<std::ptrdiff_t>(p) * channels);
  }
  return out;
}

Tensor weight_scales(const Tensor& w, std::span<const int> bits, const WeightQuantizer& quantizer) {
  Tensor out = Tensor::zeros({std::ssize(bits)});
  kernels::parallel_tasks(std::ssize(bits), [&](int64_t channel) {
    const auto c = static_cast<size_t>(channel);
    if (bits[c] > 0) out.data()[c] = quantizer.scale(channel_of(w, channel), quantizer.range(bits[c]));
  });
  return out;
}

Tensor weight_steps(const Tensor& scales, std::span<const int> bits, const WeightQuantizer& quantizer) {
  check_vector("weight_steps", "scales", scales, std::ssize(bits));
  Tensor out = Tensor::full(scales.shape(), 1);
  for (size_t c = 0; c < bits.size(); ++c) {
    if (bits[c] > 0) out.data()[c] = quantizer.step(scales.data()[c], quantizer.range(bits[c]));
  }
  return out;
}

Tensor quantize_weight(const Tensor& w, const Tensor& scales, std::span<const int> bits,
                       const WeightQuantizer& quantizer) {
  if (quantizer.quantize) return quantizer.quantize(w, scales, bits);
  const kernels::WeightSize s = quantized_weight_size(w, bits.size(), "scales", scales);
  Tensor y = Tensor::zeros(w.shape());
  for (int64_t c = 0; c < s.channels; ++c) {
    const auto at = static_cast<size_t>(c);
    const auto row = y.data().subspan(at * static_cast<size_t>(s.per_channel), static_cast<size_t>(s.per_channel));
    if (bits[at] > 0) quantizer.codes(scales.data()[at], quantizer.range(bits[at]), channel_of(w, c), row);
  }
  return record("quantize_weight", y, {w, scales},
                [quantizer, s, kept = std::vector(bits.begin(), bits.end())](const Backward& b) {
                  const auto gw = b.grad(0), gscale = b.grad(1);
                  const auto row_size = static_cast<size_t>(s.per_channel);
                  for (size_t c = 0; c < kept.size(); ++c) {
                    std::vector<float> g(row_size), part(row_size);
                    double dscale = 0;
                    if (kept[c] > 0) {
                      const CodeRange range = quantizer.range(kept[c]);
                      const float scale = b.input(1)[c], step = quantizer.step(scale, range);
                      for (size_t i = 0; i < row_size; ++i) g[i] = b.grad_output()[c * row_size + i] / step;  // ∂/∂ŵ
                      dscale = quantizer.gradient(scale, range, b.input(0).subspan(c * row_size, row_size), g, part);
                    }
                    for (size_t i = 0; gw && i < row_size; ++i) gw.put(static_cast<int64_t>(c * row_size + i), part[i]);
                    if (gscale) gscale.put(static_cast<int64_t>(c), static_cast<float>(dscale));
                  }
                });
}

}  // namespace mixgrad
