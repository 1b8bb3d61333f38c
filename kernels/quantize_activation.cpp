// SPDX-License-Identifier: Apache-2.0
// Mixtures of fake-quantized activations (SPEC §3): one pass over memory per direction for any number of candidates.
//
// Two observations reduce the work per candidate to a few instructions.
//  - A two-sided quantizer is an odd function: the one-sided quantizer of |x| with the sign of x. Its gradient applies
//    the sign to g. The loop over candidates is therefore the same for both.
//  - The step can be applied last: Σ_p (θ_p s_p) q_p needs no x̂_p, and Σ g x̂_p = s_p Σ g q_p.
#include <algorithm>
#include <array>
#include <vector>

#include "kernels/lanes.h"
#include "kernels/parallel.h"
#include "kernels/quantize.h"

namespace mixgrad::kernels {
namespace {

/// Elements per task. Sums within a task are in float, per lane; they are then added in double.
constexpr int64_t grain = 8192;

using PerCandidate = std::array<float, max_candidates>;

struct Mixture {
  int count;  // of candidates, of which those beyond the caller's add nothing
  bool two_sided;
  PerCandidate clip, top;  // q = rne(min(x / step, top))
  PerCandidate per_step;   // 1 / step
  PerCandidate value;      // what one code adds to the output
  PerCandidate slope;      // d output / d x inside the clip
};

/// The loops exist for these numbers of candidates: one for each number would take long to compile.
constexpr std::array<int, 5> compiled_counts = {1, 2, 3, 4, max_candidates};

/// Signed values after a ReLU never reach the lower clip, so they are one-sided too.
Mixture describe(std::span<const int> bits, ActivationFormat format, std::span<const float> clip) {
  Mixture m{};
  m.count = *std::ranges::lower_bound(compiled_counts, static_cast<int>(bits.size()));
  m.two_sided = format.is_signed && !format.relu;
  m.per_step.fill(1);
  for (size_t p = 0; p < bits.size(); ++p) {
    m.clip[p] = clip[p];
    m.top[p] = activation_levels(bits[p], format.is_signed);
    m.per_step[p] = m.top[p] / clip[p];
  }
  return m;
}

Mixture describe(std::span<const int> bits, ActivationFormat format, std::span<const float> theta,
                 std::span<const float> clip) {
  Mixture m = describe(bits, format, clip);
  for (size_t p = 0; p < bits.size(); ++p) {
    m.value[p] = theta[p] * (clip[p] / m.top[p]);
    m.slope[p] = theta[p];
  }
  return m;
}

/// One quantizer that returns its codes.
Mixture describe(int bits, ActivationFormat format, float clip) {
  Mixture m = describe({&bits, 1}, format, {&clip, 1});
  m.value[0] = 1;
  m.slope[0] = m.per_step[0];
  return m;
}

template <typename V, int P>
struct Constants {
  V clip[P], top[P], per_step[P], value[P], slope[P];

