// SPDX-License-Identifier: Apache-2.0
// An integer network as C99 without libraries, heap or floating point.
#include "c_runtime.h"

#include "../core/names.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace mixgrad {
namespace {

using fmt::format;

/// Numbers in lines of at most 120 columns.
template <typename T>
std::string numbers(const std::vector<T>& values, const char* how = "{}") {
  std::string out, line = "  ";
  for (const T& v : values) {
    const std::string number = format(fmt::runtime(how), v) + ",";
    if (line.size() + number.size() > 118) {
      out += line + "\n";
      line = "  ";
    }
    line += number;
  }
  return out + line + "\n";
}

template <typename T>
std::string array(const std::string& type, const std::string& name, const std::vector<T>& values,
                  const char* how = "{}") {
  return format("static const {} {}[{}] = {{\n{}}};\n", type, name, values.size(), numbers(values, how));
}

/// A float constant: "1f" is none.
std::string literal(float value) {
  std::string digits = format("{:.9g}", value);
  if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  return digits + "f";
}
std::string literals(const std::vector<float>& values) {
  std::vector<std::string> out;
  for (const float v : values) out.push_back(literal(v));
  return format("{{{}}}", fmt::join(out, ", "));
}

/// INT32_MIN has no literal of its own type.
std::string literal(int value) {
  return value == std::numeric_limits<int>::min() ? "INT32_MIN" : std::to_string(value);
}

class Package {
 public:
  Package(const IntegerNetwork& network, const std::string& title)
      : network_(network), title_(c_comment(title)), arena_(plan_arena(network)) {}

  std::string header() const {
    const IntegerNode& out = network_.result();
    const DeviceBytes bytes = device_bytes(network_);
    return format(R"(/* {title}: an integer network, written by mixgrad {version}. */
#ifndef NET_H
#define NET_H

#include <stdint.h>

{input}/* Output: {out_shape}; a value is its code * NET_OUTPUT_SCALE, and the largest code is the largest value. */
#define NET_OUTPUT_SIZE {out_size}
#define NET_OUTPUT_SCALE {out_step}

/* Memory in bytes: activations (one static block, used anew by every call), and constants: packed weights, biases,
   multipliers, shifts, sizes and 32-bit addresses. The caller holds input and output.
   Code: about 2 KiB (gcc -Os, Cortex-M). */
#define NET_ARENA_BYTES {arena}
#define NET_WEIGHT_BYTES {weights}
#define NET_CONSTANT_BYTES {constants}

void net_run(const {in_type} *in, {out_type} *out);

#endif
)",
                  fmt::arg("title", title_), fmt::arg("version", MIXGRAD_VERSION), fmt::arg("input", input()),
                  fmt::arg("out_shape", layout(network_.result_shape)), fmt::arg("out_size", out.shape.size()),
                  fmt::arg("out_step", literal(out.step)), fmt::arg("arena", bytes.arena),
                  fmt::arg("weights", bytes.weights), fmt::arg("constants", bytes.constants()),
                  fmt::arg("in_type", type(network_.nodes[0])), fmt::arg("out_type", type(out)));
  }

  std::string source() const {
    std::string tables, calls;
    for (size_t i = 1; i < network_.nodes.size(); ++i) {
      tables += table(i);
      calls += "  " + call(i) + "\n";
    }
    const std::string block =
        arena_.bytes > 0
            ? format("/* Where activations take turns. */\nstatic uint32_t arena[NET_ARENA_BYTES / 4];\n\n")
            : "";
    return format("/* {}, written by mixgrad {}. */\n#include \"net.h\"\n\n", title_, MIXGRAD_VERSION) + runtime() +
           tables + block +
           format("void net_run(const {} *in, {} *out) {{\n{}}}\n", type(network_.nodes[0]), type(network_.result()),
                  calls);
  }

