// SPDX-License-Identifier: Apache-2.0
// Convolutions by oneDNN (2.x), except where Winograd's algorithm or gemm::conv2d is faster. Activations stay NHWC;
// oneDNN chooses the format of the weights, which are reordered (and for bfloat16 rounded) in each call. Each thread
// creates the primitive of a shape once and keeps it, with its buffers.
#include <algorithm>
#include <array>
#include <bit>
#include <dnnl.hpp>
#include <type_traits>
#include <unordered_map>

#include "conv2d.h"
#include "conv2d_clock.h"
#include "conv2d_int8.h"
#include "cpu.h"
#include "elementwise.h"
#include "onednn.h"
#include "reduce.h"

namespace mixgrad::kernels {
namespace {

using dnnl::memory;
using namespace onednn;

/// `codes` is a forward pass from bfloat16 to float.
enum class Kind : int64_t { forward, codes, grad_x, grad_w };

struct Key {
  Conv2dSize size;
  Kind kind;
  int64_t bias, threads;  // a primitive divides its work among threads when it is created
  int64_t type;           // of activations and their gradients

  bool operator==(const Key&) const = default;
};

struct KeyHash {
  size_t operator()(const Key& key) const {
    uint64_t hash = 14695981039346656037u;
    for (uint64_t word : std::bit_cast<std::array<uint64_t, sizeof(Key) / sizeof(uint64_t)>>(key))
      hash = (hash ^ word) * 1099511628211u;
    return hash;
  }
};

/// One primitive and its operands; its kind decides which of x, w, bias and y are gradients. Operands do not own their
/// data: each call points them to the caller's spans and to this thread's buffers.
struct Plan {
  dnnl::primitive conv;     // empty if oneDNN rejected the shape
  dnnl::primitive reorder;  // packs weights, or unpacks them for grad_w; empty if the formats are equal
  memory x, y, plain_w, packed_w, bias, scratchpad;
};

constexpr auto f32 = memory::data_type::f32;

template <typename T>
constexpr memory::data_type type_of = std::is_same_v<T, bfloat16> ? memory::data_type::bf16 : f32;

memory without_data(const memory::desc& desc) { return {desc, engine(), DNNL_MEMORY_NONE}; }

Plan make_plan(const Key& key) {
  const Conv2dSize& s = key.size;
  const auto type = static_cast<memory::data_type>(key.type);
  const memory::desc x({s.n, s.c_in, s.h, s.w}, type, memory::format_tag::nhwc);
  const memory::desc y({s.n, s.c_out, s.oh, s.ow}, key.kind == Kind::codes ? f32 : type, memory::format_tag::nhwc);
  const memory::desc bias = key.bias ? memory::desc({s.c_out}, f32, memory::format_tag::x) : memory::desc();
  const memory::desc plain = weight_desc(s, f32);
  const memory::desc any(plain.dims(), type, memory::format_tag::any);
  const memory::desc any_gradient(plain.dims(), f32, memory::format_tag::any);
  const Geometry g(s);
  const auto direct = dnnl::algorithm::convolution_direct;
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);

  Plan plan;
  memory::desc packed, scratchpad;
  const auto adopt = [&](const auto& chosen, const memory::desc& weights, auto primitive) {
    plan.conv = std::move(primitive);
    packed = weights;
    scratchpad = chosen.scratchpad_desc();
  };
  const dnnl::convolution_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, direct, x, any, bias, y, g.stride, g.dilation, g.pad, g.pad_end}, attr,
      engine());
  if (key.kind == Kind::forward || key.kind == Kind::codes) {
    adopt(forward, forward.weights_desc(), dnnl::convolution_forward(forward));
  } else if (key.kind == Kind::grad_x) {
    const dnnl::convolution_backward_data::primitive_desc grad_x(
        {direct, x, any, y, g.stride, g.dilation, g.pad, g.pad_end}, attr, engine(), forward);
    adopt(grad_x, grad_x.weights_desc(), dnnl::convolution_backward_data(grad_x));
  } else {
    const dnnl::convolution_backward_weights::primitive_desc grad_w(
        {direct, x, any_gradient, bias, y, g.stride, g.dilation, g.pad, g.pad_end}, attr, engine(), forward);
    adopt(grad_w, grad_w.diff_weights_desc(), dnnl::convolution_backward_weights(grad_w));
  }

  plan.x = without_data(x);
  plan.y = without_data(y);
  plan.plain_w = without_data(plain);
  plan.packed_w = without_data(packed);
  plan.bias = without_data(bias);
  plan.scratchpad = without_data(scratchpad);
  const memory::desc &from = key.kind == Kind::grad_w ? packed : plain, &to = key.kind == Kind::grad_w ? plain : packed;
  if (packed != plain) plan.reorder = dnnl::reorder({engine(), from, engine(), to});
  return plan;
}

