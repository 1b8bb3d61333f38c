// SPDX-License-Identifier: Apache-2.0
// The C99 functions that net.c consists of, as text. A package contains only those that its network needs, so that none
// is unused.
#pragma once

namespace mixgrad::c_runtime {

inline constexpr const char* codes = R"c(/* A code as a number: bytes of signed tensors are in two's complement. */
static int32_t read_code(uint8_t code, int32_t is_signed) {
  return is_signed ? (int32_t)(code ^ 0x80u) - 0x80 : (int32_t)code;
}

)c";

inline constexpr const char* rescale =
    R"c(/* x * multiplier / 2^shift, ties up, clamped to [low, high]. (Right shifts of negative numbers are arithmetic
   on every common compiler.) */
static int32_t rescale(int32_t x, int32_t multiplier, uint8_t shift, int32_t low, int32_t high) {
  const int64_t half = shift > 0 ? (int64_t)1 << (shift - 1) : 0;
  const int64_t y = ((int64_t)x * multiplier + half) >> shift;
  return y < low ? low : y > high ? high : (int32_t)y;
}

)c";

/// Weights are whole 32-bit words, the first weight in the lowest bits; `x` is as long, with zeros at the end.
inline constexpr const char* dot_1 = R"c(static int32_t dot_1(const uint32_t *w, const int16_t *x, int32_t words) {
  int32_t sum = 0, i, k;
  for (i = 0; i < words; ++i, x += 32) {
    for (k = 0; k < 32; ++k) sum -= (int32_t)(w[i] >> k & 1u) * x[k];
  }
  return sum;
}

)c";

inline constexpr const char* dot_2 = R"c(static int32_t dot_2(const uint32_t *w, const int16_t *x, int32_t words) {
  int32_t sum = 0, i, k;
  for (i = 0; i < words; ++i, x += 16) {
    const uint32_t word = w[i] ^ 0xaaaaaaaau;
    for (k = 0; k < 16; ++k) sum += ((int32_t)(word >> (2 * k) & 3u) - 2) * x[k];
  }
  return sum;
}

)c";

inline constexpr const char* dot_4 = R"c(static int32_t dot_4(const uint32_t *w, const int16_t *x, int32_t words) {
  int32_t sum = 0, i, k;
  for (i = 0; i < words; ++i, x += 8) {
    const uint32_t word = w[i] ^ 0x88888888u;
    for (k = 0; k < 8; ++k) sum += ((int32_t)(word >> (4 * k) & 15u) - 8) * x[k];
  }
  return sum;
}

)c";

inline constexpr const char* dot_8 = R"c(static int32_t dot_8(const uint32_t *w, const int16_t *x, int32_t words) {
  int32_t sum = 0, i, k;
  for (i = 0; i < words; ++i, x += 4) {
    const uint32_t word = w[i] ^ 0x80808080u;
    for (k = 0; k < 4; ++k) sum += ((int32_t)(word >> (8 * k) & 255u) - 128) * x[k];
  }
  return sum;
}

)c";

inline constexpr const char* layer_type =
    R"c(/* A convolution; a linear layer is a 1 x 1 convolution. Tensors are height x width x channels. */
typedef struct {
  int32_t in_h, in_w, in_c, out_h, out_w, out_c;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups;
  int32_t in_signed, low, high;
  const uint8_t *bits;       /* per weight, for each output channel */
  const uint32_t *weights;   /* every output channel starts a new word */
  const int32_t *bias;
  const int32_t *multiplier;
  const uint8_t *shift;
} layer;

)c";

inline constexpr const char* gather =
    R"c(/* Gathers the inputs of one group at output position (y, x), with zeros outside and up to a whole word of weights. */
