// SPDX-License-Identifier: Apache-2.0
// Differentiable ops. Activations are [N, C, H, W] or [N, features]; if shapes don't fit, an op throws bad_input with
// its name and the shapes. conv2d, conv2d_codes, the activation functions, add, mul, pooling, ops that move values and
// activation_mixture also run on bfloat16.
#pragma once

#include <mixgrad/operators.h>
#include <mixgrad/quant.h>
#include <mixgrad/tensor.h>
#include <mixgrad/types.h>

#include <span>
#include <vector>

namespace mixgrad {

// --- layers ---------------------------------------------------------------------------------------------------

/// y [N, O, OH, OW] = x [N, C, H, W] ⋆ w [O, C / groups, KH, KW] + bias [O] (optional).
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dAttrs& attrs = {});
/// Transposed convolution: every x [n, i] adds x · w [o, i / groups] to y [n, o], its windows `stride` apart. Without
/// padding y has (H - 1) stride + (KH - 1) dilation + 1 + output_padding rows; `padding` is cut off its edges.
/// w [O, C / groups, KH, KW]; bias [O] (optional).
Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvTranspose2dAttrs& attrs = {});
/// y [N, O] = x [N, I] wᵀ + bias, w [O, I], bias [O] (optional).
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias);
/// Normalizes every channel of [N, C, H, W] or [N, C] (Ioffe and Szegedy 2015). Training uses the mean and variance of
/// the batch and updates running_mean and running_var in place.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormAttrs& attrs = {});
Tensor relu(const Tensor& x);
/// min(max(x, 0), 6)
Tensor relu6(const Tensor& x);
Tensor activate(Activation function, const Tensor& x);
/// min(max(x, 0), top)
Tensor clipped_relu(const Tensor& x, float top);
Tensor add(const Tensor& a, const Tensor& b);
/// a · b, of one shape; or every channel of [N, C, H, W] times its factor in [N, C, 1, 1] or [N, C].
Tensor mul(const Tensor& a, const Tensor& b);
/// Any of the elementwise functions (types.h); those after it are abbreviations.
Tensor function(const FunctionAttrs& f, const Tensor& x);
/// Whether f can be below 0.
bool gives_negatives(const FunctionAttrs& f);
inline Tensor sigmoid(const Tensor& x) { return function({.kind = FunctionKind::sigmoid}, x); }
/// min(max(a x + b, 0), 1). PyTorch's has a = 1/6; Keras's has 0.2 (1/6 since Keras 3), as ONNX's by default.
inline Tensor hard_sigmoid(const Tensor& x, float a = 1.0F / 6, float b = 0.5F) {
  return function({.kind = FunctionKind::hard_sigmoid, .a = a, .b = b}, x);
}
/// x · hard_sigmoid(x, a, b)
inline Tensor hard_swish(const Tensor& x, float a = 1.0F / 6, float b = 0.5F) {
  return function({.kind = FunctionKind::hard_swish, .a = a, .b = b}, x);
}
/// x · sigmoid(a x), also called swish.
inline Tensor silu(const Tensor& x, float a = 1) { return function({.kind = FunctionKind::silu, .a = a}, x); }
inline Tensor tanh(const Tensor& x) { return function({.kind = FunctionKind::tanh}, x); }
inline Tensor leaky_relu(const Tensor& x, float slope = 0.01F) {
  return function({.kind = FunctionKind::leaky_relu, .a = slope}, x);
}
inline Tensor elu(const Tensor& x, float a = 1) { return function({.kind = FunctionKind::elu, .a = a}, x); }
/// min(max(x, low), high)
inline Tensor clip(const Tensor& x, float low, float high) {
  return function({.kind = FunctionKind::clip, .a = low, .b = high}, x);
}
inline Tensor gelu(const Tensor& x) { return function({.kind = FunctionKind::gelu}, x); }
inline Tensor gelu_tanh(const Tensor& x) { return function({.kind = FunctionKind::gelu_tanh}, x); }
inline Tensor softplus(const Tensor& x) { return function({.kind = FunctionKind::softplus}, x); }
inline Tensor mish(const Tensor& x) { return function({.kind = FunctionKind::mish}, x); }
/// x where x > 0, else slope x; slope [C], or [1] for all channels.
Tensor prelu(const Tensor& x, const Tensor& slope);
Tensor max_pool2d(const Tensor& x, const Pool2dAttrs& attrs = {});
Tensor avg_pool2d(const Tensor& x, const Pool2dAttrs& attrs = {});
/// Mean over all positions: [N, C, 1, 1].
Tensor global_avg_pool2d(const Tensor& x);
/// Maximum over all positions: [N, C, 1, 1].
Tensor global_max_pool2d(const Tensor& x);
/// The channels of all inputs, one after the other: images of one size, or features.
Tensor concat(const std::vector<Tensor>& inputs);
/// Ends a network with several outputs, of any shapes: each flattened, one after the other, [N, values]. `names`: one
/// for each; empty: "output0", "output1", ...
Tensor outputs(const std::vector<Tensor>& values, std::vector<std::string> names = {});
/// The channels (or features) of x with these indices, in their order.
Tensor select_channels(const Tensor& x, const SelectAttrs& attrs);
/// Channels begin to end - 1 of x.
Tensor slice_channels(const Tensor& x, int64_t begin, int64_t end);
/// x cut into parts with these numbers of channels.
std::vector<Tensor> split_channels(const Tensor& x, const std::vector<int64_t>& sizes);
/// Channel k of group g moves to k · groups + g (Zhang et al. 2018).
Tensor channel_shuffle(const Tensor& x, int64_t groups);
/// x with zeros around every image.
Tensor pad2d(const Tensor& x, const Pad2dAttrs& attrs);
/// Every position repeated: resizing by whole factors to the nearest neighbour.
Tensor upsample2d(const Tensor& x, const Upsample2dAttrs& attrs = {});
/// [N, ...] to [N, rest] in row-major order (C, H, W). The result is always float32.
Tensor flatten(const Tensor& x);
/// [N, C, H, W] to [N H W, C]: a row of channels for every position.
Tensor pixels(const Tensor& x);
/// x converted to `dtype`, rounded to nearest even.
Tensor cast(const Tensor& x, DType dtype);