/// Null if oneDNN rejects the shape.
template <typename T>
const Plan* plan_for(const Conv2dSize& s, Kind kind, bool bias) {
  thread_local std::unordered_map<Key, Plan, KeyHash> plans;
  const Key key{s, kind, bias, current_threads(), static_cast<int64_t>(type_of<T>)};
  const auto [at, made] = plans.try_emplace(key);
  if (made) {
    const Planning planning(current_threads());
    try {
      at->second = make_plan(key);
    } catch (const dnnl::error&) {
      at->second = {};
    }
  }
  return at->second.conv ? &at->second : nullptr;
}

void* buffer(Use use, const memory& like) { return buffer(use, like.get_desc().get_size()); }

void point(const memory& m, const void* data) { m.set_data_handle(const_cast<void*>(data)); }

/// Where a primitive may write a gradient. Primitives overwrite, so gradients to be added go to a buffer first.
template <typename T>
T* landing(GradOf<T> g, Use use, const memory& like) {
  return g.add ? static_cast<T*>(buffer(use, like)) : g.data;
}

template <typename T>
void add_landed(GradOf<T> g, const T* landed, int64_t size) {
  const auto count = static_cast<size_t>(size);
  if (g.add) accumulate(std::span<const T>(landed, count), std::span<T>(g.data, count));
}

/// Packs the weights and returns the operand that refers to them.
const memory& pack(const Plan& plan, std::span<const float> w) {
  point(plan.plain_w, w.data());
  if (!plan.reorder) return plan.plain_w;
  point(plan.packed_w, buffer(Use::packed, plan.packed_w));
  run(plan.reorder, {{DNNL_ARG_FROM, plan.plain_w.get()}, {DNNL_ARG_TO, plan.packed_w.get()}});
  return plan.packed_w;
}

void use_scratchpad(const Plan& plan) { point(plan.scratchpad, buffer(Use::scratchpad, plan.scratchpad)); }

template <typename X, typename Y>
void forward(const Plan& plan, std::span<const X> x, std::span<const float> w, std::span<const float> bias,
             std::span<Y> y) {
  const ConvClock clock;
  point(plan.x, x.data());
  point(plan.bias, bias.data());
  point(plan.y, y.data());
  use_scratchpad(plan);
  run(plan.conv, {{DNNL_ARG_SRC, plan.x.get()},
                  {DNNL_ARG_WEIGHTS, pack(plan, w).get()},
                  {DNNL_ARG_BIAS, plan.bias.get()},
                  {DNNL_ARG_DST, plan.y.get()},
                  {DNNL_ARG_SCRATCHPAD, plan.scratchpad.get()}});
}

template <typename T>
void grad_x(const Plan& plan, const Conv2dSize& s, std::span<const T> gy, std::span<const float> w, GradOf<T> gx) {
  const ConvClock clock;
  T* landed = landing(gx, Use::activations, plan.x);
  point(plan.x, landed);
  point(plan.y, gy.data());
  use_scratchpad(plan);
  run(plan.conv, {{DNNL_ARG_DIFF_SRC, plan.x.get()},
                  {DNNL_ARG_WEIGHTS, pack(plan, w).get()},
                  {DNNL_ARG_DIFF_DST, plan.y.get()},
                  {DNNL_ARG_SCRATCHPAD, plan.scratchpad.get()}});
  add_landed(gx, landed, s.n * s.h * s.w * s.c_in);
}

template <typename T>
void grad_w(const Plan& plan, const Conv2dSize& s, std::span<const T> x, std::span<const T> gy, Grad gw, Grad gbias) {
  const ConvClock clock;
  float* landed = landing(gw, Use::weights, plan.plain_w);
  float* landed_bias = landing(gbias, Use::bias, plan.bias);
  const memory& w = plan.reorder ? plan.packed_w : plan.plain_w;
  point(plan.x, x.data());
  point(plan.y, gy.data());
  point(plan.plain_w, landed);
  point(plan.packed_w, buffer(Use::packed, plan.packed_w));
  point(plan.bias, landed_bias);
  use_scratchpad(plan);
  run(plan.conv, {{DNNL_ARG_SRC, plan.x.get()},
                  {DNNL_ARG_DIFF_WEIGHTS, w.get()},
                  {DNNL_ARG_DIFF_BIAS, plan.bias.get()},
                  {DNNL_ARG_DIFF_DST, plan.y.get()},
                  {DNNL_ARG_SCRATCHPAD, plan.scratchpad.get()}});
  if (plan.reorder) run(plan.reorder, {{DNNL_ARG_FROM, w.get()}, {DNNL_ARG_TO, plan.plain_w.get()}});
  add_landed(gw, landed, s.c_out * s.kh * s.kw * (s.c_in / s.groups));
  add_landed(gbias, landed_bias, s.c_out);
}

/// Also null if float is faster. (On Zen 4 it never is, not even for depthwise convolutions.)
const Plan* bfloat16_plan_for(const Conv2dSize& s, Kind kind, bool bias) {
  return bfloat16_is_fast() ? plan_for<bfloat16>(s, kind, bias) : nullptr;
}

