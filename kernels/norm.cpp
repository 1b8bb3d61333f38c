// SPDX-License-Identifier: Apache-2.0
#include "norm.h"

#include <vector>

#include "parallel.h"
#include "reduce.h"

namespace mixgrad::kernels {
namespace {

// Loops process four rows at a time, so that the dependency on the sums in memory does not limit their speed.

/// The mean of some rows and the sum of squared distances from it, in two passes; the second reads from the cache.
MIXGRAD_CLONES void moments_of_rows(const float* x, int64_t rows, int64_t channels, float* __restrict mean,
                                    float* __restrict distance) {
  const int64_t fours = rows / 4 * 4;
  std::fill_n(mean, channels, 0.0f);
  std::fill_n(distance, channels, 0.0f);
  for (int64_t r = 0; r < fours; r += 4) {
    const float* row = x + r * channels;
    for (int64_t c = 0; c < channels; ++c)
      mean[c] += (row[c] + row[c + channels]) + (row[c + 2 * channels] + row[c + 3 * channels]);
  }
  for (int64_t r = fours; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c) mean[c] += x[r * channels + c];
  for (int64_t c = 0; c < channels; ++c) mean[c] /= static_cast<float>(rows);
  for (int64_t r = 0; r < fours; r += 4) {
    const float* row = x + r * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const float d0 = row[c] - mean[c], d1 = row[c + channels] - mean[c];
      const float d2 = row[c + 2 * channels] - mean[c], d3 = row[c + 3 * channels] - mean[c];
      distance[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    }
  }
  for (int64_t r = fours; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      const float d = x[r * channels + c] - mean[c];
      distance[c] += d * d;
    }
}

MIXGRAD_CLONES void normalize_rows(const float* x, int64_t rows, int64_t channels, const float* mean,
                                   const float* scale, const float* beta, float* __restrict y) {
  for (int64_t r = 0; r < rows; ++r, x += channels, y += channels)
    for (int64_t c = 0; c < channels; ++c) y[c] = (x[c] - mean[c]) * scale[c] + beta[c];
}

/// Σ gy and Σ gy (x - mean) of some rows.
MIXGRAD_CLONES void grad_sums_of_rows(const float* x, const float* gy, int64_t rows, int64_t channels,
                                      const float* mean, float* __restrict sum, float* __restrict product) {
  const int64_t fours = rows / 4 * 4;
  std::fill_n(sum, channels, 0.0f);
  std::fill_n(product, channels, 0.0f);
  for (int64_t r = 0; r < fours; r += 4) {
    const float *row = x + r * channels, *g = gy + r * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const float g0 = g[c], g1 = g[c + channels], g2 = g[c + 2 * channels], g3 = g[c + 3 * channels];
      sum[c] += (g0 + g1) + (g2 + g3);
      product[c] += (g0 * (row[c] - mean[c]) + g1 * (row[c + channels] - mean[c])) +
                    (g2 * (row[c + 2 * channels] - mean[c]) + g3 * (row[c + 3 * channels] - mean[c]));
    }
  }
  for (int64_t r = fours; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      const float g = gy[r * channels + c];
      sum[c] += g;
      product[c] += g * (x[r * channels + c] - mean[c]);
    }
}

/// gx = scale (gy - offset - (x - mean) slope)
MIXGRAD_CLONES void grad_x_rows(const float* x, const float* gy, int64_t rows, int64_t channels, const float* mean,
                                const float* scale, const float* offset, const float* slope, bool add,
                                float* __restrict gx) {
  for (int64_t r = 0; r < rows; ++r, x += channels, gy += channels, gx += channels) {
    if (add)
      for (int64_t c = 0; c < channels; ++c) gx[c] += scale[c] * (gy[c] - offset[c] - (x[c] - mean[c]) * slope[c]);
    else
      for (int64_t c = 0; c < channels; ++c) gx[c] = scale[c] * (gy[c] - offset[c] - (x[c] - mean[c]) * slope[c]);
  }
}

int64_t rows_per_chunk(int64_t channels) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, channels)); }

/// Two numbers per channel and chunk of rows.
struct Partials {
  int64_t rows, channels, chunks = (rows + rows_per_partial - 1) / rows_per_partial;
  std::vector<float> values = std::vector<float>(static_cast<size_t>(2 * chunks * channels));

  float* first(int64_t chunk) { return values.data() + 2 * chunk * channels; }
  float* second(int64_t chunk) { return first(chunk) + channels; }
  int64_t size(int64_t chunk) const { return std::min(rows_per_partial, rows - chunk * rows_per_partial); }

  template <typename Body>  // body(first row, rows, first, second)
  void compute(const Body& body) {
    parallel_chunks(rows, rows_per_partial, [&](int64_t begin, int64_t end) {
      const int64_t chunk = begin / rows_per_partial;
      body(begin, end - begin, first(chunk), second(chunk));
    });
  }
};

}  // namespace

