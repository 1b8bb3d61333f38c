// SPDX-License-Identifier: Apache-2.0
// Maxima and means of codes in windows.
#include "c_runtime.h"

#include <mixgrad/error.h>

#include <kernels/pool.h>
#include <src/internal/c_context.h>
#include <src/internal/lowering.h>
#include <src/internal/names.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/shapes.h>
#include <src/internal/tflite_context.h>
#include <src/internal/windows.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {

void op::MaxPool2d::lower(LoweringContext& c) const {
  c.out.op = integer::MaxPool2d{{.size = pool2d_size(name(), c.image(), attrs)}};
}

void op::AvgPool2d::lower(LoweringContext& c) const {
  c.out.op = integer::AvgPool2d{{.size = pool2d_size(name(), c.image(), attrs)}};
}

namespace integer {
namespace {

/// Calls pool(size, x, y) on the codes of all images as bytes of their sign.
template <typename Pool>
void pooled(const RunContext& c, Pool2dSize size, Codes out, const Pool& pool) {
  size.n = c.batch;
  const std::span<const uint8_t> x = c.codes();
  if (!c.input().is_signed()) return pool(size, x, out);
  pool(size, std::span(reinterpret_cast<const int8_t*>(x.data()), x.size()),
       std::span(reinterpret_cast<int8_t*>(out.data()), out.size()));
}

std::string table(const CContext& c, const Pool2dSize& p) {
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
                                       c.input_kind(),
                                       counted * -p.pad_top,
                                       p.h + counted * p.pad_bottom,
                                       counted * -p.pad_left,
                                       p.w + counted * p.pad_right};
  return fmt::format("/* {} */\nstatic const pool pool_{} NET_SECTION = {{{}}};\n\n", c_comment(c.node().name), c.index,
                     fmt::join(fields, ", "));
}

/// ⌊(2 sum + n) / (2n)⌋. C's division rounds toward zero, so negative numbers need a correction.
constexpr const char* c_mean =
    R"(const int32_t n = overlap(y * p->stride_h - p->pad_top, p->kernel_h, p->first_y, p->end_y) *
                          overlap(x * p->stride_w - p->pad_left, p->kernel_w, p->first_x, p->end_x);
        value = 2 * value + n;
        value = value >= 0 ? value / (2 * n) : -((2 * n - 1 - value) / (2 * n));)";

OnnxWriter::Attributes attributes(const Windows& w) {
  const auto [top, left, bottom, right] = w.padding();
  OnnxWriter::Attributes out = {{"kernel_shape", {w.kernel[0], w.kernel[1]}},
                                {"strides", {w.stride[0], w.stride[1]}},
                                {"pads", {top, left, bottom, right}}};
  if (w.dilated()) out.push_back({"dilations", {w.dilation[0], w.dilation[1]}});
  return out;
}

/// Padding that counts, which exports write out: runtimes disagree on what else a pool counts.
std::array<int64_t, 4> counted_padding(const Pool2dSize& p) {
  if (!p.count_padding) return {};
  return {p.pad_top, p.pad_left, p.pad_bottom, p.pad_right};
}

std::string average(const OnnxContext& c, const Pool2dSize& p, std::string x) {
  const std::array<int64_t, 4> padding = counted_padding(p);
  if (padding != std::array<int64_t, 4>{}) x = c.padded(x, padding, c.node.name + "/padded");
  return c.add.node("AveragePool", {x}, c.node.name + "/mean", attributes(Windows::of(p).on_padded(padding)));
}

/// Means of equally many codes, in a depthwise convolution: AVERAGE_POOL_2D would round halves down, since it rounds
/// away from the stored 0. Weights of 4 leave room for a bias of 1 that keeps even numbers of codes off a half, also in
/// kernels that round twice.
TfliteValue exact_means(const TfliteContext& c, const TfliteValue& x, const Windows& w) {
  constexpr int factor = 4;
  const int64_t count = w.kernel[0] * w.kernel[1], channels = c.node.channels();
  const float scale = 1 / static_cast<float>(factor * count);
  const std::vector<int8_t> weights(static_cast<size_t>(count * channels), int8_t{factor});
  const std::vector<int32_t> biases(static_cast<size_t>(channels), count % 2 == 0 ? 1 : 0);
  const std::string& name = c.node.name;
  const int k = c.add.tensor(name + "/equal_weights",
                             {.dims = {1, w.kernel[0], w.kernel[1], channels},
                              .scales = std::vector<float>(static_cast<size_t>(channels), scale),
                              .axis = 3},
                             weights.data(), weights.size());
  const int bias = c.add.tensor(name + "/above_half",
                                {.dims = {channels},
                                 .type = TfliteType::int32,
                                 .scales = std::vector<float>(static_cast<size_t>(channels), scale * c.input().step)},
                                biases.data(), biases.size() * sizeof(int32_t));
  const TfliteValue y = c.passed();
  c.add.node("DEPTHWISE_CONV_2D", 3, {x.tensor, k, bias}, y.tensor, options_of(w));
  return y;
}

}  // namespace

