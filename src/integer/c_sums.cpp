// SPDX-License-Identifier: Apache-2.0
#include "c_sums.h"

#include <fmt/ranges.h>

#include <vector>

namespace mixgrad::integer {
namespace {

using fmt::format;

using Parameters = std::vector<std::string>;

const Parameters& parameters() {
  static const Parameters all = {"const uint32_t *w", "const operand *x", "const operand *end", "int32_t *sums"};
  return all;
}

/// "static void NAME(PARAMETERS)"
std::string head(const Sums& s) { return format("static void {}({})", s.name(), fmt::join(parameters(), ", ")); }

/// The text of a function in assembler.
class Assembler {
 public:
  void line(const std::string& text) { code_ += format("    \"{}\\n\"\n", text); }
  /// Compilers see no use of the parameters.
  std::string function(const std::string& name, const Parameters& all) const {
    return format("NET_ASSEMBLER void {}({} NET_UNUSED) {{\n  __asm volatile(\n{}  );\n}}\n", name,
                  fmt::join(all, " NET_UNUSED,\n    "), code_);
  }

 private:
  std::string code_;
};

/// The loop over the words of a block for some of its channels ("ab", or one of them).
std::string sums_loop(const Sums& s, const std::string& channels) {
  std::vector<std::string> zeros, results;
  std::string weights, sums;
  for (const char c : channels) {
    const int before = (c - 'a') * s.bits;
    for (int64_t p = 0; p < s.positions; ++p) {
      zeros.push_back(format("{}{} = 0", c, p));
      const std::string at = c == 'a' ? std::to_string(p) : p == 0 ? "NET_TILE" : format("NET_TILE + {}", p);
      results.push_back(format("sums[{}] = {}{}", at, c, p));
    }
    weights += format("      WEIGHTS_{}(w{}, {});\n", s.bits, c, before == 0 ? "word" : format("word >> {}", before));
  }
  for (int64_t p = 0; p < s.positions; ++p) {
    sums += "     ";
    for (const char c : channels) sums += format(" ADD_{2}({0}{1}, w{0}, {1});", c, p, s.bits);
    sums += "\n";
  }
  const std::string next = s.pairs() == 1 ? "" : format(", word >>= {}", s.bits * s.channels);
  return format(
      "  int32_t {}, k;\n"
      "  for (; x < end; ++w) {{\n"
      "    uint32_t word = *w;\n"
      "    for (k = 0; k < {}; ++k, x += {}{}) {{\n"
      "{}{}"
      "    }}\n"
      "  }}\n"
      "  {};\n",
      fmt::join(zeros, ", "), s.pairs(), 2 * s.positions, next, weights, sums, fmt::join(results, ", "));
}

/// In C, which compilers turn into one instruction for two products where NET_DSP is defined.
std::string sums_in_c(const Sums& s) {
  if (s.channels == 1) return head(s) + " {\n" + sums_loop(s, "a") + "}\n";
  if (s.positions == 1) return head(s) + " {\n" + sums_loop(s, "ab") + "}\n";
  return format(
      "{} {{\n#ifdef NET_FEW_REGISTERS\n  {{\n    const uint32_t *words = w;\n    const operand *patch = x;\n{}"
      "    w = words, x = patch;\n  }}\n  {{\n{}  }}\n#else\n{}#endif\n}}\n",
      head(s), sums_loop(s, "a"), sums_loop(s, "b"), sums_loop(s, "ab"));
}

/// Two channels at four positions in assembler: the eight sums, four operands and two addresses fill the registers, so
/// the end of the patch waits on the stack, and a word is read again for every pair of fields below 8 bits. There, the
/// second channel's weights are not shifted down to bit 0 but its sums are, at the end.
std::string sums_in_assembler(const Sums& s) {
  Assembler code;
  const auto line = [&](const std::string& text) { code.line(text); };
  const auto products = [&] {
    for (int p = 0; p < 4; p += 2) {
      line("ldrd r3, lr, [r1], #8");
      for (int k = 0; k < 2; ++k) {
        line(format("smlad r{0}, r12, {1}, r{0}", 4 + p + k, k == 0 ? "r3" : "lr"));
        line(format("smlad r{0}, r2, {1}, r{0}", 8 + p + k, k == 0 ? "r3" : "lr"));
      }
    }
  };
  line("push {r2-r12, lr}");
  for (int r = 4; r < 12; ++r) line(format("mov r{}, #0", r));
  line("1:");
  for (int i = 0; i < 2; ++i) {  // two words at a time, as every width has an even number
    for (int k = 0; k < s.pairs(); ++k) {
      line(k + 1 < s.pairs() ? "ldr r2, [r0]" : "ldr r2, [r0], #4");
      if (s.bits == 8) {
        line("sxtb16 r12, r2");
        line("sxtb16 r2, r2, ror #8");
      } else {
        const int mask = 0x00010001 * ((1 << s.bits) - 1);
        if (k > 0) line(format("lsr r2, r2, #{}", 2 * s.bits * k));
        line(format("and r12, r2, #0x{:08x}", mask));
        line(format("and r2, r2, #0x{:08x}", mask << s.bits));
      }
      products();
    }
  }
  line("ldr r3, [sp]");
  line("cmp r1, r3");
  line("bne 1b");
  if (s.bits < 8) {
    for (int r = 8; r < 12; ++r) line(format("asr r{0}, r{0}, #{1}", r, s.bits));
  }
  line("ldr r3, [sp, #4]");
  line("stm r3, {r4-r11}");
  line("add sp, sp, #8");
  line("pop {r4-r12, pc}");
  return code.function(s.name(), parameters());
}

/// A vector of 16 of a channel's weights per iteration, in the order of the patch. Sums must be in registers with even
/// numbers: four positions' patches, the weights' address and a counter fill those with odd ones.
class HeliumSums {
 public:
  explicit HeliumSums(const Sums& s) : s_(s) {}