static void gather(const layer *l, const uint8_t *in, int32_t y, int32_t x, int32_t group, int16_t *patch) {
  const int32_t width = l->in_c / l->groups, taps = l->kernel_h * l->kernel_w * width;
  int32_t ky, kx, c;
  for (ky = 0; ky < l->kernel_h; ++ky) {
    const int32_t iy = y * l->stride_h + ky * l->dilation_h - l->pad_top;
    for (kx = 0; kx < l->kernel_w; ++kx, patch += width) {
      const int32_t ix = x * l->stride_w + kx * l->dilation_w - l->pad_left;
      if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w) {
        const uint8_t *from = in + (iy * l->in_w + ix) * l->in_c + group * width;
        for (c = 0; c < width; ++c) patch[c] = (int16_t)read_code(from[c], l->in_signed);
      } else {
        for (c = 0; c < width; ++c) patch[c] = 0;
      }
    }
  }
  for (c = 0; c < (16 - taps % 16) % 16; ++c) patch[c] = 0;
}

)c";

inline constexpr const char* gather_apart =
    R"c(/* Gathers the inputs of one group at output position (y, x), with zeros outside and up to a whole word of weights.
   A transposed convolution reads rows and columns of the input that are more than one apart, with zeros between. */
static void gather(const layer *l, int32_t apart_h, int32_t apart_w, const uint8_t *in, int32_t y, int32_t x,
                   int32_t group, int16_t *patch) {
  const int32_t width = l->in_c / l->groups, taps = l->kernel_h * l->kernel_w * width;
  const int32_t row = ((l->in_w - 1) / apart_w + 1) * l->in_c;
  int32_t ky, kx, c;
  for (ky = 0; ky < l->kernel_h; ++ky) {
    const int32_t iy = y * l->stride_h + ky * l->dilation_h - l->pad_top;
    for (kx = 0; kx < l->kernel_w; ++kx, patch += width) {
      const int32_t ix = x * l->stride_w + kx * l->dilation_w - l->pad_left;
      if (iy >= 0 && iy < l->in_h && iy % apart_h == 0 && ix >= 0 && ix < l->in_w && ix % apart_w == 0) {
        const uint8_t *from = in + iy / apart_h * row + ix / apart_w * l->in_c + group * width;
        for (c = 0; c < width; ++c) patch[c] = (int16_t)read_code(from[c], l->in_signed);
      } else {
        for (c = 0; c < width; ++c) patch[c] = 0;
      }
    }
  }
  for (c = 0; c < (16 - taps % 16) % 16; ++c) patch[c] = 0;
}

)c";

inline constexpr const char* sum_of =
    R"c(/* Odd weights q are stored as t = (q - 1) / 2, so that the sum of q x is twice that of t x plus that of x. */
static int32_t sum_of(const int16_t *x, int32_t count) {
  int32_t sum = 0, i;
  for (i = 0; i < count; ++i) sum += x[i];
  return sum;
}

)c";

/// The parts of run_layer that odd weights change. 16 beside a channel's bits says that its weights are odd.
struct Sums {
  const char *total, *bits, *add_up, *value;
};
inline constexpr Sums plain_sums = {"", "l->bits[c]", "", "dot(bits, w, patch, words)"};
inline constexpr Sums odd_sums = {", total = 0", "l->bits[c] & 15",
                                  "      if (c % per_group == 0) total = sum_of(patch, taps);\n"
                                  "      code = dot(bits, w, patch, words);\n"
                                  "      if (l->bits[c] & 16) code = 2 * code + total;\n",
                                  "code"};

/// {0}: the lines that select a function by the precision of the weights; {1} to {4}: Sums; {5}, {6}: the parameters
/// that transposed convolutions add, and the same as arguments of gather.
inline constexpr const char* run_layer =
    R"c(static int32_t dot(int32_t bits, const uint32_t *w, const int16_t *x, int32_t words) {{
{0}}}

