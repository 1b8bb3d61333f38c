// SPDX-License-Identifier: Apache-2.0
// Maxima and means of codes in windows.
#include "c_runtime.h"

#include <mixgrad/error.h>

#include <src/internal/c_context.h>
#include <src/internal/lowering.h>
#include <src/internal/names.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/shapes.h>
#include <src/internal/tflite_context.h>
#include <src/internal/tflite_context.h>

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

/// Calls tap(code) for every element within the image of one window of channel c.
template <typename Tap>
void for_each_tap(const Pool2dSize& s, const uint8_t* image, int64_t oy, int64_t ox, int64_t c, const Tap& tap) {
  for (int64_t ky = 0; ky < s.kh; ++ky) {
    for (int64_t kx = 0; kx < s.kw; ++kx) {
      const int64_t iy = oy * s.stride_h + ky * s.dilation_h - s.pad_top;
      const int64_t ix = ox * s.stride_w + kx * s.dilation_w - s.pad_left;
      if (iy >= 0 && iy < s.h && ix >= 0 && ix < s.w) tap(image[(iy * s.w + ix) * s.c + c]);
    }
  }
}

/// Calls reduce(each, count) for every window: each(take) calls take(code) for its codes, and count is the mean's
/// divisor.
template <typename Reduce>
Codes pooled(const RunContext& c, const Pool2dSize& s, const Reduce& reduce) {
  const IntegerNode& input = c.input();
  Codes out;
  out.reserve(static_cast<size_t>(c.batch * c.node.shape.size()));
  for (int64_t i = 0; i < c.batch * s.oh * s.ow; ++i) {
    const uint8_t* image = c.codes().data() + i / (s.oh * s.ow) * s.h * s.w * s.c;
    const int64_t oy = i / s.ow % s.oh, ox = i % s.ow;
    for (int64_t channel = 0; channel < s.c; ++channel) {
      const auto each = [&](const auto& take) {
        for_each_tap(s, image, oy, ox, channel, [&](uint8_t code) { take(read(input, code)); });
      };
      out.push_back(static_cast<uint8_t>(reduce(each, kernels::pool2d_count(s, oy, ox))));
    }
  }
  return out;
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
                                       c.input_signed(),
                                       counted * -p.pad_top,
                                       p.h + counted * p.pad_bottom,
                                       counted * -p.pad_left,
                                       p.w + counted * p.pad_right};
  return fmt::format("/* {} */\nstatic const pool pool_{} = {{{}}};\n\n", c_comment(c.node().name), c.index,
                     fmt::join(fields, ", "));
}

bool dilated(const Pool2dSize& s) { return s.dilation_h > 1 || s.dilation_w > 1; }

/// ⌊(2 sum + n) / (2n)⌋. C's division rounds toward zero, so negative numbers need a correction.
constexpr const char* c_mean =
    R"(const int32_t n = overlap(y * p->stride_h - p->pad_top, p->kernel_h, p->first_y, p->end_y) *
                          overlap(x * p->stride_w - p->pad_left, p->kernel_w, p->first_x, p->end_x);
        value = 2 * value + n;
        value = value >= 0 ? value / (2 * n) : -((2 * n - 1 - value) / (2 * n));)";

/// The given padding before an image of h rows and w columns, and after it as much as the last windows reach.
OnnxWriter::Attributes window(const Pool2dSize& p, int64_t top, int64_t left, int64_t h, int64_t w) {
  const int64_t span_h = (p.kh - 1) * p.dilation_h + 1, span_w = (p.kw - 1) * p.dilation_w + 1;
  const int64_t bottom = (p.oh - 1) * p.stride_h + span_h - h - top,
                right = (p.ow - 1) * p.stride_w + span_w - w - left;
  OnnxWriter::Attributes out = {{"kernel_shape", {p.kh, p.kw}},
                                {"strides", {p.stride_h, p.stride_w}},
                                {"pads", {top, left, std::max<int64_t>(0, bottom), std::max<int64_t>(0, right)}}};
  if (dilated(p)) out.push_back({"dilations", {p.dilation_h, p.dilation_w}});
  return out;
}

TfliteWindows windows(const Pool2dSize& p) {
  return {.h = p.h,
          .w = p.w,
          .oh = p.oh,
          .ow = p.ow,
          .kernel = {p.kh, p.kw},
          .stride = {p.stride_h, p.stride_w},
          .top = p.pad_top,
          .left = p.pad_left};
}

/// Padding that counts gets its own node, because runtimes disagree on what else an AveragePool counts.
std::string average(const OnnxContext& c, const Pool2dSize& p, std::string x) {
  const std::string& name = c.node.name;
  if (!p.count_padding)
    return c.add.node("AveragePool", {x}, name + "/mean", window(p, p.pad_top, p.pad_left, p.h, p.w));
  if (p.pad_top + p.pad_left + p.pad_bottom + p.pad_right > 0) {
    x = c.padded(x, {p.pad_top, p.pad_left, p.pad_bottom, p.pad_right}, name + "/padded");
  }
  return c.add.node("AveragePool", {x}, name + "/mean",
                    window(p, 0, 0, p.h + p.pad_top + p.pad_bottom, p.w + p.pad_left + p.pad_right));
}

}  // namespace

void Pool2d::count(DeviceBytes& bytes) const { bytes.tables += op::MaxPool2d::constant_bytes.fixed; }