  std::string function() {
    line("push {r2-r12, lr}");
    if (has_shifts()) line("vpush {d8-d9}");
    line("mov r11, r0");
    if (s_.positions == 4) {
      line("ldr r9, [r3]");
      line("add r5, r1, r9");
      line("add r7, r5, r9");
      line("add r9, r7, r9");
    }
    line("sub r3, r2, r1");
    if (!is_joined()) load_table("r0");
    for (int i = 0; i < sums(); ++i) line(format("mov r{}, #0", 2 * i));
    add_all();
    if (has_shifts()) line("vpop {d8-d9}");
    line("ldr r1, [sp, #4]");
    put_sums();
    line("add sp, sp, #8");
    line("pop {r4-r12, pc}");
    line("4:");
    table();
    return code_.function(s_.name(), parameters());
  }

 private:
  void line(const std::string& text) { code_.line(text); }
  int sums() const { return s_.channels * static_cast<int>(s_.positions); }
  /// Bits of both channels that are neighbours in a word; a pair of taps has them in both halves.
  int field() const { return s_.bits * s_.channels; }
  bool is_joined() const { return field() == 16; }  ///< a byte of one channel beside that of the other
  bool has_shifts() const { return field() < 8; }

  /// The bytes that hold lanes 0 to 15, and if those are at different places in them, by how many bits to shift up.
  void table() {
    std::vector<int> bytes, shifts;
    for (int lane = 0; lane < 16; ++lane) {
      const int bit = lane / 2 * field();
      bytes.push_back(bit / 16 * 4 + lane % 2 * 2 + bit % 16 / 8);
      shifts.push_back(8 - field() - bit % 8);
    }
    line(format(".byte {}", fmt::join(bytes, ", ")));
    if (has_shifts()) line(format(".byte {}", fmt::join(shifts, ", ")));
  }

  void load_table(const std::string& address) {
    line(format("adr {}, 4f", address));
    line(format("vldrb.u8 q3, [{}]", address));
    if (has_shifts()) line(format("vldrb.u8 q4, [{}, #16]", address));
  }

  /// The weights become q0 and q1, the first channel's in q0.
  void load_weights(bool in_part, int step) {
    const auto gather = [&](const char* to) {
      if (in_part) line("vpst");
      line(format("vldrb{}.u8 {}, [r11, q3]", in_part ? "t" : "", to));
    };
    if (is_joined() && !in_part) {
      line("vld20.8 {q0, q1}, [r11]");
      line("vld21.8 {q0, q1}, [r11]!");
      return;
    }
    gather("q0");
    line(format("add r11, r11, #{}", is_joined() ? 1 : step));
    if (is_joined()) gather("q1");
    if (has_shifts()) line("vshl.u8 q0, q0, q4");
    if (s_.bits == 8) return;
    if (s_.channels == 2) {
      line(format("vshr.u8 q1, q0, #{}", 8 - s_.bits));
      line(format("vshl.i8 q0, q0, #{}", s_.bits));
    }
    line(format("vshr.u8 q0, q0, #{}", 8 - s_.bits));
  }