op::Sweep Pool2d::sweep(const Shape&) const { return sweep_of(size); }

void Pool2d::count(DeviceBytes& bytes) const { bytes.tables += op::MaxPool2d::constant_bytes.fixed; }

void MaxPool2d::codes(const RunContext& c, Codes out) const {
  pooled(c, size, out, [](const Pool2dSize& all, auto x, auto y) { kernels::max_pool2d(all, x, y); });
}

CText MaxPool2d::c_text(const CContext& c) const {
  const char* take = "if (code > value) value = code;";
  const char *rows = " * dilation_h", *columns = " * dilation_w";
  const auto text = fmt::runtime(c_runtime::run_pool);
  CText out{.functions = c.functions({Access::read, Access::write}, {c_runtime::pool_type}),
            .table = table(c, size),
            .call = ""};
  if (Windows::of(size).dilated()) {
    out.functions.push_back(fmt::format(text, "run_dilated_max_pool", "int32_t dilation_h, int32_t dilation_w, ",
                                        "-128", rows, columns, take, ""));
    out.call = fmt::format("run_dilated_max_pool(&pool_{}, {}, {}, {}, {}, {});", c.index, size.dilation_h,
                           size.dilation_w, c.x(), c.y(), c.kind());
  } else {
    out.functions.push_back(fmt::format(text, "run_max_pool", "", "-128", "", "", take, ""));
    out.call = fmt::format("run_max_pool(&pool_{}, {}, {}, {});", c.index, c.x(), c.y(), c.kind());
  }
  return out;
}

/// Runtimes refuse padding that is not smaller than the kernel, even if the kernel is dilated: it gets its own node.
std::string MaxPool2d::onnx(const OnnxContext& c) const {
  const std::string name = c.node.name + "/value";
  const Windows windows = Windows::of(size);
  const std::array<int64_t, 4> padding = windows.padding();
  const auto [top, left, bottom, right] = padding;
  if (std::max(top, bottom) < size.kh && std::max(left, right) < size.kw)
    return c.add.node("MaxPool", {c.operand()}, name, attributes(windows));
  const float lowest = static_cast<float>(c.input().low) * c.input().step;
  const std::string x = c.padded(c.operand(), padding, c.node.name + "/padded", lowest);
  return c.add.node("MaxPool", {x}, name, attributes(windows.on_padded(padding)));
}

/// A position outside does not count: it holds the lowest code.
TfliteValue MaxPool2d::tflite(const TfliteContext& c) const {
  Windows w = Windows::of(size);
  if (w.dilated()) bad_input("'{}': TFLite has no max pool with dilation", c.node.name);
  const TfliteValue x = c.under(w, int8_t{-128}), y = c.passed();
  c.add.node("MAX_POOL_2D", 2, {x.tensor}, y.tensor, options_of(w));
  return y;
}

void AvgPool2d::codes(const RunContext& c, Codes out) const {
  pooled(c, size, out, [](const Pool2dSize& all, auto x, auto y) { kernels::avg_pool2d(all, x, y); });
}

CText AvgPool2d::c_text(const CContext& c) const {
  const std::string run =
      fmt::format(fmt::runtime(c_runtime::run_pool), "run_avg_pool", "", "0", "", "", "value += code;", c_mean);
  return {.functions = c.functions({Access::read, Access::write}, {c_runtime::pool_type, c_runtime::overlap, run}),
          .table = table(c, size),
          .call = fmt::format("run_avg_pool(&pool_{}, {}, {}, {});", c.index, c.x(), c.y(), c.kind())};
}

/// Rounds the mean to a code, ties up, in units of codes so that ties are exact.
std::string AvgPool2d::onnx(const OnnxContext& c) const { return c.halves_up(average(c, size, c.counts())); }

/// TFLite's own padding does not count.
TfliteValue AvgPool2d::tflite(const TfliteContext& c) const {
  TfliteValue x = c.value();
  const std::array<int64_t, 4> padding = counted_padding(size);
  if (padding != std::array<int64_t, 4>{}) x = c.around(x, c.node.name + "/padded", c.input().shape, padding);
  const Windows w = Windows::of(size).on_padded(padding);
  if (is_valid(w)) return exact_means(c, x, w);
  if (!is_same(w)) {
    bad_input(
        "'{}': TFLite's AVERAGE_POOL_2D can't leave out padding {}, {}, {}, {}: expected that of SAME, or one that "
        "counts",
        c.node.name, size.pad_top, size.pad_left, size.pad_bottom, size.pad_right);
  }
  const TfliteValue y = c.passed();
  c.add.node("AVERAGE_POOL_2D", 2, {x.tensor}, y.tensor, options_of(w));
  return y;
}

}  // namespace integer

}  // namespace mixgrad
