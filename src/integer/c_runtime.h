// SPDX-License-Identifier: Apache-2.0
// The C99 functions that net.c consists of, as text. A package contains only those that its network needs, so that none
// is unused.
#pragma once

namespace mixgrad::c_runtime {

inline constexpr const char* read_code =
    R"c(/* A code as a number: bytes of signed tensors are in two's complement. */
static inline int32_t read_code(uint8_t code, int32_t is_signed) {
  return is_signed ? (int32_t)(code ^ 0x80u) - 0x80 : (int32_t)code;
}

)c";

/// Access to the codes of a tensor by index, where each is a byte. `kind`: whether they are signed.
inline constexpr const char* read_byte =
    R"c(static inline int32_t read_at(const uint8_t *codes, int32_t i, int32_t kind) {
  return read_code(codes[i], kind);
}

)c";
inline constexpr const char* write_byte =
    R"c(static inline void write_at(uint8_t *codes, int32_t i, int32_t kind, int32_t code) {
  (void)kind;
  codes[i] = (uint8_t)code;
}

)c";
inline constexpr const char* copy_byte =
    R"c(static inline void copy_code(const uint8_t *from, int32_t i, int32_t from_kind, uint8_t *to, int32_t k,
                             int32_t to_kind) {
  (void)from_kind, (void)to_kind;
  to[k] = from[i];
}

)c";

/// The same where codes of fewer than 8 bits share bytes.
inline constexpr const char* read_bits =
    R"c(/* Codes are 1, 2, 4 or 8 bits wide, the first in the lowest bits. `kind`: twice the width, plus 1 if they are signed,
   which means in two's complement. */
static int32_t read_at(const uint8_t *codes, int32_t i, int32_t kind) {
  const int32_t bits = kind >> 1, top = (kind & 1) << (bits - 1), at = i * bits;
  return ((codes[at >> 3] >> (at & 7) & ((1 << bits) - 1)) ^ top) - top;
}

)c";
inline constexpr const char* write_bits =
    R"c(static void write_at(uint8_t *codes, int32_t i, int32_t kind, int32_t code) {
  const int32_t bits = kind >> 1, at = i * bits;
  const uint32_t mask = ((1u << bits) - 1) << (at & 7);
  uint8_t *byte = codes + (at >> 3);
  *byte = (uint8_t)((*byte & ~mask) | ((uint32_t)code << (at & 7) & mask));
}

)c";
inline constexpr const char* copy_bits =
    R"c(static void copy_code(const uint8_t *from, int32_t i, int32_t from_kind, uint8_t *to, int32_t k, int32_t to_kind) {
  write_at(to, k, to_kind, read_at(from, i, from_kind));
}

)c";

inline constexpr const char* rescale =
    R"c(static inline int32_t clamp(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }
static inline int32_t upper_product(int32_t a, int32_t b) { return (int32_t)((int64_t)a * b >> 32); }

/* x * multiplier / 2^shift, ties up, clamped to [low, high]. (Right shifts of negative numbers are arithmetic
   on every common compiler.) For a shift of at least 33, the upper half of the product is enough. */
static int32_t rescale(int32_t x, int32_t multiplier, uint8_t shift, int32_t low, int32_t high) {
  int64_t y;
  if (shift > 32) return clamp(((upper_product(x, multiplier) >> (shift - 33)) + 1) >> 1, low, high);
  y = ((int64_t)x * multiplier + (shift > 0 ? (int64_t)1 << (shift - 1) : 0)) >> shift;
  return y < low ? low : y > high ? high : (int32_t)y;
}

)c";

inline constexpr const char* run_add =
    R"c(/* a + b, codes of the same quantizer. `factor`, a power of 2, is undone by the shift. */
static void run_add(const uint8_t *a, int32_t a_kind, const uint8_t *b, int32_t b_kind, int32_t size, int32_t factor,
                    int32_t multiplier, uint8_t shift, int32_t low, int32_t high, uint8_t *codes, int32_t *wide,
                    int32_t kind) {
  int32_t i;
  for (i = 0; i < size; ++i) {
    const int32_t sum = read_at(a, i, a_kind) + read_at(b, i, b_kind);
    const int32_t code = rescale(sum * factor, multiplier, shift, low, high);
    if (wide) wide[i] = code;
    else write_at(codes, i, kind, code);
  }
}

)c";

/// From the last position to the first: the product may take the place of either operand, even of the factors.
inline constexpr const char* run_mul =
    R"c(/* a * b; b has as many codes as a, or one for each channel. `factor`, a power of 2, is undone by the shift. */
static void run_mul(const uint8_t *a, int32_t a_kind, const uint8_t *b, int32_t b_kind, int32_t size, int32_t channels,
                    int32_t factor, int32_t multiplier, uint8_t shift, int32_t low, int32_t high, uint8_t *codes,
                    int32_t *wide, int32_t kind) {
  int32_t i;
  for (i = size - 1; i >= 0; --i) {
    const int32_t product = read_at(a, i, a_kind) * read_at(b, i % channels, b_kind);
    const int32_t code = rescale(product * factor, multiplier, shift, low, high);
    if (wide) wide[i] = code;
    else write_at(codes, i, kind, code);
  }
}

)c";

inline constexpr const char* run_table =
    R"c(/* table[0] is for the code -zero. */