Codes MaxPool2d::codes(const RunContext& c) const {
  return pooled(c, size, [&](const auto& each, int64_t) {
    int largest = c.input().low;
    each([&](int code) { largest = std::max(largest, code); });
    return largest;
  });
}

CText MaxPool2d::c_text(const CContext& c) const {
  const char* take = "if (code > value) value = code;";
  const char *rows = " * dilation_h", *columns = " * dilation_w";
  const auto text = fmt::runtime(c_runtime::run_pool);
  CText out{.functions = {c_runtime::codes, c_runtime::pool_type}, .table = table(c, size), .call = ""};
  if (dilated(size)) {
    out.functions.push_back(fmt::format(text, "run_dilated_max_pool", "int32_t dilation_h, int32_t dilation_w, ",
                                        "-128", rows, columns, take, ""));
    out.call = fmt::format("run_dilated_max_pool(&pool_{}, {}, {}, {}, {});", c.index, size.dilation_h, size.dilation_w,
                           c.x(), c.y());
  } else {
    out.functions.push_back(fmt::format(text, "run_max_pool", "", "-128", "", "", take, ""));
    out.call = fmt::format("run_max_pool(&pool_{}, {}, {});", c.index, c.x(), c.y());
  }
  return out;
}

/// Runtimes refuse padding that is not smaller than the kernel, even if the kernel is dilated: it gets its own node.
std::string MaxPool2d::onnx(const OnnxContext& c) const {
  const std::string name = c.node.name + "/value";
  const OnnxWriter::Attributes whole = window(size, size.pad_top, size.pad_left, size.h, size.w);
  const std::vector<int64_t>& pads = whole[2].second;
  if (std::max(pads[0], pads[2]) < size.kh && std::max(pads[1], pads[3]) < size.kw)
    return c.add.node("MaxPool", {c.operand()}, name, whole);
  const float lowest = static_cast<float>(c.input().low) * c.input().step;
  const std::string x = c.padded(c.operand(), {pads[0], pads[1], pads[2], pads[3]}, c.node.name + "/padded", lowest);
  return c.add.node("MaxPool", {x}, name, window(size, 0, 0, size.h + pads[0] + pads[2], size.w + pads[1] + pads[3]));
}

/// A position outside does not count: it holds the lowest code.
TfliteValue MaxPool2d::tflite(const TfliteContext& c) const {
  if (dilated(size)) bad_input("'{}': TFLite has no max pool with dilation", c.node.name);
  TfliteWindows w = windows(size);
  const TfliteValue x = c.under(w, int8_t{-128}), y = c.passed();
  c.add.node("MAX_POOL_2D", 2, {x.tensor}, y.tensor, {.same = !w.valid(), .kernel = w.kernel, .stride = w.stride});
  return y;
}

Codes AvgPool2d::codes(const RunContext& c) const {
  return pooled(c, size, [](const auto& each, int64_t count) {
    int sum = 0;
    each([&](int code) { sum += code; });
    const auto n = static_cast<double>(count);
    return static_cast<int>(std::floor((2.0 * sum + n) / (2.0 * n)));
  });
}

CText AvgPool2d::c_text(const CContext& c) const {
  return {.functions = {c_runtime::codes, c_runtime::pool_type, c_runtime::overlap,
                        fmt::format(fmt::runtime(c_runtime::run_pool), "run_avg_pool", "", "0", "", "",
                                    "value += code;", c_mean)},
          .table = table(c, size),
          .call = fmt::format("run_avg_pool(&pool_{}, {}, {});", c.index, c.x(), c.y())};
}

/// Rounds the mean to a code, ties up, in units of codes so that ties are exact.
std::string AvgPool2d::onnx(const OnnxContext& c) const {
  const std::string& name = c.node.name;
  const std::string x = c.operand();
  const std::string step = c.add.number(name + "/scale", c.node.step);
  const std::string quotients = c.add.node("Div", {x, step}, name + "/quotients");
  const std::string counts = c.add.node("Round", {quotients}, name + "/counts");
  const std::string mean = average(c, size, counts);
  const std::string raised = c.add.node("Add", {mean, c.add.number(name + "/half", 0.5F)}, name + "/raised");
  return c.add.node("Mul", {c.add.node("Floor", {raised}, name + "/rounded"), step}, name + "/value");
}

/// Padding that counts is written out; TFLite's own does not count.
TfliteValue AvgPool2d::tflite(const TfliteContext& c) const {
  TfliteWindows w = windows(size);
  TfliteValue x = c.value();
  const std::array<int64_t, 4> padding = {size.pad_top, size.pad_left, size.pad_bottom, size.pad_right};
  if (size.count_padding && padding != std::array<int64_t, 4>{}) {
    x = c.around(x, c.node.name + "/padded", c.input().shape, padding);
    w.h += padding[0] + padding[2];
    w.w += padding[1] + padding[3];
    w.top = w.left = 0;
  }
  if (!w.valid() && !w.same()) {
    bad_input("'{}': TFLite's AVERAGE_POOL_2D can't leave out padding {}: expected that of SAME, or one that counts",
              c.node.name, fmt::join(padding, ", "));
  }
  const TfliteValue y = c.passed();
  c.add.node("AVERAGE_POOL_2D", 2, {x.tensor}, y.tensor, {.same = !w.valid(), .kernel = w.kernel, .stride = w.stride});
  return y;
}

}  // namespace integer

}  // namespace mixgrad