// Where our products are faster than oneDNN's convolutions, by the table in bench/README.md.
bool prefers_gemm(const Conv2dSize& s) { return gemm::computes(s) && s.c_in < 8; }
bool prefers_gemm_grad_w(const Conv2dSize& s) {
  const bool dense_1x1 = s.kh == 1 && s.kw == 1 && s.stride_h == 1 && s.stride_w == 1;
  return gemm::computes(s) && dense_1x1 && s.c_in * s.c_out <= 4096;
}

/// Exact on integers.
void exact_conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
                  std::span<float> y) {
  if (prefers_gemm(s)) {
    const ConvClock clock;
    return gemm::conv2d(s, x, w, bias, y);
  }
  if (const Plan* plan = plan_for<float>(s, Kind::forward, !bias.empty())) return forward(*plan, x, w, bias, y);
  const ConvClock clock;
  direct::conv2d(s, x, w, bias, y);
}

}  // namespace

void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
            std::span<float> y) {
  if (!winograd::suits(s)) return exact_conv2d(s, x, w, bias, y);
  const ConvClock clock;
  winograd::conv2d(s, x, w, bias, y);
}

void conv2d(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<const float> bias,
            std::span<bfloat16> y) {
  if (bfloat16_is_fast() && winograd::suits_bfloat16(s)) {
    const ConvClock clock;
    return winograd::conv2d(s, x, w, bias, y);
  }
  if (const Plan* plan = bfloat16_plan_for(s, Kind::forward, !bias.empty())) return forward(*plan, x, w, bias, y);
  through_float::conv2d(s, x, w, bias, y);
}

void conv2d_codes(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<float> y) {
  if (conv2d_codes_by_integers(s, x, w, y)) return;
  const Plan* plan = bfloat16_plan_for(s, Kind::codes, false);
  if (!plan) return exact_conv2d(s, x, w, {}, y);
  const std::span<bfloat16> narrow(static_cast<bfloat16*>(buffer(Use::activations, plan->x)), x.size());
  from_float(x, narrow);
  forward(*plan, std::span<const bfloat16>(narrow), w, {}, y);
}

void conv2d_codes(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<float> y) {
  if (conv2d_codes_by_integers(s, x, w, y)) return;
  if (const Plan* plan = bfloat16_plan_for(s, Kind::codes, false)) return forward(*plan, x, w, {}, y);
  through_float::conv2d_codes(s, x, w, y);
}

void conv2d_codes_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx) return;
  if (const Plan* plan = plan_for<float>(s, Kind::grad_x, false)) return grad_x(*plan, s, gy, w, gx);
  const ConvClock clock;
  direct::conv2d_grad_x(s, gy, w, gx);
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx || !winograd::suits_grad_x(s)) return conv2d_codes_grad_x(s, gy, w, gx);
  const ConvClock clock;
  winograd::conv2d_grad_x(s, gy, w, gx);
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const bfloat16> gy, std::span<const float> w, GradOf<bfloat16> gx) {
  if (!gx) return;
  if (bfloat16_is_fast() && winograd::suits_bfloat16_grad_x(s)) {
    const ConvClock clock;
    return winograd::conv2d_grad_x(s, gy, w, gx);
  }
  if (const Plan* plan = bfloat16_plan_for(s, Kind::grad_x, false)) return grad_x(*plan, s, gy, w, gx);
  through_float::conv2d_grad_x(s, gy, w, gx);
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias) {
  if (!gw) return gbias ? column_sums(s.n * s.oh * s.ow, s.c_out, gy, gbias) : void();
  if (winograd::suits(s)) {
    const ConvClock clock;
    return winograd::conv2d_grad_w(s, x, gy, gw, gbias);
  }
  if (prefers_gemm_grad_w(s)) {
    const ConvClock clock;
    return gemm::conv2d_grad_w(s, x, gy, gw, gbias);
  }
  if (const Plan* plan = plan_for<float>(s, Kind::grad_w, static_cast<bool>(gbias)))
    return grad_w(*plan, s, x, gy, gw, gbias);
  const ConvClock clock;
  direct::conv2d_grad_w(s, x, gy, gw, gbias);
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy, Grad gw,
                   Grad gbias) {
  if (gw && bfloat16_is_fast() && winograd::suits_bfloat16_grad_w(s)) {
    const ConvClock clock;
    return winograd::conv2d_grad_w(s, x, gy, gw, gbias);
  }
  const Plan* plan = gw ? bfloat16_plan_for(s, Kind::grad_w, static_cast<bool>(gbias)) : nullptr;
  if (plan) return grad_w(*plan, s, x, gy, gw, gbias);
  through_float::conv2d_grad_w(s, x, gy, gw, gbias);
}

}  // namespace mixgrad::kernels
