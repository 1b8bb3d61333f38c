// SPDX-License-Identifier: Apache-2.0
// Convolutions without a library. With the image padded by a frame of zeros, a convolution needs two tables of offsets:
//   forward, ∂/∂x   out[p][j] = Σ_t Σ_c in[place[p] + tap[t] + c] w[t][c][j]
//   ∂/∂w            w[t][c][j] = Σ_p in[place[p] + tap[t] + c] gy[p][j]
// Each is computed in register tiles: a few places (or rows of w) times a few vectors of columns j. Every sum has a
// fixed order and no fused multiply-add, so any number of threads and any instruction set give the same bytes.
#include <vector>

#include "conv2d.h"
#include "lanes.h"
#include "reduce.h"
#include "scratch.h"

namespace mixgrad::kernels::direct {
namespace {

constexpr int tile_vectors = 8;            // sums that a tile keeps in registers
constexpr int64_t pixels_per_block = 128;  // few enough for their rows of gy to stay in the L1 cache
constexpr int64_t slack = 2 * 16;          // floats that the last vectors may read past the end

enum class Use { frame, weights, columns, partials };

struct Image {
  int64_t h, w, c;
};

/// Along one axis, output `out + i out_step` reads the frame at `in + i in_step + at` for every tap.
struct Axis {
  struct Tap {
    int64_t k, at;
  };
  int64_t count, in, in_step, out, out_step;
  std::vector<Tap> taps;
};

/// One direction of a convolution: its input, its output, and the channels of a group on each side.
struct Pass {
  Image from, to;
  int64_t top = 0, left = 0, h = 0, w = 0;       // size of the frame, and where `from` begins in it
  std::vector<Axis> ys, xs;                      // every pair of them is computed
  bool depthwise;                                // column j reads only channel j; treated as one group
  int64_t groups, depth, width;                  // depth, width: channels per group read, written
  int64_t group_step, tap_step, c_step, j_step;  // strides of w[group][k][c][j]

  Pass(const Conv2dSize& s, Image from_, Image to_)
      : from(from_),
        to(to_),
        depthwise(s.c_in == s.groups && s.c_out == s.groups),
        groups(depthwise ? 1 : s.groups),
        depth(depthwise ? 1 : from.c / groups),
        width(to.c / groups),
        group_step(s.kh * s.kw * depth * width) {}