/* Writes codes, or the network's 32-bit result to `wide`. */
static void run_layer(const layer *l, {5}const uint8_t *in, int16_t *patch, uint8_t *codes, int32_t *wide) {{
  const int32_t taps = l->kernel_h * l->kernel_w * (l->in_c / l->groups), per_group = l->out_c / l->groups;
  int32_t position, c, at = 0{1};
  for (position = 0; position < l->out_h * l->out_w; ++position) {{
    const uint32_t *w = l->weights;
    for (c = 0; c < l->out_c; ++c, ++at) {{
      const int32_t bits = {2}, words = (taps * bits + 31) / 32;
      int32_t code;
      if (c % per_group == 0) gather(l, {6}in, position / l->out_w, position % l->out_w, c / per_group, patch);
{3}      code = rescale(l->bias[c] + {4}, l->multiplier[c], l->shift[c], l->low, l->high);
      w += words;
      if (wide) wide[at] = code;
      else codes[at] = (uint8_t)code;
    }}
  }}
}}

)c";

inline constexpr const char* run_add = R"c(/* a + b, codes of the same quantizer. */
static void run_add(const uint8_t *a, int32_t a_signed, const uint8_t *b, int32_t b_signed, int32_t size, int32_t multiplier, uint8_t shift,
                    int32_t low, int32_t high, uint8_t *codes, int32_t *wide) {
  int32_t i;
  for (i = 0; i < size; ++i) {
    const int32_t code = rescale(read_code(a[i], a_signed) + read_code(b[i], b_signed), multiplier, shift, low, high);
    if (wide) wide[i] = code;
    else codes[i] = (uint8_t)code;
  }
}

)c";

/// From the last position to the first: the product may take the place of either operand, even of the factors.
inline constexpr const char* run_mul =
    R"c(/* a * b; b has as many codes as a, or one for each channel. */
static void run_mul(const uint8_t *a, int32_t a_signed, const uint8_t *b, int32_t b_signed, int32_t size, int32_t factors,
                    int32_t multiplier, uint8_t shift, int32_t low, int32_t high, uint8_t *codes, int32_t *wide) {
  int32_t i;
  for (i = size - 1; i >= 0; --i) {
    const int32_t product = read_code(a[i], a_signed) * read_code(b[i % factors], b_signed);
    const int32_t code = rescale(product, multiplier, shift, low, high);
    if (wide) wide[i] = code;
    else codes[i] = (uint8_t)code;
  }
}

)c";

inline constexpr const char* run_table =
    R"c(/* table[0] is for the code -zero. */
static void run_table(const uint8_t *in, int32_t in_signed, int32_t size, const uint8_t *table, int32_t zero,
                      uint8_t *codes) {
  int32_t i;
  for (i = 0; i < size; ++i) codes[i] = table[read_code(in[i], in_signed) + zero];
}

)c";

inline constexpr const char* run_prelu =
    R"c(static void run_prelu(const uint8_t *in, int32_t in_signed, int32_t size, int32_t channels, int32_t positive,
                      uint8_t positive_shift, const int32_t *multiplier, const uint8_t *shift, int32_t low,
                      int32_t high, uint8_t *codes) {
  int32_t i;
  for (i = 0; i < size; ++i) {
    const int32_t code = read_code(in[i], in_signed), c = i % channels;
    codes[i] = (uint8_t)(code >= 0 ? rescale(code, positive, positive_shift, low, high)
                                   : rescale(code, multiplier[c], shift[c], low, high));
  }
}

)c";

inline constexpr const char* run_relu =
    R"c(static void run_relu(const uint8_t *in, int32_t in_signed, int32_t size, int32_t high, uint8_t *codes) {
  int32_t i;
  for (i = 0; i < size; ++i) {
    const int32_t code = read_code(in[i], in_signed);
    codes[i] = (uint8_t)(code < 0 ? 0 : code > high ? high : code);
  }
}

)c";

