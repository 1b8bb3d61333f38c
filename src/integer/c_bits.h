// SPDX-License-Identifier: Apache-2.0
// What layers in C need where codes of fewer than 8 bits share bytes, as text. See c_runtime.h.
#pragma once

namespace mixgrad::c_bits {

/// What depends on whether codes share bytes.
struct Memory {
  const char *kind, *is_signed;      ///< a field of the layer, and what it says of the input
  const char* input;                 ///< the bytes of codes, given the index of the first and their number
  const char *bytes, *bytes_of;      ///< the parameter for unpacked codes of a row of the kernel; its argument
  const char* few_bytes;             ///< the variable for those of four channels
  const char *buffers, *results;     ///< parameters of run_layer and run_depthwise
  const char* wide;                  ///< what NET_WIDE has instead of the results' buffer
  const char *row, *alone, *target;  ///< the index of a position's first result, of that of four channels; its memory
  const char *pack, *pack_alone;     ///< what follows when all channels, or four, have results
};
inline constexpr Memory of_bytes = {.kind = "in_signed",
                                    .is_signed = "l->in_signed",
                                    .input = "in + {0}",
                                    .bytes = "",
                                    .bytes_of = "",
                                    .few_bytes = "",
                                    .buffers = "",
                                    .results = "",
                                    .wide = "",
                                    .row = "(at + p) * l->out_c + first",
                                    .alone = "at",
                                    .target = "codes",
                                    .pack = "",
                                    .pack_alone = ""};
inline constexpr Memory of_bits = {
    .kind = "kinds",
    .is_signed = "l->kinds & 1",
    .input = "codes_at(in, {0}, {1}, l->kinds & 255, bytes)",
    .bytes = ", uint8_t *bytes",
    .bytes_of = ", bytes",
    .few_bytes = "    uint8_t bytes[4 + 7];\n",
    .buffers = ", uint8_t *bytes, uint8_t *results",
    .results = ", uint8_t *results",
    .wide = "  static uint8_t wide_results[NET_TILE * NET_MOST_CHANNELS];\n  if (results) results = wide_results;\n",
    .row = "(results ? p : at + p) * l->out_c + first",
    .alone = "results ? c : at",
    .target = "results ? results : codes",
    .pack =
        "    for (p = 0; results && p < left; ++p)\n"
        "      pack_codes(results + p * l->out_c, l->out_c, codes, (at + p) * l->out_c, l->kinds >> 8);\n",
    .pack_alone =
        "        for (k = 0; results && k < p; ++k)\n"
        "          pack_codes(results + k * channels + c, 4 - done, codes, at + k * channels, l->kinds >> 8);\n"};

/// {0}: `top`, if any codes are signed; {1}: unpack for every width.
inline constexpr const char* codes_at =
    R"c(/* The bytes of n codes, the first at index `at`: in their place, or unpacked to `bytes`, perhaps with some more. */
static const uint8_t *codes_at(const uint8_t *in, int32_t at, int32_t n, int32_t kind, uint8_t *bytes) {{
  const int32_t bits = kind >> 1{0};
  uint8_t *to = bytes;
  if (bits == 8) return in + at;
  for (; n > 0 && (at * bits & 7) != 0; --n, ++at) *to++ = (uint8_t)read_at(in, at, kind);
  in += at * bits >> 3;
{1}  return bytes;
}}

)c";
/// {0}: bits; {1}: codes in a byte; {2}: a line for each.
inline constexpr const char* unpack =
    R"c(  if (bits == {0}) {{
    for (; n > 0; n -= {1}, to += {1}) {{
      const int32_t byte = *in++;
{2}    }}
  }}
)c";

/// {0}: pack for every width.
inline constexpr const char* pack_codes =
    R"c(/* Writes n codes, the first to index `at`. */
static void pack_codes(const uint8_t *from, int32_t n, uint8_t *codes, int32_t at, int32_t kind) {{
  const int32_t bits = kind >> 1;
  uint8_t *to;
  for (; n > 0 && (at * bits & 7) != 0; --n) write_at(codes, at++, kind, *from++);
  to = codes + (at * bits >> 3);
{0}  at = 8 * (int32_t)(to - codes) / bits;
  for (; n > 0; --n) write_at(codes, at++, kind, *from++);
}}

)c";
/// {0}: bits; {1}: codes in a byte; {2}: all of them.
inline constexpr const char* pack =
    R"c(  if (bits == {0}) {{
    for (; n >= {1}; n -= {1}, from += {1}) *to++ = (uint8_t)({2});
  }}
)c";

}  // namespace mixgrad::c_bits
