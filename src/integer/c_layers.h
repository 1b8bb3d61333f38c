// SPDX-License-Identifier: Apache-2.0
// The C99 functions of net.c that compute convolutions and linear layers, as text. See c_runtime.h. Those of
// channels alone are in c_depthwise.h, and those that add up products in c_sums.h.
#pragma once

namespace mixgrad::c_layers {

/// Operands and products. {0} to {2}: WEIGHTS_n and ADD_n for DSP instructions, for few registers, and for plain C.
inline constexpr const char* pairs =
    R"c(/* A patch holds the inputs of one output position, or of four, as 16-bit numbers: first those of taps 0 and 2 for
   every position, then of taps 1 and 3, 4 and 6, 5 and 7, and so on. Weights come in the same pairs: two fields of a
   word, 16 bits apart. Weights of fewer than 8 bits are unsigned there. */
#ifdef __GNUC__
#define NET_NOINLINE __attribute__((noinline))   /* inlined, it costs its callers registers */
typedef uint32_t __attribute__((may_alias)) pair;
#define PAIR(x, i) ((const pair *)(const void *)(x))[i]
#else
#define NET_NOINLINE
#endif
#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__)
#include <arm_mve.h>
#define NET_HELIUM   /* vectors; every position has a patch of its own */
#endif
#ifdef __AVX2__
#include <immintrin.h>
#endif
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && defined(__GNUC__)
#define NET_DSP   /* two 16-bit products in one instruction */
#define NET_UNUSED __attribute__((unused))
#ifdef __clang__
#define NET_ASSEMBLER static __attribute__((naked, noinline))
#else
#define NET_ASSEMBLER static __attribute__((naked, noipa))
#endif
#define NET_BYTES(name, instruction) \
  static inline pair name(uint32_t word) {{ \
    pair out; \
    __asm(instruction : "=r"(out) : "r"(word)); \
    return out; \
  }}
#define NET_PRODUCTS(name, instruction) \
  static inline NET_UNUSED int32_t name(pair a, pair b, int32_t sum) {{ \
    __asm(instruction " %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b)); \
    return sum; \
  }}
NET_BYTES(even_bytes, "uxtb16 %0, %1")
NET_BYTES(odd_bytes, "uxtb16 %0, %1, ror #8")
NET_BYTES(signed_even_bytes, "sxtb16 %0, %1")
NET_BYTES(signed_odd_bytes, "sxtb16 %0, %1, ror #8")
NET_PRODUCTS(add_both, "smlad")
NET_PRODUCTS(add_low, "smlabb")
NET_PRODUCTS(add_high, "smlatt")
/* x / 2 as a byte, with saturation. */
static inline uint8_t half_to_byte(int32_t x) {{
  uint32_t out;
  __asm("usat %0, #8, %1, asr #1" : "=r"(out) : "r"(x));
  return (uint8_t)out;
}}
{0}#elif defined(__thumb__) && !defined(__thumb2__) && defined(__GNUC__) && !defined(__ARM_BIG_ENDIAN)
#define NET_FEW_REGISTERS   /* so one channel at a time, and pairs in one register */
{1}#else
{2}#endif
#if defined(NET_DSP) || defined(__AVX2__)
/* Four bytes as a number, the first the lowest. */
static inline uint32_t word_at(const uint8_t *b) {{
  return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}}
#endif

)c";

inline constexpr const char* layer_type =
    R"c(/* A convolution; a linear layer is a 1 x 1 convolution. Tensors are height x width x channels. */
typedef struct {
  int32_t in_h, in_w, in_c, out_h, out_w, out_c;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups;
  int32_t in_signed, low, high;
  int32_t up;                /* sums are doubled so many times, which the shift undoes */
  const uint8_t *bits;       /* per weight, for each output channel; 16 more if the weights are odd numbers */
  const uint32_t *weights;
  const int32_t *scale;      /* bias and multiplier of every output channel */
  const uint8_t *shift;
} layer;

)c";

/// Where weights are unsigned, gathering also adds up the codes: the type it returns, and its lines.
struct AddingUp {
  const char *type, *declare, *pairs, *codes, *code, *result, *vector;
};
inline constexpr AddingUp not_added = {"void", "", "", "", "", "", ""};
inline constexpr AddingUp added = {"int32_t",
                                   "  int32_t sum = 0;\n",
                                   "        sum = add_both(even, 0x00010001u, add_both(odd, 0x00010001u, sum));\n",
                                   "        sum += to[0] + to[1] + to[far] + to[far + 1];\n",
                                   "      sum += code;\n",
                                   "  return sum;\n",
                                   "        sum = vaddvaq_s16(sum, eight);\n"};

/// {0} to {6}: AddingUp.
inline constexpr const char* put =
    R"c(/* Writes n codes to one position of a patch, from tap k on; zeros if `from` is null. */
static NET_NOINLINE {0} put(const uint8_t *from, int32_t n, int32_t is_signed, int16_t *patch, int32_t positions, int32_t k) {{
  const int32_t end = k + n, far = 2 * positions;
{1}  while (k < end) {{
    int16_t *to = patch + (k & ~3) * positions;
    if (k & 3 || end - k < 4) {{
      const int32_t code = from ? read_code(*from++, is_signed) : 0;
      to[(k & 1 ? far : 0) + (k >> 1 & 1)] = (int16_t)code;
{4}      ++k;
    }} else if (!from) {{
      for (; end - k >= 4; k += 4, to += 2 * far) to[0] = to[1] = to[far] = to[far + 1] = 0;
    }} else {{
#ifdef NET_HELIUM
      const uint16x8_t order = {{0, 2, 1, 3, 4, 6, 5, 7}};
      const int16x8_t sign = vdupq_n_s16(is_signed ? 0x80 : 0);
      for (; end - k >= 8; k += 8, from += 8, to += 8) {{
        const int16x8_t bytes = vreinterpretq_s16_u16(vldrbq_gather_offset_u16(from, order));
        const int16x8_t eight = vsubq_s16(veorq_s16(bytes, sign), sign);
        vst1q_s16(to, eight);
{6}      }}
#endif
      for (; end - k >= 4; k += 4, from += 4, to += 2 * far) {{
#ifdef __AVX2__
        const __m128i bytes = _mm_cvtsi32_si128((int32_t)word_at(from));
        const __m128i numbers = is_signed ? _mm_cvtepi8_epi16(bytes) : _mm_cvtepu8_epi16(bytes);
        const __m128i sorted = _mm_shufflelo_epi16(numbers, 0xd8);
        *(pair *)(void *)to = (uint32_t)_mm_cvtsi128_si32(sorted);
        *(pair *)(void *)(to + far) = (uint32_t)_mm_extract_epi32(sorted, 1);
{3}#elif defined(NET_DSP)
        const uint32_t word = word_at(from);
        const pair even = is_signed ? signed_even_bytes(word) : even_bytes(word);
        const pair odd = is_signed ? signed_odd_bytes(word) : odd_bytes(word);
        ((pair *)(void *)to)[0] = even;
        ((pair *)(void *)to)[positions] = odd;
{2}#else
        to[0] = (int16_t)read_code(from[0], is_signed);
        to[1] = (int16_t)read_code(from[2], is_signed);
        to[far] = (int16_t)read_code(from[1], is_signed);
        to[far + 1] = (int16_t)read_code(from[3], is_signed);
{3}#endif
      }}
    }}
  }}
{5}}}

)c";

/// {0}: the type it returns; {1}: the sum's declaration; {2}: what is done with the sum of a part; {3}: return.
inline constexpr const char* gather =
    R"c(/* Gathers the inputs of one group at output position (y, x), with zeros outside. */
static {0} gather(const layer *l, const uint8_t *in, int32_t y, int32_t x, int32_t group, int16_t *patch,
                  int32_t positions) {{
  const int32_t width = l->in_c / l->groups, joined = l->groups == 1 && l->dilation_w == 1;
  int32_t ky, kx, run, k = 0;
{1}  for (ky = 0; ky < l->kernel_h; ++ky) {{
    const int32_t iy = y * l->stride_h + ky * l->dilation_h - l->pad_top, inside = iy >= 0 && iy < l->in_h;
    for (kx = 0; kx < l->kernel_w; kx += run, k += run * width) {{
      const int32_t ix = x * l->stride_w + kx * l->dilation_w - l->pad_left, rest = l->kernel_w - kx;
      const uint8_t *from = 0;
      int32_t alike = 1;   /* the next columns that are inside, or not */
      if (inside && ix >= 0 && ix < l->in_w) {{
        from = in + (iy * l->in_w + ix) * l->in_c + group * width;
        if (joined) alike = l->in_w - ix;
      }} else if (joined) {{
        alike = inside && ix < 0 ? -ix : rest;
      }}
      run = alike < rest ? alike : rest;
      {2}put(from, run * width, l->in_signed, patch, positions, k);
    }}
  }}
{3}}}

)c";