// --- losses and small algebra ---------------------------------------------------------------------------------

/// softmax(x / temperature) over dimension 0 (rank 1: the vector; rank 2: each column).
Tensor softmax(const Tensor& x, float temperature = 1.0F);
/// Σ_n -log softmax(logits_n)[label_n] / denominator; logits [N, classes]. Denominator 0 means N (the mean).
Tensor cross_entropy(const Tensor& logits, std::span<const int32_t> labels, double denominator = 0);
/// Σ_n mean_f (x_nf - target_nf)² / denominator; x, target [N, features]. No gradient for the target. Denominator 0
/// means N (the mean).
Tensor mse(const Tensor& x, const Tensor& target, double denominator = 0);
/// T² Σ_n KL(softmax(teacher_n / T) || softmax(logits_n / T)) / denominator; both [N, classes] (SPEC §5b; Hinton et al.
/// 2015, arXiv 1503.02531). No gradient for the teacher. Denominator 0 means N.
Tensor imitate(const Tensor& logits, const Tensor& teacher, double temperature, double denominator = 0);
/// Σ_p values_p θ_p for θ [P]; for θ [P, C] also summed over C, where column c counts weights_c times (none: once). A
/// scalar.
Tensor expectation(const Tensor& theta, std::span<const double> values, std::span<const double> weights = {});
/// factor · a · b of scalars.
Tensor product(const Tensor& a, const Tensor& b, double factor = 1.0);
/// Σ terms of scalars.
Tensor sum(std::span<const Tensor> terms);
/// ⌈x / divisor⌉ of a scalar, straight-through: its gradient is 1 / divisor.
Tensor ceil_div(const Tensor& x, double divisor);
/// factor · x.
Tensor scale(const Tensor& x, double factor);

// --- quantizers: soft mixtures (search) -----------------------------------------------------------------------

/// Σ_p θ_p ŵ_p over candidate bit-widths; theta [P] (per layer) or [P, O] (per output channel). scales: [P, O], [O]
/// (the same for all candidates), or empty: computed from the weights, without a gradient.
Tensor weight_mixture(const Tensor& w, const Tensor& theta, const Tensor& scales, std::span<const int> bits,
                      const WeightQuantizer& quantizer);
/// The same for the min-max quantizer (SPEC §2), in one pass over memory.
Tensor weight_mixture(const Tensor& w, const Tensor& theta, std::span<const int> bits);
/// The same for steps of their own (SPEC §2a), in one pass over memory. scales: [P, O].
Tensor weight_mixture(const Tensor& w, const Tensor& theta, const Tensor& scales, std::span<const CodeRange> ranges);

/// bias_c Σ_{p: b_p > 0} θ_cp: a pruned channel loses its bias (SPEC §4). bias [O]; theta as above. Returns the bias
/// itself if 0 bits is not a candidate.
Tensor mask_bias(const Tensor& bias, const Tensor& theta, std::span<const int> bits);
/// The share of 0 bits, which must be among `bits`, and that of all others: [2, O] from theta [P, O].
Tensor pruned_and_kept(const Tensor& theta, std::span<const int> bits);
/// Returns `value`; its gradient goes to `source` unchanged (straight-through, Bengio et al. 2013). Equal shapes.
Tensor straight_through(const Tensor& value, const Tensor& source);

