// SPDX-License-Identifier: Apache-2.0
// The C99 functions of net.c that compute convolutions and linear layers, as text. See c_runtime.h. Those of
// channels alone are in c_depthwise.h, those that add up products in c_sums.h, and those that unpack and pack codes in
// c_bits.h.
#pragma once

namespace mixgrad::c_layers {

/// Operands and products. {0} to {2}: WEIGHTS_n and ADD_n for DSP instructions, for few registers, and for plain C.
inline constexpr const char* pairs =
    R"c(/* A patch holds the inputs of one output position, or of four: first those of taps 0 and 2 for every position, then
   of taps 1 and 3, 4 and 6, 5 and 7, and so on. Weights come in the same pairs: two fields of a word, 16 bits apart.
   Weights of fewer than 8 bits are unsigned there. */
#ifdef __GNUC__
#define NET_NOINLINE __attribute__((noinline))   /* inlined, it costs its callers registers */
#define NET_UNUSED __attribute__((unused))
typedef uint32_t __attribute__((may_alias)) pair;
#define PAIR(x, i) ((const pair *)(const void *)(x))[i]
#else
#define NET_NOINLINE
#define NET_UNUSED
#endif
#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__) && !defined(__ARM_BIG_ENDIAN)
#include <arm_mve.h>
#define NET_HELIUM   /* vectors of bytes; every position has a patch of its own */
typedef int8_t operand;   /* an input; unsigned ones are less 128, which biases make up for */
#define NET_BIAS(bias, less) ((int32_t)((uint32_t)(bias) + (uint32_t)(less)))
#else
typedef int16_t operand;
#define NET_BIAS(bias, less) (bias)
#endif
#if defined(__AVX2__) && defined(__GNUC__)
#include <immintrin.h>
#define NET_WIDE      /* 16 positions at once, in patches beside the arena: there is memory enough */
#define NET_TILE 16   /* positions at once */
#ifdef __AVX512BW__
typedef __m512i vector;
#define NET_VECTOR(operation) _mm512_##operation
#define NET_BITS(operation) _mm512_##operation##_si512
#else
typedef __m256i vector;
#define NET_VECTOR(operation) _mm256_##operation
#define NET_BITS(operation) _mm256_##operation##_si256
#endif
typedef uint32_t unsigned_words __attribute__((vector_size(sizeof(vector))));
#define NET_SHIFTED(words, bits) (vector)((unsigned_words)(words) >> (bits))
#define NET_VECTORS (int32_t)(4 * NET_TILE / sizeof(vector))
#if defined(__AVX512BW__) && defined(__AVX512VNNI__)
#define NET_ADD_PAIRS(sum, a, b) _mm512_dpwssd_epi32(sum, a, b)
#else
#define NET_ADD_PAIRS(sum, a, b) NET_VECTOR(add_epi32)(sum, NET_VECTOR(madd_epi16)(a, b))
#endif
/* Bytes of a word as pairs of 16-bit numbers; sum + both products of two pairs. */
static inline NET_UNUSED pair even_bytes(uint32_t word) {{ return word & 0x00ff00ffu; }}
static inline NET_UNUSED pair odd_bytes(uint32_t word) {{ return word >> 8 & 0x00ff00ffu; }}
static inline NET_UNUSED pair with_signs(pair bytes) {{
  return (((bytes ^ 0x00800080u) | 0x80008000u) - 0x00800080u) ^ 0x80008000u;
}}
static inline NET_UNUSED pair signed_even_bytes(uint32_t word) {{ return with_signs(even_bytes(word)); }}
static inline NET_UNUSED pair signed_odd_bytes(uint32_t word) {{ return with_signs(odd_bytes(word)); }}
static inline NET_UNUSED int32_t add_both(pair a, pair b, int32_t sum) {{
  return sum + (int16_t)a * (int16_t)b + ((int32_t)a >> 16) * ((int32_t)b >> 16);
}}
#else
#define NET_TILE 4
#endif
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && defined(__GNUC__)
#define NET_DSP   /* two 16-bit products in one instruction */
#ifdef __clang__
#define NET_ASSEMBLER static __attribute__((naked, noinline))
#else
#define NET_ASSEMBLER static __attribute__((naked, noipa))
#endif
#define NET_BYTES(name, instruction) \
  static inline NET_UNUSED pair name(uint32_t word) {{ \
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
/* With saturation. */
static inline NET_UNUSED uint8_t to_byte(int32_t x) {{
  uint32_t out;
  __asm("usat %0, #8, %1" : "=r"(out) : "r"(x));
  return (uint8_t)out;
}}
{0}#elif defined(__thumb__) && !defined(__thumb2__) && defined(__GNUC__) && !defined(__ARM_BIG_ENDIAN)
#define NET_FEW_REGISTERS   /* so one channel at a time, and pairs in one register */
{1}#else
{2}#endif
/* a * b / 2^32 + c */
static inline int32_t add_upper(int32_t a, int32_t b, int32_t c) {{
#ifdef NET_DSP
  int32_t out;
  __asm("smmla %0, %1, %2, %3" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
#else
  return upper_product(a, b) + c;
#endif
}}
#if defined(NET_DSP) || defined(NET_WIDE)
/* Four bytes as a number, the first the lowest. */
static inline NET_UNUSED uint32_t word_at(const uint8_t *b) {{
  return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}}
#endif

)c";

/// {0}: Memory's.
inline constexpr const char* layer_type =
    R"c(/* A convolution; a linear layer is a 1 x 1 convolution. Tensors are height x width x channels. */
typedef struct {{
  int32_t in_h, in_w, in_c, out_h, out_w, out_c;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups;
  int32_t {0}, low, high;
  int32_t up;                /* sums are doubled so many times, which the shift undoes */
  const uint8_t *bits;       /* per weight, for each output channel; 16 more if the weights are odd numbers */
  const uint32_t *weights;
  const int32_t *scale;      /* bias and multiplier of every output channel */
  const uint8_t *shift;
}} layer;

)c";

/// Where weights are unsigned, gathering also adds up the codes: the type it returns, and its lines.
struct AddingUp {
  const char *type, *declare, *pairs, *codes, *code, *result;
  const char *vector, *operand;  ///< {0}: s for signed codes, u for unsigned ones
};
inline constexpr AddingUp not_added = {"void", "", "", "", "", "", "", ""};
inline constexpr AddingUp added = {"int32_t",
                                   "  int32_t sum = 0;\n",
                                   "        sum = add_both(even, 0x00010001u, add_both(odd, 0x00010001u, sum));\n",
                                   "        sum += to[0] + to[1] + to[far] + to[far + 1];\n",
                                   "      sum += code;\n",
                                   "  return sum;\n",
                                   "        \"vaddva.{0}8 %[sum], q0\\n\"\n",
                                   ", [sum] \"+Te\"(sum)"};

/// {0} to {7}: AddingUp; {8}: its suffix; {9}: what begins the names of functions that take bytes apart; {10}: whether
/// codes are signed.
inline constexpr const char* put =
    R"c(/* Writes n codes to one position of a patch, from tap k on; zeros if `from` is null. */
#ifdef NET_HELIUM
static inline {0} put{8}(const uint8_t *from, int32_t n, operand *patch, int32_t positions, int32_t k) {{
  static const uint8_t order[] = {{0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15, 16, 18, 17}};
  const uint8x16_t places = vldrbq_u8(order + (k & 3));
  const int8x16_t sign = vdupq_n_s8({10} ? 0 : -128);
  operand *to = patch + (k & ~3);
{1}  (void)positions, (void)read_code;   /* other processors use them */
  if (from) {{
    __asm volatile(
        "dlstp.8 lr, %[n]\n"
        "1:\n"
        "vldrb.u8 q0, [%[from]], #16\n"
{6}        "veor q0, q0, %q[sign]\n"
        "vstrb.8 q0, [%[to], %q[places]]\n"
        "add %[to], %[to], #16\n"
        "letp lr, 1b\n"
        : [from] "+r"(from), [to] "+r"(to){7}
        : [n] "r"(n), [places] "w"(places), [sign] "w"(sign)
        : "q0", "lr", "memory");
  }} else {{
    for (; n > 0; n -= 16, to += 16) vstrbq_scatter_offset_p_s8(to, places, sign, vctp8q((uint32_t)n));
  }}
{5}}}
#else
static NET_NOINLINE {0} put{8}(const uint8_t *from, int32_t n, operand *patch, int32_t positions, int32_t k) {{
  const int32_t end = k + n, far = 2 * positions;
{1}  while (k < end) {{
    operand *to = patch + (k & ~3) * positions;
    int32_t quads = (end - k) / 4;
    if (k & 3 || quads == 0) {{
      const int32_t code = from ? read_code(*from++, {10}) : 0;
      to[(k & 1) * far + (k >> 1 & 1)] = (operand)code;
{4}      ++k;
      continue;
    }}
    k += 4 * quads;
    if (!from) {{
      for (; quads > 0; --quads, to += 2 * far) to[0] = to[1] = to[far] = to[far + 1] = 0;
    }} else {{
      for (; quads > 0; --quads, from += 4, to += 2 * far) {{
#if defined(NET_DSP) || defined(NET_WIDE)
        const uint32_t word = word_at(from);
        const pair even = {9}even_bytes(word), odd = {9}odd_bytes(word);
        ((pair *)(void *)to)[0] = even;
        ((pair *)(void *)to)[positions] = odd;
{2}#else
        to[0] = (operand)read_code(from[0], {10});
        to[1] = (operand)read_code(from[2], {10});
        to[far] = (operand)read_code(from[1], {10});
        to[far + 1] = (operand)read_code(from[3], {10});
{3}#endif
      }}
    }}
  }}
{5}}}
#endif

)c";

/// {0}: the type it returns; {1}: the sum's declaration; {2}: what is done with the sum of a part; {3}: return; {4}:
/// the function that writes codes; {5}, {6}: Memory's input and bytes.
inline constexpr const char* gather =
    R"c(/* Gathers the inputs of one group at output position (y, x), with zeros outside. */
static {0} gather(const layer *l, const uint8_t *in, int32_t y, int32_t x, int32_t group, operand *patch,
                  int32_t positions{6}) {{
  const int32_t width = l->in_c / l->groups, joined = l->groups == 1 && l->dilation_w == 1;
  const int32_t left = x * l->stride_w - l->pad_left, whole = joined && left >= 0 && left + l->kernel_w <= l->in_w;
  int32_t ky, kx, run, k = 0;
{1}  for (ky = 0; ky < l->kernel_h; ++ky) {{
    const int32_t iy = y * l->stride_h + ky * l->dilation_h - l->pad_top;
    for (kx = 0; kx < l->kernel_w; kx += run, k += run * width) {{
      const int32_t ix = left + kx * l->dilation_w;
      int32_t inside = iy >= 0 && iy < l->in_h;
      run = l->kernel_w - kx;
      if (!whole) {{   /* the next columns that are all inside, or all outside */
        const int32_t alike = !joined ? 1 : ix < 0 ? -ix : l->in_w - ix;
        if (alike > 0 && alike < run) run = alike;
        if (ix < 0 || ix >= l->in_w) inside = 0;
      }}
      {2}{4}(inside ? {5} : 0, run * width, patch, positions, k);
    }}
  }}
{3}}}

)c";