  void add(bool in_part, int step) {
    const int patches[] = {1, 5, 7, 9};
    load_weights(in_part, step);
    for (int p = 0; p < s_.positions; ++p) {
      line(format("vldrb.u8 q2, [r{}], #16", patches[p]));
      for (int c = 0; c < s_.channels; ++c)
        line(format("vmladava.s8 r{}, q{}, q2", 2 * (c * static_cast<int>(s_.positions) + p), c));
    }
  }

  void add_all() {
    const bool may_end_early = s_.bits > 2;  // in a word of 4 or 8 of a channel's weights
    if (may_end_early) {
      line("subs r3, r3, #16");
      line("blt 2f");
    }
    line("1:");
    if (field() == 1) {  // half a word
      add(false, 1);
      add(false, 3);
      line("subs r3, r3, #32");
    } else {
      add(false, 2 * field());
      line("subs r3, r3, #16");
    }
    line(may_end_early ? "bge 1b" : "bne 1b");
    if (!may_end_early) return;
    line("2:");
    line("adds r3, r3, #16");
    line("beq 3f");
    line("vctp.8 r3");
    if (is_joined()) load_table("r3");
    add(true, 2 * field());
    line("3:");
  }

  void put_sums() {
    if (s_.positions == 1) {
      for (int c = 0; c < s_.channels; ++c) line(format("str r{}, [r1, #{}]", 2 * c, 16 * c));
    } else {
      line(s_.channels == 1 ? "stm r1, {r0, r2, r4, r6}" : "stm r1, {r0, r2, r4, r6, r8, r10, r12, lr}");
    }
  }

