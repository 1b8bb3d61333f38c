// SPDX-License-Identifier: Apache-2.0
// An integer network as C99 without libraries, heap allocation or floating point.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

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

std::string checksum_of(const std::string& text) {
  io::Checksum sum;
  sum.add(text);
  return sum.str();
}

void check_prefix(const std::string& prefix) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (prefix.empty() || prefix.size() > 40 || !(prefix[0] >= 'a' && prefix[0] <= 'z') ||
      !std::ranges::all_of(prefix, allowed))
    bad_input("prefix: '{}': expected a lower-case name of C, like kws, of at most 40 characters", prefix);
}

/// `text` with another prefix than "net" for files, functions and macros.
std::string renamed(std::string text, const std::string& prefix) {
  if (prefix == "net") return text;
  std::string upper = prefix;
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  const std::pair<std::string, std::string> names[] = {
      {"NET_", upper + "_"}, {"net_run", prefix + "_run"}, {"net.h", prefix + ".h"}, {"net.c", prefix + ".c"}};
  for (const auto& [from, to] : names) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  }
  return text;
}

class Package {
 public:
  Package(const IntegerNetwork& network, const std::string& title)
      : network_(network), title_(c_comment(title)), arena_(plan_arena(network)) {}

  /// `source`: of net.c.
  std::string header(const std::string& source) const {
    const DeviceBytes bytes = device_bytes(network_);
    return format(R"(/* {title}: an integer network, written by mixgrad {version}. */
#ifndef NET_H
#define NET_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* Changes with every number in net.c. */
#define NET_CHECKSUM 0x{checksum}u
#define NET_MIXGRAD_VERSION "{version}"

{input}{outputs}
/* Memory in bytes: activations (one static block, reused by every call), and constants: packed weights, biases,
   multipliers, shifts, sizes and 32-bit addresses. The caller owns input and output.
   Code: 2 to 5 KiB (gcc -O2, Cortex-M4). */
#define NET_ARENA_BYTES {arena}
#define NET_WEIGHT_BYTES {weights}
#define NET_CONSTANT_BYTES {constants}

{net_run};

#ifdef __cplusplus
}}
#endif

#endif
)",
                  fmt::arg("title", title_), fmt::arg("version", MIXGRAD_VERSION),
                  fmt::arg("checksum", checksum_of(source)), fmt::arg("input", input()), fmt::arg("outputs", outputs()),
                  fmt::arg("arena", bytes.arena), fmt::arg("weights", bytes.weights),
                  fmt::arg("constants", bytes.constants()), fmt::arg("net_run", net_run()));
  }

  std::string source() const {
    std::vector<integer::CText> texts;
    std::string tables, calls;
    for (size_t i = 0; i < network_.nodes.size(); ++i) {
      texts.push_back(c_text(i));
      tables += texts[i].table;
      if (!texts[i].call.empty()) calls += format("  {}\n  NET_STEP({})\n", texts[i].call, i);
    }
    const std::string block =
        arena_.bytes > 0
            ? format("/* Memory shared by the activations. */\nstatic uint32_t arena[NET_ARENA_BYTES / 4];\n\n")
            : "";
    return format("/* {}, written by mixgrad {}. */\n#include \"net.h\"\n\n", title_, MIXGRAD_VERSION) +
           "#ifndef NET_SECTION   /* an attribute of every table */\n#define NET_SECTION\n#endif\n"
           "#ifndef NET_STEP      /* a statement after every operator */\n#define NET_STEP(i)\n#endif\n\n" +
           functions(texts) + tables + block + format("{} {{\n{}}}\n", net_run(), calls);
  }

  /// `outputs`: of the engine, image by image.
  std::string test(const std::vector<uint8_t>& inputs, const std::vector<int32_t>& outputs) const {
    const int64_t images = std::ssize(inputs) / network_.nodes[0].shape.size();
    std::vector<int> codes;
    for (const uint8_t code : inputs) codes.push_back(network_.nodes[0].is_signed() ? static_cast<int8_t>(code) : code);
    std::string expected, buffers, arguments, comparisons;
    int64_t at = 0;
    for (const IntegerOutput& o : network_.outputs) {
      const IntegerNode& node = network_.node_of(o);
      const std::string number = integer::output_number(network_, o.node), size = format("NET_OUTPUT{}_SIZE", number);
      const auto part = columns(outputs, images, at, node.shape.size());
      expected +=
          format("static const {} expected{}[IMAGES * {}] = {{\n{}}};\n", type(node), number, size, c_numbers(part));
      buffers += format("static {} output{}[{}];\n", type(node), number, size);
      arguments += format(", output{}", number);
      comparisons += format(
          "    for (i = 0; i < {0}; ++i) same = same && output{1}[i] == expected{1}[image * {0} + i];\n", size, number);
      at += node.shape.size();
    }
    return format(
        R"(/* Runs the network on images and compares the outputs with mixgrad's; returns 0 if all of them are equal. */
#include "net.h"

#include <stdio.h>

#define IMAGES {}

static const {} inputs[IMAGES * NET_INPUT_SIZE] = {{
{}}};
{}{}
#ifndef NET_NO_MAIN
int main(void) {{
  int image, i, right = 0;
  for (image = 0; image < IMAGES; ++image) {{
    int same = 1;
    net_run(inputs + image * NET_INPUT_SIZE{});
{}    right += same;
  }}
  printf("%d of %d images agree\n", right, IMAGES);
  return right == IMAGES ? 0 : 1;
}}
#endif
)",
        images, type(network_.nodes[0]), c_numbers(codes), expected, buffers, arguments, comparisons);
  }

 private:
  std::string net_run() const {
    std::string out = format("void net_run(const {} *in", type(network_.nodes[0]));
    for (const IntegerOutput& o : network_.outputs)
      out += format(", {} *{}", type(network_.node_of(o)), integer::c_output(network_, o.node));
    return out + ")";
  }

  /// Columns [at, at + count) of outputs [images, all].
  static std::vector<int32_t> columns(const std::vector<int32_t>& outputs, int64_t images, int64_t at, int64_t count) {
    std::vector<int32_t> part;
    const int64_t all = std::ssize(outputs) / std::max<int64_t>(1, images);
    for (int64_t n = 0; n < images; ++n) {
      const auto begin = outputs.begin() + n * all + at;
      part.insert(part.end(), begin, begin + count);
    }
    return part;
  }

  /// Documents and declares the outputs.
  std::string outputs() const {
    std::string text;
    for (const IntegerOutput& o : network_.outputs) {
      const IntegerNode& node = network_.node_of(o);
      const std::string number = integer::output_number(network_, o.node);
      const std::string called = number.empty() ? "Output" : format("Output {} ({})", number, c_comment(o.name));
      text += format(
          "/* {}: {}; a value is its code * NET_OUTPUT{}_SCALE, so the largest code is the largest value. */\n"
          "#define NET_OUTPUT{}_SIZE {}\n#define NET_OUTPUT{}_SCALE {}\n",
          called, layout(o.shape), number, number, node.shape.size(), number, literal(node.step));
    }
    return text;
  }

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

CPackage c_package(const IntegerNetwork& network, const std::string& title, const std::vector<uint8_t>& test_inputs,
                   const std::string& prefix) {
  check_prefix(prefix);
  const Package package(network, title);
  const int64_t images = std::ssize(test_inputs) / network.nodes[0].shape.size();
  const std::vector<int32_t> expected =
      images > 0 ? IntegerEngine(network, images).run(test_inputs) : std::vector<int32_t>();
  const std::string source = package.source();
  return {.header = renamed(package.header(source), prefix),
          .source = renamed(source, prefix),
          .test = renamed(package.test(test_inputs, expected), prefix),
          .prefix = prefix};
}

}  // namespace mixgrad