static void run_table(const uint8_t *in, int32_t in_kind, int32_t size, const uint8_t *table, int32_t zero,
                      uint8_t *codes, int32_t kind) {
  int32_t i;
  for (i = 0; i < size; ++i) write_at(codes, i, kind, table[read_at(in, i, in_kind) + zero]);
}

)c";

inline constexpr const char* run_prelu =
    R"c(static void run_prelu(const uint8_t *in, int32_t in_kind, int32_t size, int32_t channels, int32_t positive,
                      uint8_t positive_shift, const int32_t *multiplier, const uint8_t *shift, int32_t low,
                      int32_t high, uint8_t *codes, int32_t kind) {
  int32_t i;
  for (i = 0; i < size; ++i) {
    const int32_t code = read_at(in, i, in_kind), c = i % channels;
    write_at(codes, i, kind, code >= 0 ? rescale(code, positive, positive_shift, low, high)
                                       : rescale(code, multiplier[c], shift[c], low, high));
  }
}

)c";

inline constexpr const char* run_relu =
    R"c(static void run_relu(const uint8_t *in, int32_t in_kind, int32_t size, int32_t high, uint8_t *codes,
                     int32_t kind) {
  int32_t i;
  for (i = 0; i < size; ++i) {
    const int32_t code = read_at(in, i, in_kind);
    write_at(codes, i, kind, code < 0 ? 0 : code > high ? high : code);
  }
}

)c";

inline constexpr const char* run_flatten = R"c(/* height x width x channels to channels x height x width. */
static void run_flatten(const uint8_t *in, int32_t in_kind, int32_t positions, int32_t channels, uint8_t *codes,
                        int32_t kind) {
  int32_t p, c, k = 0;
  for (c = 0; c < channels; ++c) {
    for (p = 0; p < positions; ++p) copy_code(in, p * channels + c, in_kind, codes, k++, kind);
  }
}

)c";

inline constexpr const char* put_channels =
    R"c(/* rows x channels codes become channels of rows x all, from channel `at` on. */
static void put_channels(const uint8_t *in, int32_t in_kind, int32_t rows, int32_t channels, int32_t all, int32_t at,
                         uint8_t *codes, int32_t kind) {
  int32_t r, c;
  for (r = 0; r < rows; ++r) {
    for (c = 0; c < channels; ++c) copy_code(in, r * channels + c, in_kind, codes, r * all + at + c, kind);
  }
}

)c";

inline constexpr const char* select_channels =
    R"c(static void select_channels(const uint8_t *in, int32_t in_kind, int32_t rows, int32_t channels,
                            const uint16_t *index, int32_t count, uint8_t *codes, int32_t kind) {
  int32_t r, k;
  for (r = 0; r < rows; ++r) {
    for (k = 0; k < count; ++k) copy_code(in, r * channels + index[k], in_kind, codes, r * count + k, kind);
  }
}

)c";

inline constexpr const char* run_pad =
    R"c(static void run_pad(const uint8_t *in, int32_t in_kind, int32_t h, int32_t w, int32_t channels, int32_t top,
                    int32_t left, int32_t bottom, int32_t right, uint8_t *codes, int32_t kind) {
  int32_t y, x, c, k = 0;
  for (y = -top; y < h + bottom; ++y) {
    for (x = -left; x < w + right; ++x) {
      const int32_t inside = y >= 0 && y < h && x >= 0 && x < w;
      for (c = 0; c < channels; ++c, ++k) {
        if (inside) copy_code(in, (y * w + x) * channels + c, in_kind, codes, k, kind);
        else write_at(codes, k, kind, 0);
      }
    }
  }
}

)c";

inline constexpr const char* run_upsample = R"c(/* Repeats every position `rows` x `columns` times. */
static void run_upsample(const uint8_t *in, int32_t in_kind, int32_t h, int32_t w, int32_t channels, int32_t rows,
                         int32_t columns, uint8_t *codes, int32_t kind) {
  int32_t y, x, c, k = 0;
  for (y = 0; y < h * rows; ++y) {
    for (x = 0; x < w * columns; ++x) {
      for (c = 0; c < channels; ++c)
        copy_code(in, (y / rows * w + x / columns) * channels + c, in_kind, codes, k++, kind);
    }
  }
}

)c";

inline constexpr const char* pool_type = R"c(typedef struct {
  int32_t channels, in_h, in_w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, in_kind;
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
inline constexpr const char* run_pool =
    R"c(static void {0}(const pool *p, {1}const uint8_t *in, uint8_t *codes, int32_t kind) {{
  int32_t y, x, c, ky, kx, k = 0;
  for (y = 0; y < p->out_h; ++y) {{
    for (x = 0; x < p->out_w; ++x) {{
      for (c = 0; c < p->channels; ++c) {{
        int32_t value = {2};
        for (ky = 0; ky < p->kernel_h; ++ky) {{
          for (kx = 0; kx < p->kernel_w; ++kx) {{
            const int32_t iy = y * p->stride_h + ky{3} - p->pad_top, ix = x * p->stride_w + kx{4} - p->pad_left;
            if (iy >= 0 && iy < p->in_h && ix >= 0 && ix < p->in_w) {{
              const int32_t code = read_at(in, (iy * p->in_w + ix) * p->channels + c, p->in_kind);
              {5}
            }}
          }}
        }}
        {6}
        write_at(codes, k++, kind, value);
      }}
    }}
  }}
}}

)c";

}  // namespace mixgrad::c_runtime
