// SPDX-License-Identifier: Apache-2.0
// An integer network as C99 without libraries, heap or floating point.
#include "c_runtime.h"

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
std::string array(const std::string& type, const std::string& name, const std::vector<T>& values, const char* how = "{}") {
  return format("static const {} {}[{}] = {{\n{}}};\n", type, name, values.size(), numbers(values, how));
}

/// INT32_MIN has no literal of its own type.
std::string literal(int value) { return value == std::numeric_limits<int>::min() ? "INT32_MIN" : std::to_string(value); }

class Package {
 public:
  Package(const IntegerNetwork& network, const std::string& title) : network_(network), title_(title), arena_(plan_arena(network)) {}

  std::string header() const {
    const IntegerNode &in = network_.nodes[0], &out = network_.result();
    const DeviceBytes bytes = device_bytes(network_);
    return format(R"(/* {title}: an integer network, written by mixgrad {version}. */
#ifndef NET_H
#define NET_H

#include <stdint.h>

/* Input: {in_shape}, one byte a value ({in_range}); a value's code is value / NET_INPUT_SCALE, rounded to the nearest. */
#define NET_INPUT_SIZE {in_size}
#define NET_INPUT_SCALE {in_step:.9g}f
/* Output: {out_shape}; a value is its code * NET_OUTPUT_SCALE, and the largest code is the largest value. */
#define NET_OUTPUT_SIZE {out_size}
#define NET_OUTPUT_SCALE {out_step:.9g}f

/* Memory in bytes: activations (one static block, used anew by every call), and constants: packed weights, biases,
   multipliers, shifts. The caller holds input and output. Code: about 2 KiB (gcc -Os, Cortex-M). */
#define NET_ARENA_BYTES {arena}
#define NET_WEIGHT_BYTES {weights}
#define NET_CONSTANT_BYTES {constants}

void net_run(const {in_type} *in, {out_type} *out);

#endif
)",
                  fmt::arg("title", title_), fmt::arg("version", MIXGRAD_VERSION), fmt::arg("in_shape", layout(in)), fmt::arg("in_size", in.shape.size()),
                  fmt::arg("in_range", format("{} to {}", in.low, in.high)), fmt::arg("in_step", in.step), fmt::arg("out_shape", layout(out)),
                  fmt::arg("out_size", out.shape.size()), fmt::arg("out_step", out.step), fmt::arg("arena", bytes.arena), fmt::arg("weights", bytes.weights),
                  fmt::arg("constants", bytes.constants()), fmt::arg("in_type", type(in)), fmt::arg("out_type", type(out)));
  }

  std::string source() const {
    std::string tables, calls;
    for (size_t i = 1; i < network_.nodes.size(); ++i) {
      tables += table(i);
      calls += "  " + call(i) + "\n";
    }
    const std::string block = arena_.bytes > 0 ? format("/* Where activations take turns. */\nstatic uint32_t arena[NET_ARENA_BYTES / 4];\n\n") : "";
    return format("/* {}, written by mixgrad {}. */\n#include \"net.h\"\n\n", title_, MIXGRAD_VERSION) + runtime() + tables + block +
           format("void net_run(const {} *in, {} *out) {{\n{}}}\n", type(network_.nodes[0]), type(network_.result()), calls);
  }

  std::string test(const std::vector<uint8_t>& inputs, const std::vector<int32_t>& outputs) const {
    const int64_t in = network_.nodes[0].shape.size(), out = network_.result().shape.size();
    std::vector<int> codes;
    for (const uint8_t code : inputs) codes.push_back(network_.nodes[0].is_signed() ? static_cast<int8_t>(code) : code);
    return format(R"(/* Runs the network on images and compares with what mixgrad computed; returns 0 when all outputs are equal. */
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
                  numbers(std::vector<int32_t>(outputs.begin(), outputs.begin() + std::ssize(inputs) / in * out)), type(network_.result()));
  }

 private:
  const IntegerNode& node(int i) const { return network_.nodes[static_cast<size_t>(i)]; }

  static std::string layout(const IntegerNode& n) {
    return n.shape.rank() == 3 ? format("{} x {} x {} (height, width, channels)", n.shape[1], n.shape[2], n.shape[0]) : format("{} values", n.shape[0]);
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
    const auto uses = [&](const char* op) { return std::ranges::find(network_.nodes, op, &IntegerNode::op) != network_.nodes.end(); };
    std::set<int> widths;
    for (const IntegerNode& n : network_.nodes) {
      for (const int bits : n.weight_bits) widths.insert(storage_bits(bits));
    }
    std::string out = c_runtime::codes;
    if (!widths.empty() || uses("add")) out += c_runtime::rescale;
    if (!widths.empty()) {
      std::string choice;
      for (const int bits : widths) {
        out += bits == 2 ? c_runtime::dot_2 : bits == 4 ? c_runtime::dot_4 : c_runtime::dot_8;
        choice += bits == *widths.rbegin() ? format("  return dot_{}(w, x, words);\n", bits) : format("  if (bits == {0}) return dot_{0}(w, x, words);\n", bits);
      }
      if (widths.size() == 1) choice = "  (void)bits;\n" + choice;
      out += c_runtime::layer_type + format(fmt::runtime(c_runtime::run_layer), choice);
    }
    if (uses("add")) out += c_runtime::run_add;
    if (uses("relu")) out += c_runtime::run_relu;
    if (uses("max_pool2d") || uses("avg_pool2d")) out += c_runtime::pool_type;
    if (uses("max_pool2d")) out += format(fmt::runtime(c_runtime::run_pool), "run_max_pool", "-128", "if (code > value) value = code;", "");
    if (uses("avg_pool2d")) out += format(fmt::runtime(c_runtime::run_pool), "run_avg_pool", "0", "value += code;", average);
    return out;
  }
  /// ⌊(2 sum + n) / (2n)⌋: C's division rounds toward zero, so of a negative number one less than its complement.
  static constexpr const char* average = R"(const int32_t n = p->kernel_h * p->kernel_w;
        value = 2 * value + n;
        value = value >= 0 ? value / (2 * n) : -((2 * n - 1 - value) / (2 * n));)";

  std::string table(size_t i) const {
    const IntegerNode& n = network_.nodes[i];
    if (n.is_layer()) return layer_table(i, n);
    if (n.op != "max_pool2d" && n.op != "avg_pool2d") return "";
    const kernels::Pool2dSize& p = n.pool;
    return format("/* {} */\nstatic const pool pool_{} = {{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}};\n\n", n.name, i, p.c, p.h, p.w, p.oh, p.ow, p.kh, p.kw,
                  p.stride_h, p.stride_w, p.pad_top, p.pad_left, node(n.inputs[0]).is_signed() ? 1 : 0);
  }

  std::string layer_table(size_t i, const IntegerNode& n) const {
    const kernels::Conv2dSize& s = n.conv;
    std::vector<std::string> runs;
    for (const ChannelRun& run : channel_runs(n)) runs.push_back(format("{{{}, {}}}", run.bits, run.channels));
    std::vector<int32_t> multipliers;
    std::vector<int> shifts;
    for (const FixedPoint& f : n.ratios) multipliers.push_back(f.multiplier), shifts.push_back(f.shift);
    const std::vector<int32_t> bias = n.bias.empty() ? std::vector<int32_t>(n.ratios.size()) : n.bias;
    return format("/* {} */\n", n.name) + format("static const channel_run runs_{}[{}] = {{{}}};\n", i, runs.size(), fmt::join(runs, ", ")) +
           array("uint32_t", format("weights_{}", i), pack_weights(n), "0x{:08x}u") + array("int32_t", format("bias_{}", i), bias) +
           array("int32_t", format("multiplier_{}", i), multipliers) + array("uint8_t", format("shift_{}", i), shifts) +
           format("static const layer layer_{0} = {{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}, {12}, {13}, {14}, {15}, {16}, {17}, {18},\n"
                  "                              runs_{0}, weights_{0}, bias_{0}, multiplier_{0}, shift_{0}}};\n\n",
                  i, s.h, s.w, s.c_in, s.oh, s.ow, s.c_out, s.kh, s.kw, s.stride_h, s.stride_w, s.pad_top, s.pad_left, s.dilation_h, s.dilation_w, s.groups,
                  node(n.inputs[0]).is_signed() ? 1 : 0, literal(n.low), n.high);
  }

  std::string call(size_t i) const {
    const IntegerNode& n = network_.nodes[i];
    const int at = static_cast<int>(i);
    const std::string x = bytes(n.inputs[0]);
    if (n.is_layer()) return format("run_layer(&layer_{}, {}, (int16_t *)(void *)(arena + {}), {});", i, x, arena_.patches[i] / 4, results(at));
    if (n.op == "relu") return format("run_relu({}, {}, {}, {}, {});", x, node(n.inputs[0]).is_signed() ? 1 : 0, n.shape.size(), n.high, bytes(at));
    if (n.op == "add") {
      return format("run_add({}, {}, {}, {}, {}, {}, {}, {}, {}, {});", x, node(n.inputs[0]).is_signed() ? 1 : 0, bytes(n.inputs[1]),
                    node(n.inputs[1]).is_signed() ? 1 : 0, n.shape.size(), n.ratios[0].multiplier, n.ratios[0].shift, literal(n.low), n.high, results(at));
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
  const std::vector<int32_t> expected = images > 0 ? IntegerEngine(network, images).run(test_inputs) : std::vector<int32_t>();
  return {.header = package.header(), .source = package.source(), .test = package.test(test_inputs, expected)};
}

}  // namespace mixgrad