/// Σ_p θ_p x̂_p with one clip per candidate; theta, clip [P].
Tensor activation_mixture(const Tensor& x, const Tensor& theta, const Tensor& clip, std::span<const int> bits,
                          ActivationFormat format, const ActivationQuantizer& quantizer);
/// The same for PACT (SPEC §3), in one pass over memory.
Tensor activation_mixture(const Tensor& x, const Tensor& theta, const Tensor& clip, std::span<const int> bits,
                          ActivationFormat format = {});

// --- quantizers: integer codes, as floats (discrete networks) -------------------------------------------------

/// The scale of the weights for each candidate and output channel, [P, O]; 0 at 0 bits. No gradient.
Tensor candidate_scales(const Tensor& w, std::span<const int> candidates, const WeightQuantizer& quantizer);
/// The same at bits[c] for each channel c, [O].
Tensor weight_scales(const Tensor& w, std::span<const int> bits, const WeightQuantizer& quantizer);
/// [O]: the real value of one code; 1 at 0 bits. No gradient.
Tensor weight_steps(const Tensor& scales, std::span<const int> bits, const WeightQuantizer& quantizer);
/// Codes of w at bits[c] per output channel, scales [O]; ŵ = codes · weight_steps.
Tensor quantize_weight(const Tensor& w, const Tensor& scales, std::span<const int> bits,
                       const WeightQuantizer& quantizer);
/// The same for min-max (SPEC §2), whose scale is max|w_c|.
Tensor quantize_weight(const Tensor& w, const Tensor& magnitude, std::span<const int> bits);
/// The same for steps of their own (SPEC §2a), with the range of each channel.
Tensor quantize_weight(const Tensor& w, const Tensor& scales, std::span<const CodeRange> ranges);
/// Codes of x with the single clip [1]; x̂ = codes · step.
Tensor quantize_activation(const Tensor& x, const Tensor& clip, int bits, ActivationFormat format,
                           const ActivationQuantizer& quantizer);
/// The same for PACT (SPEC §3), whose step is clip / levels.
Tensor quantize_activation(const Tensor& x, const Tensor& clip, int bits, ActivationFormat format = {});
/// Exact convolution and linear layer on codes: Σ q_w q_x as an integer, rounded once to float32. `bound` is
/// max_c Σ|q_w,c| · max|q_x|; from 2^24 on, the sum is computed separately for two halves of the activation codes.
Tensor conv2d_codes(const Tensor& x, const Tensor& w, const Conv2dAttrs& attrs, double bound);
Tensor conv_transpose2d_codes(const Tensor& x, const Tensor& w, const ConvTranspose2dAttrs& attrs, double bound);
Tensor linear_codes(const Tensor& x, const Tensor& w, double bound);
/// The sum of codes in float32; bfloat16 could not hold it.
Tensor add_codes(const Tensor& a, const Tensor& b);
/// The same for their product.
Tensor mul_codes(const Tensor& a, const Tensor& b);
/// The mean of codes, rounded to a code, ties up (SPEC §5); straight-through.
Tensor avg_pool2d_codes(const Tensor& x, const Pool2dAttrs& attrs = {});
/// Converts accumulators to real values: acc · scale + bias per channel. scale [C] or [1], without a gradient; bias [C]
/// (optional).
Tensor rescale(const Tensor& acc, const Tensor& scale, const Tensor& bias);
/// Converts accumulators to the codes of a PACT quantizer in fixed point, as an integer network does (SPEC §7):
/// clamp(((acc + q_b) M + 2^(n-1)) >> n) with M / 2^n = scale / (clip / levels) per channel and
/// q_b = bias_codes(bias, scale). The codes are stored in `dtype`. Its gradients are those of rescale, relu and
/// quantize_activation.
Tensor requantize(const Tensor& acc, const Tensor& scale, const Tensor& bias, const Tensor& clip, int bits,
                  ActivationFormat format = {}, DType dtype = DType::float32);
/// scale_c / out_step for every channel, in fixed point.
std::vector<FixedPoint> fixed_points(const Tensor& scale, float out_step);
/// rne(b / s) per channel, saturated to 32 bits (SPEC §4); empty without a bias.
std::vector<int32_t> bias_codes(const Tensor& bias, const Tensor& scale);
/// b̂ = s · bias_codes per channel, straight-through.
Tensor quantize_bias(const Tensor& bias, const Tensor& scale);

}  // namespace mixgrad