  int64_t place(int64_t y, int64_t x) const { return (y * w + x) * from.c; }
  /// The frame covers everything that outputs read, and the whole image.
  void reach(int64_t h_read, int64_t w_read) {
    h = std::max(h_read, top + from.h);
    w = std::max(w_read, left + from.w);
  }
};

Pass forward_pass(const Conv2dSize& s) {
  Pass pass(s, {s.h, s.w, s.c_in}, {s.oh, s.ow, s.c_out});
  const auto axis = [](int64_t outputs, int64_t k, int64_t stride, int64_t dilation) {
    Axis a{outputs, 0, stride, 0, 1, {}};
    for (int64_t i = 0; i < k; ++i) a.taps.push_back({i, i * dilation});
    return a;
  };
  pass.ys = {axis(s.oh, s.kh, s.stride_h, s.dilation_h)};
  pass.xs = {axis(s.ow, s.kw, s.stride_w, s.dilation_w)};
  pass.top = s.pad_top;
  pass.left = s.pad_left;
  pass.reach((s.oh - 1) * s.stride_h + (s.kh - 1) * s.dilation_h + 1,
             (s.ow - 1) * s.stride_w + (s.kw - 1) * s.dilation_w + 1);
  pass.tap_step = pass.depth;
  pass.c_step = 1;
  pass.j_step = s.kh * s.kw * pass.depth;
  return pass;
}

/// Inputs with the same remainder modulo the stride are read by the same taps; the next such input is one output later.
Pass backward_pass(const Conv2dSize& s) {
  Pass pass(s, {s.oh, s.ow, s.c_out}, {s.h, s.w, s.c_in});
  const auto axes = [](int64_t inputs, int64_t k, int64_t stride, int64_t dilation, int64_t pad, int64_t before) {
    std::vector<Axis> all;
    for (int64_t first = 0; first < std::min(stride, inputs); ++first) {
      Axis a{(inputs - first + stride - 1) / stride, (first + pad) / stride + before, 1, first, stride, {}};
      for (int64_t i = 0; i < k; ++i)
        if ((first + pad - i * dilation) % stride == 0) a.taps.push_back({i, -(i * dilation / stride)});
      all.push_back(std::move(a));
    }
    return all;
  };
  pass.top = (s.kh - 1) * s.dilation_h / s.stride_h;
  pass.left = (s.kw - 1) * s.dilation_w / s.stride_w;
  pass.ys = axes(s.h, s.kh, s.stride_h, s.dilation_h, s.pad_top, pass.top);
  pass.xs = axes(s.w, s.kw, s.stride_w, s.dilation_w, s.pad_left, pass.left);
  pass.reach((s.h - 1 + s.pad_top) / s.stride_h + pass.top + 1, (s.w - 1 + s.pad_left) / s.stride_w + pass.left + 1);
  pass.tap_step = pass.depthwise ? 1 : pass.width;
  pass.c_step = s.kh * s.kw * pass.width;
  pass.j_step = pass.depthwise ? s.kh * s.kw : 1;
  return pass;
}

/// Copies images into their frames, or uses them as they are if a frame would add nothing.
const float* framed(const Pass& pass, const float* images, int64_t n) {
  const Image& from = pass.from;
  if (pass.h == from.h && pass.w == from.w && !pass.depthwise) return images;
  const int64_t size = n * pass.place(pass.h, 0);
  float* frame = scratch<Use::frame>(size + slack);
  std::fill_n(frame, size, 0.0f);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t y = 0; y < from.h; ++y)
      std::copy_n(images + (i * from.h + y) * from.w * from.c, from.w * from.c,
                  frame + i * pass.place(pass.h, 0) + pass.place(pass.top + y, pass.left));
  return frame;
}

/// The offset that each tap reads from, and its weight.
struct Taps {
  std::vector<int64_t> place, k;
};

Taps taps_of(const Pass& pass, const Axis& ys, const Axis& xs, int64_t kw) {
  Taps taps;
  for (const Axis::Tap& y : ys.taps)
    for (const Axis::Tap& x : xs.taps) {
      taps.place.push_back(pass.place(y.at, x.at));
      taps.k.push_back(y.k * kw + x.k);
    }
  return taps;
}

/// The offsets that the outputs of n images are read from and written to.
struct Places {
  std::vector<int64_t> in, out;
};

Places places_of(const Pass& pass, const Axis& ys, const Axis& xs, int64_t n) {
  const auto count = static_cast<size_t>(n * ys.count * xs.count);
  Places places{std::vector<int64_t>(count), std::vector<int64_t>(count)};
  int64_t *in = places.in.data(), *out = places.out.data();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t y = 0; y < ys.count; ++y) {
      const int64_t row = i * pass.to.h + ys.out + y * ys.out_step;
      int64_t from = i * pass.place(pass.h, 0) + pass.place(ys.in + y * ys.in_step, xs.in);
      int64_t to = (row * pass.to.w + xs.out) * pass.to.c;
      for (int64_t x = 0; x < xs.count; ++x, from += xs.in_step * pass.from.c, to += xs.out_step * pass.to.c) {
        *in++ = from;
        *out++ = to;
      }
    }
  return places;
}

/// Images per task of a thread: at least this many, more if they are small.
int64_t chunk(const Pass& pass, int64_t images) { return std::max(images, 256 / (pass.to.h * pass.to.w)); }

/// Columns of a tile: two vectors, or one if it holds all.
int64_t tile_width(const Pass& pass) { return widest_lanes() * (pass.width > widest_lanes() ? 2 : 1); }

int64_t blocks(const Pass& pass) { return (pass.width + tile_width(pass) - 1) / tile_width(pass); }

/// Weights in the order in which tiles read them, [group][block of columns][tap][c][column], padded with zero columns.
const float* packed(const Pass& pass, const Taps& taps, const float* w) {
  const int64_t tile = tile_width(pass);
  float* const out = scratch<Use::weights>(pass.groups * blocks(pass) * std::ssize(taps.k) * pass.depth * tile);
  float* at = out;
  for (int64_t g = 0; g < pass.groups; ++g)
    for (int64_t first = 0; first < pass.width; first += tile)
      for (const int64_t k : taps.k)
        for (int64_t c = 0; c < pass.depth; ++c, at += tile) {
          const int64_t columns = std::min(tile, pass.width - first);
          const float* from = w + g * pass.group_step + k * pass.tap_step + c * pass.c_step + first * pass.j_step;
          for (int64_t j = 0; j < columns; ++j) at[j] = from[j * pass.j_step];
          std::fill_n(at + columns, tile - columns, 0.0f);
        }
  return out;
}

/// A vector of channels, or one channel for all columns: a float, because GCC 12 broadcasts with masked moves.
template <bool Depthwise, typename L>
MIXGRAD_INLINE auto factor(const float* at) {
  if constexpr (Depthwise)
    return load<L>(at);
  else
    return *at;
}

/// Calls body.operator()<W, V, Depthwise>() with W lanes per vector and V vectors per tile.
template <typename Body>
void in_tiles(const Pass& pass, const Body& body) {
  widest([&]<int W>() __attribute__((always_inline)) {
    if (pass.depthwise)
      pass.width > W ? body.template operator()<W, 2, true>() : body.template operator()<W, 1, true>();
    else
      pass.width > W ? body.template operator()<W, 2, false>() : body.template operator()<W, 1, false>();
  });
}

