// SPDX-License-Identifier: Apache-2.0
// An integer network as C99 without libraries, heap allocation or floating point.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <src/internal/c_context.h>
#include <src/internal/names.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace mixgrad {
namespace {

using fmt::format;
using integer::c_numbers;

/// A float constant with a decimal point or exponent, because "1f" is not valid C.
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

{input}/* Output: {out_shape}; a value is its code * NET_OUTPUT_SCALE, so the largest code is the largest value. */
#define NET_OUTPUT_SIZE {out_size}
#define NET_OUTPUT_SCALE {out_step}

/* Memory in bytes: activations (one static block, reused by every call), and constants: packed weights, biases,
   multipliers, shifts, sizes and 32-bit addresses. The caller owns input and output.
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
    std::vector<integer::CText> texts;
    std::string tables, calls;
    for (size_t i = 0; i < network_.nodes.size(); ++i) {
      texts.push_back(c_text(i));
      tables += texts[i].table;
      if (!texts[i].call.empty()) calls += "  " + texts[i].call + "\n";
    }
    const std::string block =
        arena_.bytes > 0
            ? format("/* Memory shared by the activations. */\nstatic uint32_t arena[NET_ARENA_BYTES / 4];\n\n")
            : "";
    return format("/* {}, written by mixgrad {}. */\n#include \"net.h\"\n\n", title_, MIXGRAD_VERSION) +
           functions(texts) + tables + block +
           format("void net_run(const {} *in, {} *out) {{\n{}}}\n", type(network_.nodes[0]), type(network_.result()),
                  calls);
  }

  std::string test(const std::vector<uint8_t>& inputs, const std::vector<int32_t>& outputs) const {
    const int64_t in = network_.nodes[0].shape.size(), out = network_.result().shape.size();
    std::vector<int> codes;
    for (const uint8_t code : inputs) codes.push_back(network_.nodes[0].is_signed() ? static_cast<int8_t>(code) : code);
    return format(
        R"(/* Runs the network on images and compares the outputs with mixgrad's; returns 0 if all of them are equal. */
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
        std::ssize(inputs) / in, type(network_.nodes[0]), c_numbers(codes), type(network_.result()),
        c_numbers(std::vector<int32_t>(outputs.begin(), outputs.begin() + std::ssize(inputs) / in * out)),
        type(network_.result()));
  }

 private:
  integer::CText c_text(size_t i) const {
    const integer::CContext c{.network = network_, .arena = arena_, .index = i};
    return std::visit([&](const auto& o) { return o.c_text(c); }, c.node().op);
  }

  /// The functions that the network's operators need, each once and after those that it calls.
  std::string functions(const std::vector<integer::CText>& texts) const {
    std::vector<size_t> order(texts.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t i) { return network_.nodes[i].op.index(); });
    std::vector<std::string> all;
    for (const size_t i : order) {
      for (const std::string& f : texts[i].functions) {
        if (std::ranges::find(all, f) == all.end()) all.push_back(f);
      }
    }
    return fmt::format("{}", fmt::join(all, ""));
  }

  /// Documents and declares the input: its layout, and how real values become codes.
  std::string input() const {
    const IntegerNode& in = network_.nodes[0];
    const Normalization& n = network_.normalization;
    const char* value = n.empty() ? "v" : "(v - mean[c]) / std[c]";
    const char* constants = n.empty() ? "" : " (NET_INPUT_MEAN and NET_INPUT_STD initialise mean and std)";
    std::string text = format(
        "/* Input: {}, one byte per value. A value v of channel c (byte / 255 for a byte of an image) has the\n"
        "   code {} / NET_INPUT_SCALE{}, rounded to the nearest and clamped to {} to {}. */\n"
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