inline constexpr const char* gather_apart =
    R"c(/* Gathers the inputs of one group at output position (y, x), with zeros outside. A transposed convolution reads rows
   and columns of the input that are more than one apart, with zeros between. */
static {0} gather(const layer *l, int32_t apart_h, int32_t apart_w, const uint8_t *in, int32_t y, int32_t x,
                  int32_t group, int16_t *patch, int32_t positions) {{
  const int32_t width = l->in_c / l->groups, row = ((l->in_w - 1) / apart_w + 1) * l->in_c;
  int32_t ky, kx, k = 0;
{1}  for (ky = 0; ky < l->kernel_h; ++ky) {{
    const int32_t iy = y * l->stride_h + ky * l->dilation_h - l->pad_top;
    for (kx = 0; kx < l->kernel_w; ++kx, k += width) {{
      const int32_t ix = x * l->stride_w + kx * l->dilation_w - l->pad_left;
      const uint8_t *from = 0;
      if (iy >= 0 && iy < l->in_h && iy % apart_h == 0 && ix >= 0 && ix < l->in_w && ix % apart_w == 0)
        from = in + iy / apart_h * row + ix / apart_w * l->in_c + group * width;
      {2}put(from, width, l->in_signed, patch, positions, k);
    }}
  }}
{3}}}

)c";