inline constexpr const char* run_flatten = R"c(/* height x width x channels to channels x height x width. */
static void run_flatten(const uint8_t *in, int32_t positions, int32_t channels, uint8_t *codes) {
  int32_t p, c;
  for (c = 0; c < channels; ++c) {
    for (p = 0; p < positions; ++p) *codes++ = in[p * channels + c];
  }
}

)c";

inline constexpr const char* put_channels = R"c(/* rows x channels codes become channels of rows x all. */
static void put_channels(const uint8_t *in, int32_t rows, int32_t channels, int32_t all, uint8_t *codes) {
  int32_t r, c;
  for (r = 0; r < rows; ++r) {
    for (c = 0; c < channels; ++c) codes[r * all + c] = in[r * channels + c];
  }
}

)c";

inline constexpr const char* select_channels =
    R"c(static void select_channels(const uint8_t *in, int32_t rows, int32_t channels, const uint16_t *index,
                            int32_t count, uint8_t *codes) {
  int32_t r, k;
  for (r = 0; r < rows; ++r) {
    for (k = 0; k < count; ++k) *codes++ = in[r * channels + index[k]];
  }
}

)c";

inline constexpr const char* run_pad =
    R"c(static void run_pad(const uint8_t *in, int32_t h, int32_t w, int32_t channels, int32_t top, int32_t left,
                    int32_t bottom, int32_t right, uint8_t *codes) {
  int32_t y, x, c;
  for (y = -top; y < h + bottom; ++y) {
    for (x = -left; x < w + right; ++x) {
      const int32_t inside = y >= 0 && y < h && x >= 0 && x < w;
      for (c = 0; c < channels; ++c) *codes++ = inside ? in[(y * w + x) * channels + c] : 0;
    }
  }
}

)c";

inline constexpr const char* run_upsample = R"c(/* Repeats every position `rows` x `columns` times. */
static void run_upsample(const uint8_t *in, int32_t h, int32_t w, int32_t channels, int32_t rows, int32_t columns,
                         uint8_t *codes) {
  int32_t y, x, c;
  for (y = 0; y < h * rows; ++y) {
    for (x = 0; x < w * columns; ++x) {
      for (c = 0; c < channels; ++c) *codes++ = in[(y / rows * w + x / columns) * channels + c];
    }
  }
}

)c";

inline constexpr const char* pool_type = R"c(typedef struct {
  int32_t channels, in_h, in_w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, in_signed;
  int32_t first_y, end_y, first_x, end_x;   /* positions that count towards an average */
} pool;

)c";

inline constexpr const char* overlap = R"c(/* How many of the k positions from `at` on are in [first, end). */
static int32_t overlap(int32_t at, int32_t k, int32_t first, int32_t end) {
  return (at + k < end ? at + k : end) - (at > first ? at : first);
}

)c";

/// {0}: function name; {1}: further parameters; {2}: initial value; {3}, {4}: factors of a window's rows and columns;
/// {5}: statement for each code; {6}: statement for the result.
inline constexpr const char* run_pool = R"c(static void {0}(const pool *p, {1}const uint8_t *in, uint8_t *codes) {{
  int32_t y, x, c, ky, kx;
  for (y = 0; y < p->out_h; ++y) {{
    for (x = 0; x < p->out_w; ++x) {{
      for (c = 0; c < p->channels; ++c) {{
        int32_t value = {2};
        for (ky = 0; ky < p->kernel_h; ++ky) {{
          for (kx = 0; kx < p->kernel_w; ++kx) {{
            const int32_t iy = y * p->stride_h + ky{3} - p->pad_top, ix = x * p->stride_w + kx{4} - p->pad_left;
            if (iy >= 0 && iy < p->in_h && ix >= 0 && ix < p->in_w) {{
              const int32_t code = read_code(in[(iy * p->in_w + ix) * p->channels + c], p->in_signed);
              {5}
            }}
          }}
        }}
        {6}
        *codes++ = (uint8_t)value;
      }}
    }}
  }}
}}

)c";

}  // namespace mixgrad::c_runtime