void channel_moments(int64_t rows, int64_t channels, std::span<const float> x, std::span<float> mean,
                     std::span<float> variance) {
  Partials partials{rows, channels};
  partials.compute([&](int64_t begin, int64_t count, float* first, float* second) {
    moments_of_rows(x.data() + begin * channels, count, channels, first, second);
  });
  for (int64_t c = 0; c < channels; ++c) {  // Chan, Golub and LeVeque: combines the chunks without cancellation
    double m = 0, distance = 0, count = 0;
    for (int64_t k = 0; k < partials.chunks; ++k) {
      const double size = static_cast<double>(partials.size(k)), delta = partials.first(k)[c] - m;
      distance += partials.second(k)[c] + delta * delta * count * size / (count + size);
      m += delta * size / (count + size);
      count += size;
    }
    mean[static_cast<size_t>(c)] = static_cast<float>(m);
    variance[static_cast<size_t>(c)] = static_cast<float>(distance / count);
  }
}

void batch_norm(int64_t rows, int64_t channels, std::span<const float> x, std::span<const float> mean,
                std::span<const float> inv_std, std::span<const float> gamma, std::span<const float> beta,
                std::span<float> y) {
  std::vector<float> scale(gamma.begin(), gamma.end());
  for (size_t c = 0; c < scale.size(); ++c) scale[c] *= inv_std[c];
  parallel_chunks(rows, rows_per_chunk(channels), [&](int64_t b, int64_t e) {
    normalize_rows(x.data() + b * channels, e - b, channels, mean.data(), scale.data(), beta.data(),
                   y.data() + b * channels);
  });
}

void batch_norm_grad(int64_t rows, int64_t channels, bool fixed, std::span<const float> x, std::span<const float> mean,
                     std::span<const float> inv_std, std::span<const float> gamma, std::span<const float> gy, Grad gx,
                     Grad ggamma, Grad gbeta) {
  // With the batch's moments: gx = gamma inv_std (gy - mean of gy - x̂ · mean of gy x̂), x̂ = (x - mean) inv_std.
  std::vector<float> scale(static_cast<size_t>(channels)), offset(scale.size()), slope(scale.size());
  for (size_t c = 0; c < scale.size(); ++c) scale[c] = gamma[c] * inv_std[c];
  if (ggamma || gbeta || (gx && !fixed)) {
    Partials partials{rows, channels};
    partials.compute([&](int64_t begin, int64_t count, float* first, float* second) {
      grad_sums_of_rows(x.data() + begin * channels, gy.data() + begin * channels, count, channels, mean.data(), first,
                        second);
    });
    for (size_t c = 0; c < scale.size(); ++c) {
      double sum = 0, product = 0;
      for (int64_t k = 0; k < partials.chunks; ++k) {
        sum += partials.first(k)[c];
        product += partials.second(k)[c];
      }
      product *= inv_std[c];
      if (gbeta) gbeta.put(static_cast<int64_t>(c), static_cast<float>(sum));
      if (ggamma) ggamma.put(static_cast<int64_t>(c), static_cast<float>(product));
      if (fixed) continue;
      offset[c] = static_cast<float>(sum / static_cast<double>(rows));
      slope[c] = static_cast<float>(product * inv_std[c] / static_cast<double>(rows));
    }
  }
  if (!gx) return;
  parallel_chunks(rows, rows_per_chunk(channels), [&](int64_t b, int64_t e) {
    grad_x_rows(x.data() + b * channels, gy.data() + b * channels, e - b, channels, mean.data(), scale.data(),
                offset.data(), slope.data(), gx.add, gx.data + b * channels);
  });
}

namespace reference {

void channel_moments(int64_t rows, int64_t channels, std::span<const float> x, std::span<float> mean,
                     std::span<float> variance) {
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    for (int64_t i = c; i < rows * channels; i += channels) sum += double{x[static_cast<size_t>(i)]};
    const double m = sum / static_cast<double>(rows);
    for (int64_t i = c; i < rows * channels; i += channels) {
      const double d = x[static_cast<size_t>(i)] - m;
      squares += d * d;
    }
    mean[static_cast<size_t>(c)] = static_cast<float>(m);
    variance[static_cast<size_t>(c)] = static_cast<float>(squares / static_cast<double>(rows));
  }
}

void batch_norm_grad(int64_t rows, int64_t channels, bool fixed, std::span<const float> x, std::span<const float> mean,
                     std::span<const float> inv_std, std::span<const float> gamma, std::span<const float> gy, Grad gx,
                     Grad ggamma, Grad gbeta) {
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    const auto normal = [&](int64_t r) {
      return (double{x[static_cast<size_t>(r * channels) + c]} - mean[c]) * inv_std[c];
    };
    const auto g = [&](int64_t r) { return double{gy[static_cast<size_t>(r * channels) + c]}; };
    double sum = 0, product = 0;
    for (int64_t r = 0; r < rows; ++r) {
      sum += g(r);
      product += g(r) * normal(r);
    }
    if (gbeta) gbeta.put(static_cast<int64_t>(c), static_cast<float>(sum));
    if (ggamma) ggamma.put(static_cast<int64_t>(c), static_cast<float>(product));
    const double share = fixed ? 0.0 : 1.0 / static_cast<double>(rows);
    for (int64_t r = 0; gx && r < rows; ++r)
      gx.put(r * channels + static_cast<int64_t>(c),
             static_cast<float>(double{gamma[c]} * inv_std[c] * (g(r) - share * sum - share * product * normal(r))));
  }
}

}  // namespace reference
}  // namespace mixgrad::kernels