/// Unsigned weights u stand for u - 2^(bits - 1), or odd ones for 2 u - 2^bits + 1, so that their sums are mended by
/// the sum of the codes: put_results has a parameter, constants and an expression for it, and its comment a sentence.
struct Mending {
  const char *parameter, *constants, *sum, *comment, *vector;
};
inline constexpr Mending not_mended = {"", "", "sums[p]", "", ""};
inline constexpr Mending mended = {
    " const int32_t *totals,",
    "    const int32_t bits = totals ? l->bits[c] & 15 : 8, odd = totals ? l->bits[c] >> 4 : 0, factor = 1 + odd;\n"
    "    const int32_t offset = bits == 8 ? 0 : odd ? (1 << bits) - 1 : 1 << (bits - 1);\n",
    "factor * sums[p] - (offset ? offset * totals[p] : 0)",
    " `totals` are\n   those of the codes, null if no weights are unsigned.",
    "    if (offset) y = vsubq_s32(vmulq_n_s32(y, factor), vmulq_n_s32(vld1q_s32(totals), offset));\n"};

/// {0} to {4}: Mending; {5}: " * twice" if sums of a layer are doubled; {6}: its definition.
inline constexpr const char* put_results =
    R"c(/* Rescales the sums of neighbouring channels, each at up to four positions, to codes or, if `wide` is not null, to
   32-bit results. The first is result `at`.{3} */