  Sums s_;
  Assembler code_;
};

/// For all positions of a tile on x86: an instruction for the products of two pairs at 8 or 16 of them.
std::string sums_in_vectors(const Sums& s) {
  const std::string channels = s.channels == 1 ? "a" : "ab";
  const auto each = [&](const char* what, const char* between) {
    std::vector<std::string> all;
    for (const char c : channels) all.push_back(format(fmt::runtime(what), fmt::arg("c", c)));
    return format("{}", fmt::join(all, between));
  };
  std::string lines;
  for (int k = 0; k < s.pairs(); ++k) {
    std::vector<std::string> weights;
    for (const char c : channels) {
      const int at = (s.channels * k + (c - 'a')) * s.bits;
      const std::string field = at == 0 ? "words" : format("NET_SHIFTED(words, {})", at);
      const bool low_byte = s.bits == 8 && at == 0;
      weights.push_back(format("w{} = {}", c,
                               s.bits < 8 ? format("NET_BITS(and)({}, mask)", field)
                               : low_byte ? "NET_VECTOR(srai_epi16)(NET_VECTOR(slli_epi16)(words, 8), 8)"
                                          : "NET_VECTOR(srai_epi16)(words, 8)"));
    }
    lines += format(
        "    {};\n    for (v = 0; v < NET_VECTORS; ++v, x += 2 * NET_TILE / NET_VECTORS) {{\n"
        "      const vector inputs = NET_BITS(loadu)((const vector *)(const void *)x);\n      {}\n    }}\n",
        fmt::join(weights, ", "), each("{c}[v] = NET_ADD_PAIRS({c}[v], w{c}, inputs);", " "));
  }
  const std::string mask =
      s.bits == 8 ? "" : format("  const vector mask = NET_VECTOR(set1_epi32)(0x{0:04x}{0:04x});\n", (1 << s.bits) - 1);
  return format(
      "{} {{\n{}  vector {}, {};\n  int32_t v;\n"
      "  for (v = 0; v < NET_VECTORS; ++v) {} = NET_BITS(setzero)();\n"
      "  for (; x < end; ++w) {{\n"
      "    const vector words = NET_VECTOR(set1_epi32)((int32_t)*w);\n{}"
      "  }}\n"
      "  for (v = 0; v < NET_VECTORS; ++v, sums += NET_TILE / NET_VECTORS) {{\n    {}\n{}  }}\n"
      "}}\n",
      head(s), mask, each("{c}[NET_VECTORS]", ", "), each("w{c}", ", "), each("{c}[v]", " = "), lines,
      "NET_BITS(storeu)((vector *)(void *)sums, a[v]);",
      s.channels == 1 ? "" : "    NET_BITS(storeu)((vector *)(void *)(sums + NET_TILE), b[v]);\n");
}

}  // namespace

std::string sums_macros(Machine machine, int bits, bool signed_inputs) {
  const std::string mask = format("{}u", (1 << bits) - 1), masks = format("0x{0:04x}{0:04x}u", (1 << bits) - 1);
  const std::string apart =
      bits == 8 ? "const int32_t w##0 = (int8_t)(word), w##1 = (int8_t)((word) >> 16)"
                : format("const int32_t w##0 = (int32_t)((word) & {0}), w##1 = (int32_t)((word) >> 16 & {0})", mask);
  std::string weights = apart, sum = "sum += w##0 * x[2 * (i)] + w##1 * x[2 * (i) + 1]";
  if (machine == Machine::dsp) {
    weights = bits == 8 ? "const pair w = signed_even_bytes(word)" : format("const pair w = (word) & {}", masks);
    sum = "sum = add_both(w, PAIR(x, i), sum)";
  } else if (machine == Machine::few_registers && (bits == 8 || signed_inputs)) {
    sum = "sum += w##0 * (int16_t)PAIR(x, i), sum += w##1 * ((int32_t)PAIR(x, i) >> 16)";
  } else if (machine == Machine::few_registers) {
    // (x0 + 2^16 x1) (w1 + 2^16 w0): both products meet in the upper half, above x0 w1, which does not reach it.
    weights = format("const uint32_t w = ((word) & {0}) << 16 | ((word) >> 16 & {0})", mask);
    sum = "sum += (int32_t)(PAIR(x, i) * w >> 16)";
  }
  return format("#define WEIGHTS_{0}(w, word) {1}\n#define ADD_{0}(sum, w, i) {2}\n", bits, weights, sum);
}

std::string sums_function(const Sums& s) {
  std::string others = "#else\n" + sums_in_c(s);
  if (s.positions == 4) others = format("#elif defined(NET_WIDE)\n{}{}", sums_in_vectors(s), others);
  if (s.positions == 4 && s.channels == 2)
    others = format("#elif defined(NET_DSP)\n{}{}", sums_in_assembler(s), others);
  return format("#ifdef NET_HELIUM\n{}{}#endif\n\n", HeliumSums(s).function(), others);
}

std::string sums_of_3x3() {
  Assembler code;
  const auto line = [&](const std::string& text) { code.line(text); };
  line("push {r4-r11, lr}");
  line("ldr r12, [sp, #36]");
  line("ldr lr, [sp, #44]");
  line("1:");
  for (int tap = 0; tap < 9; ++tap) {
    line(format("ldrd r8, r9, [r{}, #{}]", tap / 3, 8 * (tap % 3)));
    line(format("ldrd r10, r11, [r3, #{}]", 8 * tap));
    for (int k = 0; k < 4; ++k) {
      const std::string operands = format("r{}, r{}, r{}", 4 + k, 8 + k % 2, 10 + k % 2);
      line(tap == 0 ? format("smul{} {}", k < 2 ? "bb" : "tt", operands)
                    : format("smla{} {}, r{}", k < 2 ? "bb" : "tt", operands, 4 + k));
    }
  }
  for (int k = 3; k > 0; --k) line(format("str r{}, [r12, #{}]", 4 + k, 16 * k));
  line("str r4, [r12], #4");
  for (int row = 0; row < 3; ++row) line(format("add r{0}, r{0}, lr", row));
  line("ldr r8, [sp, #40]");
  line("cmp r12, r8");
  line("bne 1b");
  line("pop {r4-r11, pc}");
  return "#ifdef NET_DSP\n/* The same for a kernel of 3 x 3; `step`: bytes from a position's inputs to the next one's. "
         "*/\n" +
         code.function("sums_3x3", {"const int16_t *row0", "const int16_t *row1", "const int16_t *row2",
                                    "const int16_t *weights", "int32_t *sums", "int32_t *end", "int32_t step"}) +
         "#endif\n\n";
}

}  // namespace mixgrad::integer
