// SPDX-License-Identifier: Apache-2.0
// The C99 functions of net.c that compute convolutions of every channel alone, as text. See c_runtime.h.
#pragma once

namespace mixgrad::c_depthwise {

inline constexpr const char* unpack =
    R"c(/* Unpacks the weights of channels c to c + 3: for every tap, those of the first and the third, then of the others. The
   first `done` channels get zeros. Returns the words that follow. */
static const uint32_t *unpack(const layer *l, int32_t c, int32_t done, const uint32_t *w, int16_t *to) {
  const int32_t taps = l->kernel_h * l->kernel_w;
  int32_t k, t;
  for (k = 0; k < 4; ++k) {
    const int32_t bits = l->bits[c + k] & 15, odd = l->bits[c + k] >> 4, top = 1 << (bits - 1);
    for (t = 0; t < taps; ++t) {
      int32_t code = 0;
      if (k >= done) {
        code = (((int32_t)(w[t * bits / 32] >> (t * bits % 32)) & (2 * top - 1)) ^ top) - top;
        if (odd) code = 2 * code + 1;
      }
      to[4 * t + k % 2 * 2 + k / 2] = (int16_t)code;
    }
    if (k >= done) w += (taps * bits + 31) / 32;
  }
  return w;
}

)c";

/// {0}: its suffix; {1}: what begins the names of functions that take bytes apart; {2}: whether codes are signed; {3}:
/// the declaration of bytes to unpack codes to, or nothing; {4}: Memory's input.
inline constexpr const char* load_row =
    R"c(/* Four channels of `columns` positions of an input row from column x on, in the order of unpack; zeros outside. */
static NET_NOINLINE void load_row{0}(const layer *l, const uint8_t *in, int32_t channel, int32_t y, int32_t x, int32_t columns,
                        int16_t *to) {{
  const int32_t channels = l->in_c, inside = y >= 0 && y < l->in_h, end = x + columns < l->in_w ? x + columns : l->in_w;
  const int16_t *last = to + 4 * columns;
  if (inside) {{
    int32_t at;
{3}    for (; x < 0 && to < last; ++x, to += 4) to[0] = to[1] = to[2] = to[3] = 0;
    for (at = (y * l->in_w + x) * channels + channel; x < end; ++x, to += 4, at += channels) {{
      const uint8_t *from = {4};
#ifdef NET_DSP
      const uint32_t word = word_at(from);
      ((pair *)(void *)to)[0] = {1}even_bytes(word);
      ((pair *)(void *)to)[1] = {1}odd_bytes(word);
#else
      to[0] = (int16_t)read_code(from[0], {2});
      to[1] = (int16_t)read_code(from[2], {2});
      to[2] = (int16_t)read_code(from[1], {2});
      to[3] = (int16_t)read_code(from[3], {2});
#endif
    }}
  }}
  for (; to < last; to += 4) to[0] = to[1] = to[2] = to[3] = 0;
}}

)c";

inline constexpr const char* sums_alone =
    R"c(/* The sums of four channels at `count` positions of one output row: sums[NET_TILE c + p]. Row i of the kernel reads the row
   of four-channel inputs at rows[i], from `x` on. */
static void sums_alone(const layer *l, const int16_t *const *rows, int32_t x, const int16_t *weights, int32_t *sums,
                       int32_t count) {
  const int32_t *end = sums + count;
  for (; sums < end; ++sums, x += l->stride_w) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, ky, kx;
    const int16_t *w = weights;
    for (ky = 0; ky < l->kernel_h; ++ky) {
      const int16_t *from = rows[ky] + 4 * x;
      for (kx = 0; kx < l->kernel_w; ++kx, w += 4, from += 4 * l->dilation_w) {
#ifdef NET_DSP
        const pair w0 = PAIR(w, 0), w1 = PAIR(w, 1), x0 = PAIR(from, 0), x1 = PAIR(from, 1);
        s0 = add_low(w0, x0, s0);
        s1 = add_low(w1, x1, s1);
        s2 = add_high(w0, x0, s2);
        s3 = add_high(w1, x1, s3);
#else
        s0 += w[0] * from[0];
        s1 += w[2] * from[2];
        s2 += w[1] * from[1];
        s3 += w[3] * from[3];
#endif
      }
    }
    sums[0] = s0, sums[NET_TILE] = s1, sums[2 * NET_TILE] = s2, sums[3 * NET_TILE] = s3;
  }
}

)c";

/// {0}: its suffix; {1}: how the sums are computed; {2}: put_results's argument for the totals; {3}: Memory's buffers;
/// {4}: the index of a result; {5}, {6}: Memory's target and pack_alone.
inline constexpr const char* run_depthwise =
    R"c(/* A convolution of every channel alone, four channels at a time. The scratch memory holds their weights and the rows
   of the input that an output row reads, one after the other in a ring. */
static void run_depthwise{0}(const layer *l, const uint8_t *in, int16_t *scratch, uint8_t *codes, int32_t *wide{3}) {{
  const int32_t channels = l->out_c, ring = (l->kernel_h - 1) * l->dilation_h + 1;
  const int32_t columns = (l->out_w - 1) * l->stride_w + (l->kernel_w - 1) * l->dilation_w + 1;
  int16_t *weights = scratch + 4 * ring * columns;
  const uint32_t *packed = l->weights;
  int32_t c, y, x, k, count, sums[4 * NET_TILE];   /* of every channel at four positions */
  for (c = 0; c < channels; c += 4) {{
    const int32_t done = c + 4 > channels ? c + 4 - channels : 0, first = c - done;
    int32_t p = 0, at = c, loaded = 0;
    packed = unpack(l, first, done, packed, weights);
    for (y = 0; y < l->out_h; ++y) {{
      const int16_t *rows[NET_KERNEL_ROWS];
      int32_t row = y * l->stride_h % ring;
      for (; loaded < y * l->stride_h + ring; ++loaded)
        load_row{0}(l, in, first, loaded - l->pad_top, -l->pad_left, columns, scratch + loaded % ring * 4 * columns);
      for (k = 0; k < l->kernel_h; ++k) {{
        rows[k] = scratch + row * 4 * columns;
        row += l->dilation_h;
        if (row >= ring) row -= ring;
      }}
      for (x = 0; x < l->out_w; x += count) {{
        count = l->out_w - x < 4 - p ? l->out_w - x : 4 - p;
        {1}
        p += count;
        if (p < 4 && (y + 1 < l->out_h || x + count < l->out_w)) continue;
        put_results(l, c, 4 - done, sums + NET_TILE * done,{2} p, {4}, {5}, wide);
{6}        at += p * channels;
        p = 0;
      }}
    }}
  }}
}}

)c";

}  // namespace mixgrad::c_depthwise