static void put_results(const layer *l, int32_t c, int32_t channels, const int32_t *sums,{0} int32_t positions,
                        int32_t at, uint8_t *codes, int32_t *wide) {{
  const int32_t low = l->low, high = l->high, step = l->out_c, end = c + channels;
  const int32_t usual = positions == 4 && !wide;
  uint8_t *to = wide ? 0 : codes + at;
{6}  int32_t p;
#define NET_SUM(p) ((bias + {2}){5})
#define NET_HALF(p) ((upper_product(NET_SUM(p), multiplier) >> shift) + 1)
#ifdef NET_HELIUM
  const uint32x4_t apart = vidupq_n_u32(0, 1) * (uint32_t)step;
  for (; usual && c < end && l->shift[c] > 32; ++c, ++to, sums += 4) {{
    const int32_t bias = l->scale[2 * c], multiplier = l->scale[2 * c + 1], shift = l->shift[c] - 33;
    int32x4_t y = vld1q_s32(sums);
{1}{4}    y = vmulhq_s32(vshlq_r_s32(vaddq_n_s32(y, bias), l->up), vdupq_n_s32(multiplier));
    y = vshrq_n_s32(vaddq_n_s32(vshlq_r_s32(y, -shift), 1), 1);
    y = vminq_s32(vmaxq_s32(y, vdupq_n_s32(low)), vdupq_n_s32(high));
    vstrbq_scatter_offset_s32((int8_t *)to, apart, y);
  }}
#elif defined(NET_DSP)
  for (; usual && low == 0 && high == 255 && c < end && l->shift[c] > 32; ++c, ++to, sums += 4) {{
    const int32_t bias = l->scale[2 * c], multiplier = l->scale[2 * c + 1], shift = l->shift[c] - 33;
{1}    to[0] = half_to_byte(NET_HALF(0));
    to[step] = half_to_byte(NET_HALF(1));
    to[2 * step] = half_to_byte(NET_HALF(2));
    to[3 * step] = half_to_byte(NET_HALF(3));
  }}
#endif
  for (; usual && c < end && l->shift[c] > 32; ++c, ++to, sums += 4) {{
    const int32_t bias = l->scale[2 * c], multiplier = l->scale[2 * c + 1], shift = l->shift[c] - 33;
{1}    to[0] = (uint8_t)clamp(NET_HALF(0) >> 1, low, high);
    to[step] = (uint8_t)clamp(NET_HALF(1) >> 1, low, high);
    to[2 * step] = (uint8_t)clamp(NET_HALF(2) >> 1, low, high);
    to[3 * step] = (uint8_t)clamp(NET_HALF(3) >> 1, low, high);
  }}
  for (at += c - (end - channels); c < end; ++c, ++at, sums += 4) {{
    const int32_t bias = l->scale[2 * c], multiplier = l->scale[2 * c + 1];
    const uint8_t shift = l->shift[c];
{1}    for (p = 0; p < positions; ++p) {{
      const int32_t code = rescale(NET_SUM(p), multiplier, shift, low, high);
      if (wide) wide[at + p * step] = code;
      else codes[at + p * step] = (uint8_t)code;
    }}
  }}
}}

)c";

/// {0}: the choice of a function that adds up; {1}: the declaration of the codes' totals; {2}: their assignment; {3}:
/// the argument; {4}, {5}: the parameters that transposed convolutions add, and the same as arguments of gather.
inline constexpr const char* run_layer =
    R"c(/* Writes codes, or the network's 32-bit results to `wide`. The patch has one position or four, each of `padded` codes. */
static void run_layer(const layer *l, {4}const uint8_t *in, int16_t *patch, int32_t positions, int32_t padded,
                      uint8_t *codes, int32_t *wide) {{
  const int32_t taps = l->kernel_h * l->kernel_w * (l->in_c / l->groups), per_group = l->out_c / l->groups;
  const int32_t all = l->out_h * l->out_w;
#ifdef NET_HELIUM
  const int32_t lanes = 1, next = padded;
#else
  const int32_t lanes = positions, next = 2;   /* positions side by side, and from one to the next */
#endif
  const int16_t *patch_end = patch;
  int32_t at, group, p, c, k, kind = 0, words = 0;
  for (p = 0; p < positions / lanes; ++p) {{
    for (k = (taps & ~3) * lanes; k < padded * lanes; ++k) patch[p * padded + k] = 0;
  }}
  for (at = 0; at < all; at += positions) {{
    const int32_t left = all - at < positions ? all - at : positions;
    const uint32_t *w = l->weights;
    for (group = 0; group < l->groups; ++group) {{
      const int32_t end = (group + 1) * per_group;
      int32_t channels{1};
      for (p = 0; p < positions; ++p) {{
        const int32_t position = at + (p < left ? p : left - 1);
        {2}gather(l, {5}in, position / l->out_w, position % l->out_w, group, patch + next * p, lanes);
      }}
      for (c = group * per_group; c < end;) {{
        const int32_t first = c;
        int32_t sums[4 * 8];
        for (; c < end && c < first + 7; c += channels) {{
          if (l->bits[c] != kind) {{
            kind = l->bits[c];
            words = (taps * (kind & 15) + 31) / 32;
            patch_end = patch + words * (32 / (kind & 15)) * lanes;
          }}
          channels = c + 1 < end && l->bits[c + 1] == kind ? 2 : 1;
#ifdef NET_HELIUM
          sums[4 * (c - first)] = padded;   /* from one position's patch to the next */
#endif
{0}          w += words * channels;
        }}
        put_results(l, first, c - first, sums,{3} left, at * l->out_c + first, codes, wide);
      }}
    }}
  }}
}}

)c";

}  // namespace mixgrad::c_layers