inline constexpr const char* gather_apart =
    R"c(/* The same for a transposed convolution, which reads rows and columns of the input as if they were more than one
   apart, with zeros between. */
static {0} gather_apart(const layer *l, int32_t apart_h, int32_t apart_w, const uint8_t *in, int32_t y, int32_t x,
                        int32_t group, operand *patch, int32_t positions{6}) {{
  const int32_t width = l->in_c / l->groups, row = ((l->in_w - 1) / apart_w + 1) * l->in_c;
  int32_t ky, kx, k = 0;
{1}  for (ky = 0; ky < l->kernel_h; ++ky) {{
    const int32_t iy = y * l->stride_h + ky * l->dilation_h - l->pad_top;
    for (kx = 0; kx < l->kernel_w; ++kx, k += width) {{
      const int32_t ix = x * l->stride_w + kx * l->dilation_w - l->pad_left;
      const uint8_t *from = 0;
      if (iy >= 0 && iy < l->in_h && iy % apart_h == 0 && ix >= 0 && ix < l->in_w && ix % apart_w == 0)
        from = {5};
      {2}{4}(from, width, patch, positions, k);
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

/// {0} to {4}: Mending; {5}: " * doubled" if sums of a layer are doubled; {6}: its definition.
inline constexpr const char* put_results =
    R"c(/* Rescales the sums of neighbouring channels, each at up to four positions of a tile, to codes or, if `wide` is not
   null, to 32-bit results. The first is result `at`.{3} */
static void put_results(const layer *l, int32_t c, int32_t channels, const int32_t *sums,{0} int32_t positions,
                        int32_t at, uint8_t *codes, int32_t *wide) {{
  const int32_t low = l->low, high = l->high, step = l->out_c, end = c + channels;
  const int32_t usual = positions == 4 && !wide;
  const int32_t *scale = l->scale + 2 * c;
  const uint8_t *shifts = l->shift;
  uint8_t *to = wide ? 0 : codes + at;
{6}  int32_t p;
#define NET_SUM(p) ((bias + {2}){5})
#define NET_RESULT(p) (add_upper(NET_SUM(p), multiplier, half) >> shift)
#define NET_NEXT ++c, ++to, scale += 2, sums += NET_TILE
#ifdef NET_HELIUM
  const uint32x4_t apart = vidupq_n_u32(0, 1) * (uint32_t)step;
  for (; usual && c < end && shifts[c] > 32; NET_NEXT) {{
    const int32_t bias = scale[0], multiplier = scale[1], shift = shifts[c] - 32;
    int32x4_t y = vld1q_s32(sums);
{1}{4}    y = vmulhq_s32(vshlq_r_s32(vaddq_n_s32(y, bias), l->up), vdupq_n_s32(multiplier));
    y = vrshlq_n_s32(y, -shift);
    y = vminq_s32(vmaxq_s32(y, vdupq_n_s32(low)), vdupq_n_s32(high));
    vstrbq_scatter_offset_s32((int8_t *)to, apart, y);
  }}
#elif defined(NET_DSP)
  for (; usual && low == 0 && high == 255 && c < end && shifts[c] > 32; NET_NEXT) {{
    const int32_t bias = scale[0], multiplier = scale[1], shift = shifts[c] - 32, half = 1 << (shift - 1);
{1}    to[0] = to_byte(NET_RESULT(0));
    to[step] = to_byte(NET_RESULT(1));
    to += 2 * step;
    to[0] = to_byte(NET_RESULT(2));
    to[step] = to_byte(NET_RESULT(3));
    to -= 2 * step;
  }}
#endif
  for (; usual && c < end && shifts[c] > 32; NET_NEXT) {{
    const int32_t bias = scale[0], multiplier = scale[1], shift = shifts[c] - 32, half = 1 << (shift - 1);
{1}    to[0] = (uint8_t)clamp(NET_RESULT(0), low, high);
    to[step] = (uint8_t)clamp(NET_RESULT(1), low, high);
    to += 2 * step;
    to[0] = (uint8_t)clamp(NET_RESULT(2), low, high);
    to[step] = (uint8_t)clamp(NET_RESULT(3), low, high);
    to -= 2 * step;
  }}
  for (at += c - (end - channels); c < end; ++c, ++at, scale += 2, sums += NET_TILE) {{
    const int32_t bias = scale[0], multiplier = scale[1];
    const uint8_t shift = shifts[c];
{1}    for (p = 0; p < positions; ++p) {{
      const int32_t code = rescale(NET_SUM(p), multiplier, shift, low, high);
      if (wide) wide[at + p * step] = code;
      else codes[at + p * step] = (uint8_t)code;
    }}
  }}
}}

)c";

/// {0}: the choice of a function that adds up; {1}: the declaration of the codes' totals; {2}: the call of a function
/// that gathers; {3}: the argument; {4}: the parameters that transposed convolutions add; {5} to {9}: Memory's buffers,
/// wide, row, target and pack.
inline constexpr const char* run_layer =
    R"c(/* Writes codes, or the network's 32-bit results to `wide`. The patch has one position or four, each of `padded` codes. */
static void run_layer(const layer *l, {4}const uint8_t *in, operand *patch, int32_t positions, int32_t padded,
                      uint8_t *codes, int32_t *wide{5}) {{
  const int32_t taps = l->kernel_h * l->kernel_w * (l->in_c / l->groups), per_group = l->out_c / l->groups;
  const int32_t all = l->out_h * l->out_w;
#ifdef NET_WIDE
  static operand wide_patch[NET_TILE * NET_LONGEST_PATCH];
{6}  if (positions > 1) positions = NET_TILE, patch = wide_patch;
  /* A group writes its results before the next one reads, so groups go no further ahead than memory is planned for. */
  const int32_t ahead = l->groups > 1 && positions > 4 ? 4 : positions;
#else
  const int32_t ahead = positions;
#endif
#ifdef NET_HELIUM
  const int32_t lanes = 1, next = padded;
#else
  const int32_t lanes = positions, next = 2;   /* positions side by side, and from one to the next */
#endif
  const operand *patch_end = patch;
  int32_t at, group, p, c, k, kind = 0, words = 0;
  for (p = 0; p < positions / lanes; ++p) {{
    for (k = (taps & ~3) * lanes; k < padded * lanes; ++k) patch[p * padded + k] = 0;
  }}
  for (at = 0; at < all; at += ahead) {{
    const int32_t left = all - at < ahead ? all - at : ahead;
    const uint32_t *w = l->weights;
    for (group = 0; group < l->groups; ++group) {{
      const int32_t end = (group + 1) * per_group;
      int32_t channels{1};
      for (p = 0; p < ahead; ++p) {{
        const int32_t position = at + (p < left ? p : left - 1);
        {2};
      }}
      for (c = group * per_group; c < end;) {{
        const int32_t first = c;
        int32_t sums[NET_TILE * 8];
        for (; c < end && c < first + 7; c += channels) {{
          if (l->bits[c] != kind) {{
            kind = l->bits[c];
            words = (taps * (kind & 15) + 31) >> 5;
            patch_end = patch + words * (32 / (kind & 15)) * lanes;
          }}
          channels = c + 1 < end && l->bits[c + 1] == kind ? 2 : 1;
#ifdef NET_HELIUM
          sums[NET_TILE * (c - first)] = padded;   /* from one position's patch to the next */
#endif
{0}          w += words * channels;
        }}
        for (p = 0; p < left; p += 4)
          put_results(l, first, c - first, sums + p,{3} left - p < 4 ? left - p : 4, {7}, {8}, wide);
      }}
    }}
{9}  }}
}}

)c";

}  // namespace mixgrad::c_layers