  MIXGRAD_INLINE explicit Constants(const Mixture& m) {
    for (int p = 0; p < P; ++p) {
      clip[p] = broadcast<V>(m.clip[p]);
      top[p] = broadcast<V>(m.top[p]);
      per_step[p] = broadcast<V>(m.per_step[p]);
      value[p] = broadcast<V>(m.value[p]);
      slope[p] = broadcast<V>(m.slope[p]);
    }
  }
  /// Clamps after the multiplication, so that x = clip gives the top code however 1 / step is rounded.
  MIXGRAD_INLINE V code(V a, int p) const { return round_even(at_most(top[p], a * per_step[p])); }
};

template <bool TwoSided, typename V>
MIXGRAD_INLINE V magnitude(V x) {
  return TwoSided ? flip(x, x) : positive_part(x);
}

template <bool TwoSided, typename V, int P>
MIXGRAD_INLINE V forward(const Constants<V, P>& m, V x) {
  const V a = magnitude<TwoSided>(x);
  V mixed{};
  for (int p = 0; p < P; ++p) mixed += m.code(a, p) * m.value[p];
  return TwoSided ? flip(mixed, x) : mixed;
}

template <bool TwoSided, typename V, int P, typename T>
MIXGRAD_INLINE void forward(const Constants<V, P>& m, const T* x, T* out) {
  const V first = forward<TwoSided>(m, load_part<0, V>(x));
  store_parts(out, first, forward<TwoSided>(m, load_part<1, V>(x)));
}

/// Per lane: Σ g q_p, and Σ g over the elements outside the clip.
template <typename V, int P>
struct Sums {
  V codes[P] = {}, outside[P] = {};
};

template <bool TwoSided, typename V, int P>
MIXGRAD_INLINE V backward(const Constants<V, P>& m, V x, V g, Sums<V, P>& sums) {
  const V a = magnitude<TwoSided>(x);
  const V signed_g = TwoSided ? flip(g, x) : g;
  V slope{};
  for (int p = 0; p < P; ++p) {
    sums.codes[p] += m.code(a, p) * signed_g;
    const auto inside = a < m.clip[p];
    slope = inside ? slope + m.slope[p] : slope;  // in this form, one masked addition
    sums.outside[p] = inside ? sums.outside[p] : sums.outside[p] + signed_g;
  }
  // Selects g, not the slope: GCC 12 turns a nested select (P = 1) into scalar code.
  return (TwoSided ? g : (a > V{} ? g : V{})) * slope;
}

template <bool TwoSided, typename V, int P, typename T>
MIXGRAD_INLINE void backward(const Constants<V, P>& m, const T* x, const T* g, GradOf<T> gx, Sums<V, P>& sums) {
  V first = backward<TwoSided>(m, load_part<0, V>(x), load_part<0, V>(g), sums);
  V second = backward<TwoSided>(m, load_part<1, V>(x), load_part<1, V>(g), sums);
  if (!gx) return;
  if (gx.add) {
    first += load_part<0, V>(gx.data);
    second += load_part<1, V>(gx.data);
  }
  store_parts(gx.data, first, second);
}

/// A loop over whole vectors; the remainder is padded with zeros, which add nothing to any sum.
template <bool TwoSided, typename V, int P, typename T>
MIXGRAD_INLINE void forward_loop(const Mixture& mixture, const T* x, T* out, int64_t n) {
  constexpr int width = 2 * lane_count<V>;
  const Constants<V, P> m(mixture);
  int64_t i = 0;
  for (; i + width <= n; i += width) forward<TwoSided>(m, x + i, out + i);
  if (i == n) return;
  T rest[width] = {};
  std::copy(x + i, x + n, rest);
  forward<TwoSided>(m, rest, rest);
  std::copy(rest, rest + (n - i), out + i);
}

/// totals: Σ g q_p for every candidate, then Σ g outside its clip.
template <bool TwoSided, typename V, int P, typename T>
MIXGRAD_INLINE void backward_loop(const Mixture& mixture, const T* x, const T* g, GradOf<T> gx, int64_t n,
                                  double* totals) {
  constexpr int width = 2 * lane_count<V>;
  const Constants<V, P> m(mixture);
  Sums<V, P> sums;
  int64_t i = 0;
  for (; i + width <= n; i += width)
    backward<TwoSided>(m, x + i, g + i, GradOf<T>{gx ? gx.data + i : nullptr, gx.add}, sums);
  if (i < n) {
    T rest_x[width] = {}, rest_g[width] = {}, rest_gx[width] = {};
    std::copy(x + i, x + n, rest_x);
    std::copy(g + i, g + n, rest_g);
    if (gx.add) std::copy(gx.data + i, gx.data + n, rest_gx);
    backward<TwoSided>(m, rest_x, rest_g, GradOf<T>{rest_gx, gx.add}, sums);
    if (gx) std::copy(rest_gx, rest_gx + (n - i), gx.data + i);
  }
  for (int p = 0; p < P; ++p) totals[p] = sum(sums.codes[p]);
  for (int p = 0; p < P; ++p) totals[P + p] = sum(sums.outside[p]);
}

/// Calls f with the number of candidates and the sides as compile-time constants, so that loops over p are unrolled.
template <size_t I = 0, typename F>
MIXGRAD_INLINE void specialize(const Mixture& m, const F& f) {
  if constexpr (I < compiled_counts.size()) {
    constexpr int P = compiled_counts[I];
    if (m.count != P) return specialize<I + 1>(m, f);
    m.two_sided ? f.template operator()<true, P>() : f.template operator()<false, P>();
  }
}

template <typename T>
void forward_all(const Mixture& m, std::span<const T> x, std::span<T> out) {
  parallel_chunks(static_cast<int64_t>(x.size()), grain, [&](int64_t begin, int64_t end) {
    widest([&]<int Width>() __attribute__((always_inline)) {
      specialize(
          m, [&]<bool TwoSided, int P>() __attribute__((always_inline)) {
            forward_loop<TwoSided, Lanes<Width>, P>(m, x.data() + begin, out.data() + begin, end - begin);
          });
    });
  });
}

using Totals = std::array<double, 2 * max_candidates>;

/// The totals of all chunks, added in the order of the chunks.
template <typename T>
Totals backward_all(const Mixture& m, std::span<const T> x, std::span<const T> g, GradOf<T> gx) {
  const auto n = static_cast<int64_t>(x.size());
  const int64_t chunks = (n + grain - 1) / grain, width = 2 * m.count;
  static thread_local std::vector<double> scratch;  // reused: no allocations in steady state
  scratch.resize(static_cast<size_t>(chunks * width));
  double* partial = scratch.data();  // the calling thread's; the lambda below may run on others
  parallel_chunks(n, grain, [&](int64_t begin, int64_t end) {
    const GradOf<T> d{gx ? gx.data + begin : nullptr, gx.add};
    double* sums = partial + begin / grain * width;
    widest([&]<int Width>() __attribute__((always_inline)) {
      specialize(
          m, [&]<bool TwoSided, int P>() __attribute__((always_inline)) {
            backward_loop<TwoSided, Lanes<Width>, P>(m, x.data() + begin, g.data() + begin, d, end - begin, sums);
          });
    });
  });
  Totals totals{};
  for (int64_t c = 0; c < chunks; ++c)
    for (int64_t j = 0; j < width; ++j) totals[static_cast<size_t>(j)] += partial[c * width + j];
  return totals;
}

template <typename T>
void mixture_grad(std::span<const int> bits, ActivationFormat format, std::span<const T> x,
                  std::span<const float> theta, std::span<const float> clip, std::span<const T> g, GradOf<T> gx,
                  Grad gtheta, Grad gclip) {
  const Mixture m = describe(bits, format, theta, clip);
  const Totals totals = backward_all(m, x, g, gx);
  for (size_t p = 0; p < bits.size(); ++p) {
    const double step = clip[p] / m.top[p];
    if (gtheta) gtheta.put(static_cast<int64_t>(p), static_cast<float>(totals[p] * step));
    if (gclip)
      gclip.put(static_cast<int64_t>(p), static_cast<float>(totals[static_cast<size_t>(m.count) + p] * theta[p]));
  }
}

}  // namespace

void activation_mixture(std::span<const int> bits, ActivationFormat format, std::span<const float> x,
                        std::span<const float> theta, std::span<const float> clip, std::span<float> out) {
  forward_all(describe(bits, format, theta, clip), x, out);
}

void activation_mixture(std::span<const int> bits, ActivationFormat format, std::span<const bfloat16> x,
                        std::span<const float> theta, std::span<const float> clip, std::span<bfloat16> out) {
  forward_all(describe(bits, format, theta, clip), x, out);
}

void activation_mixture_grad(std::span<const int> bits, ActivationFormat format, std::span<const float> x,
                             std::span<const float> theta, std::span<const float> clip, std::span<const float> g,
                             Grad gx, Grad gtheta, Grad gclip) {
  mixture_grad(bits, format, x, theta, clip, g, gx, gtheta, gclip);
}

void activation_mixture_grad(std::span<const int> bits, ActivationFormat format, std::span<const bfloat16> x,
                             std::span<const float> theta, std::span<const float> clip, std::span<const bfloat16> g,
                             GradOf<bfloat16> gx, Grad gtheta, Grad gclip) {
  mixture_grad(bits, format, x, theta, clip, g, gx, gtheta, gclip);
}

void quantize_activation(int bits, ActivationFormat format, float clip, std::span<const float> x,
                         std::span<float> codes) {
  forward_all(describe(bits, format, clip), x, codes);
}

void quantize_activation_grad(int bits, ActivationFormat format, float clip, std::span<const float> x,
                              std::span<const float> gcodes, Grad gx, Grad gclip) {
  const Mixture m = describe(bits, format, clip);
  const Totals totals = backward_all(m, x, gcodes, gx);
  if (gclip) gclip.put(0, static_cast<float>(totals[1] * static_cast<double>(m.per_step[0])));
}

}  // namespace mixgrad::kernels
