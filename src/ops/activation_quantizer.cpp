// SPDX-License-Identifier: Apache-2.0
// Mixtures and codes for any activation quantizer.
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/shapes.h>

#include <numeric>

namespace mixgrad {
namespace {

CodeRange range_of(int bits, bool is_signed) {
  const float levels = kernels::activation_levels(bits, is_signed);
  return {is_signed ? -levels : 0, levels};
}

int64_t features_of(const Tensor& x) { return x.size() / x.dim(0); }

}  // namespace

Tensor activation_mixture(const Tensor& x, const Tensor& theta, const Tensor& clip, std::span<const int> bits,
                          ActivationFormat format, const ActivationQuantizer& quantizer) {
  if (quantizer.mixture) return quantizer.mixture(x, theta, clip, bits, format);
  if (x.dtype() != DType::float32)
    return cast(activation_mixture(cast(x, DType::float32), theta, clip, bits, format, quantizer), x.dtype());
  if (format.relu) return activation_mixture(relu(x), theta, clip, bits, {.is_signed = format.is_signed}, quantizer);
  check_vector("activation_mixture", "theta", theta, std::ssize(bits));
  check_vector("activation_mixture", "clip", clip, std::ssize(bits));
  Tensor y = Tensor::zeros(x.shape());
  std::vector<float> codes(static_cast<size_t>(x.size()));
  for (size_t p = 0; p < bits.size(); ++p) {
    const CodeRange range = range_of(bits[p], format.is_signed);
    quantizer.codes(clip.data()[p], range, x.data(), codes);
    const float factor = theta.data()[p] * quantizer.step(clip.data()[p], range);
    for (size_t i = 0; i < codes.size(); ++i) y.data()[i] += factor * codes[i];
  }
  return record("activation_mixture", y, {x, theta, clip},
                [quantizer, is_signed = format.is_signed, features = features_of(x),
                 kept = std::vector(bits.begin(), bits.end())](const Backward& b) {
                  const auto x_in = b.input(0), g = b.grad_output();
                  const auto gx = b.grad(0), gtheta = b.grad(1), gclip = b.grad(2);
                  std::vector<float> part(x_in.size()), total(gx ? x_in.size() : 0, 0.0F);
                  for (size_t p = 0; p < kept.size(); ++p) {
                    const CodeRange range = range_of(kept[p], is_signed);
                    const float clip_p = b.input(2)[p], theta_p = b.input(1)[p];
                    if (gtheta) {
                      quantizer.codes(clip_p, range, x_in, part);
                      const double dot = std::inner_product(part.begin(), part.end(), g.begin(), 0.0);
                      gtheta.put(static_cast<int64_t>(p),
                                 static_cast<float>(dot * static_cast<double>(quantizer.step(clip_p, range))));
                    }
                    const double dclip = quantizer.gradient(clip_p, range, features, x_in, g, part);
                    if (gclip) gclip.put(static_cast<int64_t>(p), static_cast<float>(theta_p * dclip));
                    for (size_t i = 0; i < total.size(); ++i) total[i] += theta_p * part[i];
                  }
                  for (size_t i = 0; i < total.size(); ++i) gx.put(static_cast<int64_t>(i), total[i]);
                });
}

Tensor quantize_activation(const Tensor& x, const Tensor& clip, int bits, ActivationFormat format,
                           const ActivationQuantizer& quantizer) {
  if (quantizer.quantize) return quantizer.quantize(x, clip, bits, format);
  if (format.relu) return quantize_activation(relu(x), clip, bits, {.is_signed = format.is_signed}, quantizer);
  check_vector("quantize_activation", "clip", clip, 1);
  const CodeRange range = range_of(bits, format.is_signed);
  Tensor y = Tensor::empty(x.shape());
  quantizer.codes(clip.data()[0], range, x.data(), y.data());
  return record("quantize_activation", y, {x, clip}, [quantizer, range, features = features_of(x)](const Backward& b) {
    const float step = quantizer.step(b.input(1)[0], range);
    std::vector<float> g(b.grad_output().begin(), b.grad_output().end()), part(g.size());
    for (float& v : g) v /= step;  // ∂/∂x̂
    const double dclip = quantizer.gradient(b.input(1)[0], range, features, b.input(0), g, part);
    if (const auto gx = b.grad(0)) {
      for (size_t i = 0; i < part.size(); ++i) gx.put(static_cast<int64_t>(i), part[i]);
    }
    if (const auto gclip = b.grad(1)) gclip.put(0, static_cast<float>(dclip));
  });
}

}  // namespace mixgrad