  std::string test(const std::vector<uint8_t>& inputs, const std::vector<int32_t>& outputs) const {
    const int64_t in = network_.nodes[0].shape.size(), out = network_.result().shape.size();
    std::vector<int> codes;
    for (const uint8_t code : inputs) codes.push_back(network_.nodes[0].is_signed() ? static_cast<int8_t>(code) : code);
    return format(
        R"(/* Runs the network on images and compares with what mixgrad computed; returns 0 when all outputs are equal. */
#include "net.h"

#include <stdio.h>

#define IMAGES {}

static const {} inputs[IMAGES * NET_INPUT_SIZE] = {{
{}}};
static const {} expected[IMAGES * NET_OUTPUT_SIZE] = {{
{}}};
static {} output[NET_OUTPUT_SIZE];

int main(void) {{
  int image, i, right = 0;
  for (image = 0; image < IMAGES; ++image) {{
    int same = 1;
    net_run(inputs + image * NET_INPUT_SIZE, output);
    for (i = 0; i < NET_OUTPUT_SIZE; ++i) same = same && output[i] == expected[image * NET_OUTPUT_SIZE + i];
    right += same;
  }}
  printf("%d of %d images agree\n", right, IMAGES);
  return right == IMAGES ? 0 : 1;
}}
)",
        std::ssize(inputs) / in, type(network_.nodes[0]), numbers(codes), type(network_.result()),
        numbers(std::vector<int32_t>(outputs.begin(), outputs.begin() + std::ssize(inputs) / in * out)),
        type(network_.result()));
  }

 private:
  const IntegerNode& node(int i) const { return network_.nodes[static_cast<size_t>(i)]; }

  /// What the caller hands over, and how it is made of values as they are read.
  std::string input() const {
    const IntegerNode& in = network_.nodes[0];
    const Normalization& n = network_.normalization;
    const char* value = n.empty() ? "v" : "(v - mean[c]) / std[c]";
    const char* constants = n.empty() ? "" : " (NET_INPUT_MEAN and NET_INPUT_STD initialise mean and std)";
    std::string text = format(
        "/* Input: {}, one byte a value. A value v of channel c, as it is read (of an image's byte: byte / 255), has "
        "the\n"
        "   code {} / NET_INPUT_SCALE{}, rounded to the nearest and held to {} to {}. */\n"
        "#define NET_INPUT_SIZE {}\n#define NET_INPUT_SCALE {}\n",
        layout(in.shape), value, constants, in.low, in.high, in.shape.size(), literal(in.step));
    if (!n.empty())
      text += format("#define NET_INPUT_MEAN {}\n#define NET_INPUT_STD {}\n", literals(n.mean), literals(n.std));
    return text;
  }

  static std::string layout(const Shape& s) {
    return s.rank() == 3 ? format("{} x {} x {} (height, width, channels)", s[1], s[2], s[0])
                         : format("{} values", s[0]);
  }
  static const char* type(const IntegerNode& n) { return n.raw ? "int32_t" : n.is_signed() ? "int8_t" : "uint8_t"; }

  /// The C expression of a tensor's first byte.
  std::string bytes(int i) const {
    if (i == 0) return "(const uint8_t *)in";
    if (i == network_.output) return "(uint8_t *)out";
    return format("(uint8_t *)arena + {}", arena_.offsets[static_cast<size_t>(i)]);
  }
  /// A node's last two arguments: codes, and 32-bit sums; one of them is null.
  std::string results(int i) const { return node(i).raw ? "0, out" : bytes(i) + ", 0"; }

  std::string runtime() const {
    const auto uses = [&](const char* op) {
      return std::ranges::find(network_.nodes, op, &IntegerNode::op) != network_.nodes.end();
    };
    std::set<int> widths;
    for (const IntegerNode& n : network_.nodes) {
      for (const int bits : n.weight_bits) widths.insert(storage_bits(bits));
    }
    const auto reads_codes = [](const IntegerNode& n) { return n.op != "input" && n.op != "flatten"; };
    std::string out = std::ranges::any_of(network_.nodes, reads_codes) ? c_runtime::codes : "";
    if (!widths.empty() || uses("add")) out += c_runtime::rescale;
    if (!widths.empty()) {
      std::string choice;
      for (const int bits : widths) {
        out += bits == 2 ? c_runtime::dot_2 : bits == 4 ? c_runtime::dot_4 : c_runtime::dot_8;
        choice += bits == *widths.rbegin() ? format("  return dot_{}(w, x, words);\n", bits)
                                           : format("  if (bits == {0}) return dot_{0}(w, x, words);\n", bits);
      }
      if (widths.size() == 1) choice = "  (void)bits;\n" + choice;
      out += c_runtime::layer_type + format(fmt::runtime(c_runtime::run_layer), choice);
    }
    if (uses("add")) out += c_runtime::run_add;
    if (uses("relu")) out += c_runtime::run_relu;
    if (uses("flatten")) out += c_runtime::run_flatten;
    if (uses("max_pool2d") || uses("avg_pool2d")) out += c_runtime::pool_type;
    if (uses("max_pool2d"))
      out += format(fmt::runtime(c_runtime::run_pool), "run_max_pool", "-128", "if (code > value) value = code;", "");
    if (uses("avg_pool2d"))
      out += c_runtime::overlap +
             format(fmt::runtime(c_runtime::run_pool), "run_avg_pool", "0", "value += code;", average);
    return out;
  }
  /// ⌊(2 sum + n) / (2n)⌋: C's division rounds toward zero, so of a negative number one less than its complement.
  static constexpr const char* average =
      R"(const int32_t n = overlap(y * p->stride_h - p->pad_top, p->kernel_h, p->first_y, p->end_y) *
                          overlap(x * p->stride_w - p->pad_left, p->kernel_w, p->first_x, p->end_x);
        value = 2 * value + n;
        value = value >= 0 ? value / (2 * n) : -((2 * n - 1 - value) / (2 * n));)";

  std::string table(size_t i) const {
    const IntegerNode& n = network_.nodes[i];
    if (n.is_layer()) return layer_table(i, n);
    if (n.op != "max_pool2d" && n.op != "avg_pool2d") return "";
    const kernels::Pool2dSize& p = n.pool;
    const int64_t counted = p.count_padding ? 1 : 0;
    const std::vector<int64_t> fields = {p.c,
                                         p.h,
                                         p.w,
                                         p.oh,
                                         p.ow,
                                         p.kh,
                                         p.kw,
                                         p.stride_h,
                                         p.stride_w,
                                         p.pad_top,
                                         p.pad_left,
                                         node(n.inputs[0]).is_signed() ? 1 : 0,
                                         counted * -p.pad_top,
                                         p.h + counted * p.pad_bottom,
                                         counted * -p.pad_left,
                                         p.w + counted * p.pad_right};
    return format("/* {} */\nstatic const pool pool_{} = {{{}}};\n\n", c_comment(n.name), i, fmt::join(fields, ", "));
  }

  std::string layer_table(size_t i, const IntegerNode& n) const {
    const kernels::Conv2dSize& s = n.conv;
    std::vector<int32_t> multipliers;
    std::vector<int> shifts, bits;
    for (const int b : n.weight_bits) bits.push_back(storage_bits(b));
    for (const FixedPoint& f : n.ratios) multipliers.push_back(f.multiplier), shifts.push_back(f.shift);
    const std::vector<int32_t> bias = n.bias.empty() ? std::vector<int32_t>(n.ratios.size()) : n.bias;
    return format("/* {} */\n", c_comment(n.name)) + array("uint8_t", format("bits_{}", i), bits) +
           array("uint32_t", format("weights_{}", i), pack_weights(n), "0x{:08x}u") +
           array("int32_t", format("bias_{}", i), bias) + array("int32_t", format("multiplier_{}", i), multipliers) +
           array("uint8_t", format("shift_{}", i), shifts) +
           format(
               "static const layer layer_{0} = {{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}, {12}, {13}, "
               "{14}, {15}, {16}, {17}, {18},\n"
               "                              bits_{0}, weights_{0}, bias_{0}, multiplier_{0}, shift_{0}}};\n\n",
               i, s.h, s.w, s.c_in, s.oh, s.ow, s.c_out, s.kh, s.kw, s.stride_h, s.stride_w, s.pad_top, s.pad_left,
               s.dilation_h, s.dilation_w, s.groups, node(n.inputs[0]).is_signed() ? 1 : 0, literal(n.low), n.high);
  }

  std::string call(size_t i) const {
    const IntegerNode& n = network_.nodes[i];
    const int at = static_cast<int>(i);
    const std::string x = bytes(n.inputs[0]);
    if (n.is_layer())
      return format("run_layer(&layer_{}, {}, (int16_t *)(void *)(arena + {}), {});", i, x, arena_.patches[i] / 4,
                    results(at));
    const int x_signed = node(n.inputs[0]).is_signed() ? 1 : 0;
    if (n.op == "relu") return format("run_relu({}, {}, {}, {}, {});", x, x_signed, n.shape.size(), n.high, bytes(at));
    if (n.op == "flatten") {
      const int64_t channels = node(n.inputs[0]).channels();
      return format("run_flatten({}, {}, {}, {});", x, n.shape.size() / channels, channels, bytes(at));
    }
    if (n.op == "add") {
      const int y_signed = node(n.inputs[1]).is_signed() ? 1 : 0;
      return format("run_add({}, {}, {}, {}, {}, {}, {}, {}, {}, {});", x, x_signed, bytes(n.inputs[1]), y_signed,
                    n.shape.size(), n.ratios[0].multiplier, n.ratios[0].shift, literal(n.low), n.high, results(at));
    }
    return format("run_{}_pool(&pool_{}, {}, {});", n.op.substr(0, 3), i, x, bytes(at));
  }

  const IntegerNetwork& network_;
  std::string title_;
  Arena arena_;
};

}  // namespace

CPackage c_package(const IntegerNetwork& network, const std::string& title, const std::vector<uint8_t>& test_inputs) {
  const Package package(network, title);
  const int64_t images = std::ssize(test_inputs) / network.nodes[0].shape.size();
  const std::vector<int32_t> expected =
      images > 0 ? IntegerEngine(network, images).run(test_inputs) : std::vector<int32_t>();
  return {.header = package.header(), .source = package.source(), .test = package.test(test_inputs, expected)};
}

}  // namespace mixgrad