/// Where sums are stored or added, with an optional bias.
struct Landing {
  Grad to;
  const float* bias = nullptr;

  /// A whole vector.
  template <typename V>
  MIXGRAD_INLINE void put(int64_t at, V sum, int64_t first) const {
    float* out = to.data + at + first;
    if (to.add)
      store(out, load<V>(out) + sum);
    else
      store(out, bias ? sum + load<V>(bias + first) : sum);
  }
  MIXGRAD_INLINE void put(int64_t at, const float* sums, int64_t first, int64_t columns) const {
    float* out = to.data + at + first;
    if (to.add)
      for (int64_t j = 0; j < columns; ++j) out[j] += sums[j];
    else if (bias)
      for (int64_t j = 0; j < columns; ++j) out[j] = sums[j] + bias[first + j];
    else
      for (int64_t j = 0; j < columns; ++j) out[j] = sums[j];
  }
};

/// One block of output channels, starting at `first`, for all places; `in` points to the group's first channel.
template <int W, int V, bool Depthwise>
MIXGRAD_INLINE void sum_block(const float* in, const Places& places, const Taps& taps, int64_t depth, const float* w,
                              const Landing& landing, int64_t first, int64_t columns) {
  constexpr int P = tile_vectors / V;
  const int64_t count = std::ssize(places.in), tap_count = std::ssize(taps.place);
  const int64_t *place = places.in.data(), *tap = taps.place.data();
  for (int64_t p = 0; p < count; p += P) {
    const float* from[P];
    for (int i = 0; i < P; ++i) from[i] = in + place[std::min(p + i, count - 1)];
    Lanes<W> sums[P][V] = {};
    const float* weights = w;
    for (int64_t t = 0; t < tap_count; ++t)
      for (int64_t c = 0; c < depth; ++c, weights += V * W)
        for (int v = 0; v < V; ++v) {
          const auto weight = load<Lanes<W>>(weights + v * W);
          for (int i = 0; i < P; ++i)
            sums[i][v] += factor<Depthwise, Lanes<W>>(from[i] + tap[t] + (Depthwise ? v * W : c)) * weight;
        }
    const int64_t* const out = places.out.data() + p;
    if (columns == V * W) {
      for (int i = 0; i < P; ++i)
        for (int v = 0; v < V && p + i < count; ++v) landing.put(out[i], sums[i][v], first + v * W);
      continue;
    }
    float rows[P][V * W];
    for (int i = 0; i < P; ++i)
      for (int v = 0; v < V; ++v) store(rows[i] + v * W, sums[i][v]);
    for (int64_t i = 0; i < std::min<int64_t>(P, count - p); ++i) landing.put(out[i], rows[i], first, columns);
  }
}

void run(const Pass& pass, const Conv2dSize& s, const float* x, const float* w, const Landing& landing) {
  const int64_t tile = tile_width(pass);
  for (const Axis& ys : pass.ys)
    for (const Axis& xs : pass.xs) {
      const Taps taps = taps_of(pass, ys, xs, s.kw);
      const float* weights = packed(pass, taps, w);
      parallel_chunks(s.n, chunk(pass, 1), [&](int64_t begin, int64_t end) {
        const float* in = framed(pass, x + begin * pass.from.h * pass.from.w * pass.from.c, end - begin);
        const Places places = places_of(pass, ys, xs, end - begin);
        Landing here = landing;
        here.to.data += begin * pass.to.h * pass.to.w * pass.to.c;
        in_tiles(
            pass, [&]<int W, int V, bool Depthwise>() __attribute__((always_inline)) {
              const float* block = weights;
              for (int64_t g = 0; g < pass.groups; ++g)
                for (int64_t j = 0; j < pass.width; j += tile, block += std::ssize(taps.k) * pass.depth * tile)
                  sum_block<W, V, Depthwise>(in + (Depthwise ? j : g * pass.depth), places, taps, pass.depth, block,
                                             here, g * pass.width + j, std::min(tile, pass.width - j));
            });
      });
    }
}

}  // namespace

void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
            std::span<float> y) {
  run(forward_pass(s), s, x.data(), w.data(), {{y.data()}, bias.empty() ? nullptr : bias.data()});
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (gx) run(backward_pass(s), s, gy.data(), w.data(), {gx});
}

namespace {

/// Packs the rows gy[place][0, columns) one after another, each padded with zeros to the width of a tile.
void pack_columns(const float* gy, std::span<const int64_t> places, int64_t columns, int64_t tile, float* out) {
  for (const int64_t at : places) {
    std::copy_n(gy + at, columns, out);
    std::fill_n(out + columns, tile - columns, 0.0f);
    out += tile;
  }
}

/// w[r][·] += Σ_p in[place[p] + row[r]] gy[p][·] for one block of columns; gy packed, w [rows][column].
template <int W, int V, bool Depthwise>
MIXGRAD_INLINE void add_products(const float* in, std::span<const int64_t> places, std::span<const int64_t> rows,
                                 const float* gy, float* w) {
  constexpr int R = !Depthwise ? tile_vectors / V : V == 1 ? 9 : 5;  // a 3x3 kernel has 9 rows
  const int64_t count = std::ssize(rows);
  for (int64_t r = 0; r < count; r += R) {
    int64_t at[R];
    for (int i = 0; i < R; ++i) at[i] = rows.data()[std::min(r + i, count - 1)];
    Lanes<W> sums[R][V] = {};
    const float* g = gy;
    for (const int64_t place : places) {
      const float* from = in + place;
      for (int v = 0; v < V; ++v) {
        const auto right = load<Lanes<W>>(g + v * W);
        for (int i = 0; i < R; ++i)
          sums[i][v] += factor<Depthwise, Lanes<W>>(from + at[i] + (Depthwise ? v * W : 0)) * right;
      }
      g += V * W;
    }
    for (int i = 0; i < R; ++i)
      for (int v = 0; v < V; ++v) {
        float* to = w + (r + i) * V * W + v * W;
        if (r + i < count) store(to, load<Lanes<W>>(to) + sums[i][v]);
      }
  }
}

/// Adds the sums over n images to `partial`, [group][block of columns][tap][c][column].
void add_images(const Pass& pass, const Taps& taps, const float* x, const float* gy, int64_t n, float* partial) {
  const float* in = framed(pass, x, n);
  const Places places = places_of(pass, pass.ys[0], pass.xs[0], n);
  const int64_t tile = tile_width(pass);
  float* columns = scratch<Use::columns>(pixels_per_block * tile);
  std::vector<int64_t> rows;
  for (const int64_t tap : taps.place)
    for (int64_t c = 0; c < pass.depth; ++c) rows.push_back(tap + c);
  for (int64_t g = 0; g < pass.groups; ++g)
    for (int64_t j = 0; j < pass.width; j += tile, partial += std::ssize(rows) * tile)
      for (int64_t p = 0; p < std::ssize(places.in); p += pixels_per_block) {
        const auto at = static_cast<size_t>(p), size = std::min<size_t>(pixels_per_block, places.in.size() - at);
        pack_columns(gy + g * pass.width + j, std::span(places.out).subspan(at, size), std::min(tile, pass.width - j),
                     tile, columns);
        in_tiles(
            pass, [&]<int W, int V, bool Depthwise>() __attribute__((always_inline)) {
              add_products<W, V, Depthwise>(in + (Depthwise ? j : g * pass.depth),
                                            std::span(places.in).subspan(at, size), rows, columns, partial);
            });
      }
}

/// gw = Σ partials, added in order; also converts from the packed layout of the weights to the plain one.
void add_partials(const Pass& pass, const Taps& taps, const float* partials, int64_t count, int64_t size, Grad gw) {
  const int64_t tile = tile_width(pass), row_count = std::ssize(taps.k) * pass.depth;
  parallel_chunks(pass.groups * blocks(pass) * row_count, 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t block = r / row_count, row = r % row_count, first = block % blocks(pass) * tile;
      const int64_t to = block / blocks(pass) * pass.group_step +
                         taps.k[static_cast<size_t>(row / pass.depth)] * pass.tap_step +
                         row % pass.depth * pass.c_step + first * pass.j_step;
      for (int64_t j = 0; j < std::min(tile, pass.width - first); ++j) {
        float sum = 0;
        for (int64_t i = 0; i < count; ++i) sum += partials[i * size + r * tile + j];
        gw.put(to + j * pass.j_step, sum);
      }
    }
  });
}

}  // namespace

void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias) {
  if (gbias) column_sums(s.n * s.oh * s.ow, s.c_out, gy, gbias);
  if (!gw) return;
  const Pass pass = forward_pass(s);
  const Taps taps = taps_of(pass, pass.ys[0], pass.xs[0], s.kw);
  const int64_t grain = chunk(pass, 8), count = (s.n + grain - 1) / grain;
  const int64_t size = pass.groups * blocks(pass) * s.kh * s.kw * pass.depth * tile_width(pass);
  float* partials = scratch<Use::partials>(count * size);
  parallel_chunks(s.n, grain, [&](int64_t begin, int64_t end) {
    float* partial = partials + begin / grain * size;
    std::fill_n(partial, size, 0.0f);
    add_images(pass, taps, x.data() + begin * s.h * s.w * s.c_in, gy.data() + begin * s.oh * s.ow * s.c_out,
               end - begin, partial);
  });
  add_partials(pass, taps, partials, count, size, gw);
}

}  // namespace mixgrad::kernels::direct
