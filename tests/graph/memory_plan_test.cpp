// SPDX-License-Identifier: Apache-2.0
// Outputs that run into inputs in the memory of the C package: the gap between them against every single read and
// write of the C code, and the plans that use it.
#include "../dice.h"

#include <mixgrad/integer.h>

#include <src/internal/memory_plan.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

using namespace mixgrad;
using device::Schedule;
using test::Dice;

namespace {

/// Follows an operator's reads and writes. Addresses are relative to the first byte of the input and of the output.
struct Memory {
  int64_t written = INT64_MIN, needed = INT64_MIN;  ///< end of what is written; the gap that this and the reads need
  bool apart_at_start = true;  ///< no byte is read after it was written, where input and output have one first byte
  std::vector<bool> overwritten = std::vector<bool>(1 << 16);

  void read(int64_t at) {
    if (written > INT64_MIN) needed = std::max(needed, written - at);
    apart_at_start = apart_at_start && !overwritten[static_cast<size_t>(at)];
  }
  void write(int64_t at) {
    written = std::max(written, at + 1);
    overwritten[static_cast<size_t>(at)] = true;
  }
};

/// A convolution or pool, as the functions of the C package see it.
struct Windows {
  Conv2dSize size;
  std::array<int64_t, 2> apart{1, 1};

  int64_t in_w() const { return (size.w - 1) / apart[1] + 1; }

  /// Reads `count` channels, from `first` on, under the kernel at an output position.
  void read(Memory& memory, int64_t position, int64_t first, int64_t count) const {
    for (int64_t k = 0; k < size.kh * size.kw; ++k) {
      const int64_t y = position / size.ow * size.stride_h + k / size.kw * size.dilation_h - size.pad_top;
      const int64_t x = position % size.ow * size.stride_w + k % size.kw * size.dilation_w - size.pad_left;
      if (y < 0 || y >= size.h || x < 0 || x >= size.w || y % apart[0] != 0 || x % apart[1] != 0) continue;
      for (int64_t c = first; c < first + count; ++c)
        memory.read((y / apart[0] * in_w() + x / apart[1]) * size.c_in + c);
    }
  }

  Memory singly() const {
    Memory memory;
    for (int64_t at = 0; at < size.oh * size.ow * size.c_out; ++at) {
      read(memory, at / size.c_out, at % size.c_out, 1);
      memory.write(at);
    }
    return memory;
  }

  /// run_layer
  Memory in_groups() const {
    Memory memory;
    const int64_t all = size.oh * size.ow, in = size.c_in / size.groups, out = size.c_out / size.groups;
    for (int64_t at = 0; at < all; at += 4) {
      const int64_t end = std::min(at + 4, all);
      for (int64_t group = 0; group < size.groups; ++group) {
        for (int64_t p = at; p < end; ++p) read(memory, p, group * in, in);
        for (int64_t i = 0; i < (end - at) * out; ++i)
          memory.write((at + i / out) * size.c_out + group * out + i % out);
      }
    }
    return memory;
  }

  /// run_depthwise; channels that it computes a second time, with weights of 0, may read anything.
  Memory by_channel() const {
    Memory memory;
    const int64_t span = (size.kh - 1) * size.dilation_h + 1;
    for (int64_t c = 0; c < size.c_out; ++c) {
      int64_t loaded = 0;
      for (int64_t y = 0; y < size.oh; ++y) {
        for (; loaded < y * size.stride_h + span; ++loaded) {
          const int64_t row = loaded - size.pad_top;
          for (int64_t x = 0; x < size.w && row >= 0 && row < size.h; ++x)
            memory.read((row * size.w + x) * size.c_in + c);
        }
        for (int64_t x = 0; x < size.ow; ++x) memory.write((y * size.ow + x) * size.c_out + c);
      }
    }
    return memory;
  }
};

Windows random_windows(Dice& dice) {
  for (;;) {
    Windows w;
    Conv2dSize& s = w.size;
    s = {.n = 1,
         .c_in = dice.from(1, 3),
         .h = dice.from(1, 9),
         .w = dice.from(1, 9),
         .c_out = dice.from(1, 5),
         .oh = 0,
         .ow = 0,
         .kh = dice.from(1, 4),
         .kw = dice.from(1, 4),
         .stride_h = dice.from(1, 3),
         .stride_w = dice.from(1, 3),
         .groups = dice.from(1, 3)};
    s.dilation_h = dice.from(0, 3) == 0 ? 2 : 1;
    s.dilation_w = dice.from(0, 3) == 0 ? 2 : 1;
    const int64_t rows = (s.kh - 1) * s.dilation_h + 1, columns = (s.kw - 1) * s.dilation_w + 1;
    s.pad_top = dice.from(0, rows - 1);
    s.pad_left = dice.from(0, columns - 1);
    s.oh = (s.h + s.pad_top + dice.from(0, rows - 1) - rows) / s.stride_h + 1;
    s.ow = (s.w + s.pad_left + dice.from(0, columns - 1) - columns) / s.stride_w + 1;
    s.c_in *= s.groups;
    s.c_out *= s.groups;
    if (s.oh > 0 && s.ow > 0) return w;
  }
}

op::Sweep sweep(const Windows& w) { return integer::Conv2d{{.size = w.size}}.sweep({w.size.c_in, w.size.h, w.size.w}); }

int64_t bytes(const device::Gap& gap, const Conv2dSize& s) { return gap.written * s.c_out - gap.unread * s.c_in; }
device::Gap gap_of(const op::Sweep& sweep, Schedule schedule, const Conv2dSize& s) {
  return device::gap_of(sweep, schedule, static_cast<double>(s.c_in), static_cast<double>(s.c_out));
}

constexpr int shapes = 3000;

}  // namespace

TEST_CASE("overlap: the gap of a layer with patches is what its reads and writes need") {
  Dice dice(1, "windows");
  int overlapping = 0;
  for (int i = 0; i < shapes; ++i) {
    const Windows w = random_windows(dice);
    const Conv2dSize& s = w.size;
    const device::Gap gap = gap_of(sweep(w), device::schedule(false, s.groups), s);
    const int64_t needed = std::max<int64_t>(0, w.in_groups().needed);
    CAPTURE(i);
    CHECK_FALSE(gap.at_start);
    CHECK(bytes(gap, s) >= needed);
    if (s.dilation_h > 1 || s.dilation_w > 1) continue;
    CHECK(bytes(gap, s) <= needed + (s.groups > 1 ? s.c_in + s.c_out : 0));
    overlapping += bytes(gap, s) < s.oh * s.ow * s.c_out ? 1 : 0;
  }
  CHECK(overlapping > shapes / 4);
}

TEST_CASE("overlap: the gap of a pool is what its reads and writes need") {
  Dice dice(2, "windows");
  for (int i = 0; i < shapes; ++i) {
    Windows w = random_windows(dice);
    w.size.c_out = w.size.c_in;
    const int64_t gap = bytes(gap_of(sweep(w), Schedule::singly, w.size), w.size), needed = w.singly().needed;
    CAPTURE(i);
    CHECK(gap >= needed);
    if (w.size.dilation_h == 1 && w.size.dilation_w == 1) CHECK(gap == std::max<int64_t>(0, needed));
  }
}

TEST_CASE("overlap: the gap of a transposed convolution is enough") {
  Dice dice(3, "windows");
  for (int i = 0; i < shapes; ++i) {
    Windows w = random_windows(dice);
    w.size.stride_h = w.size.stride_w = 1;
    w.apart = {dice.from(1, 3), dice.from(1, 3)};
    Conv2dSize& s = w.size;
    const Shape input{s.c_in, dice.from(1, 5), dice.from(1, 5)};
    s.h = (input[1] - 1) * w.apart[0] + 1;
    s.w = (input[2] - 1) * w.apart[1] + 1;
    s.oh = std::max<int64_t>(1, s.h + s.pad_top - (s.kh - 1) * s.dilation_h);
    s.ow = std::max<int64_t>(1, s.w + s.pad_left - (s.kw - 1) * s.dilation_w);
    const integer::ConvTranspose2d layer{{.size = s}, {.stride = w.apart}};
    const int64_t gap = bytes(gap_of(layer.sweep(input), device::schedule(false, s.groups), s), s);
    CAPTURE(i);
    CHECK(gap >= w.in_groups().needed);
  }
}

TEST_CASE("overlap: a depthwise layer may begin where its input does if its ring has all rows in time") {
  Dice dice(4, "windows");
  int at_start = 0;
  for (int i = 0; i < shapes; ++i) {
    Windows w = random_windows(dice);
    w.size.groups = w.size.c_out = w.size.c_in;
    const device::Gap gap = gap_of(sweep(w), device::schedule(true, w.size.groups), w.size);
    CAPTURE(i);
    CHECK(gap.at_start == w.by_channel().apart_at_start);
    CHECK(bytes(gap, w.size) == (gap.at_start ? 0 : w.size.oh * w.size.ow * w.size.c_out));
    at_start += gap.at_start ? 1 : 0;
  }
  CHECK(at_start > shapes / 2);
  CHECK(at_start < shapes);
}

TEST_CASE("overlap: known gaps") {
  const auto gap = [](const Conv2dSize& s, Schedule schedule) {
    return bytes(gap_of(sweep({.size = s}), schedule, s), s);
  };
  const auto conv = [](int64_t in, int64_t out, int64_t size, int64_t kernel, int64_t stride) {
    const int64_t padding = kernel / 2, written = (size + 2 * padding - kernel) / stride + 1;
    return Conv2dSize{.n = 1,
                      .c_in = in,
                      .h = size,
                      .w = size,
                      .c_out = out,
                      .oh = written,
                      .ow = written,
                      .kh = kernel,
                      .kw = kernel,
                      .stride_h = stride,
                      .stride_w = stride,
                      .pad_top = padding,
                      .pad_left = padding};
  };
  // After 8 of 16 positions of a row, those of the row above are still read from the position 7 on.
  CHECK(gap(conv(4, 4, 16, 3, 1), Schedule::dense) == (16 + 1) * 4);
  CHECK(gap(conv(4, 4, 16, 1, 1), Schedule::dense) == 0);
  CHECK(gap(conv(8, 4, 16, 1, 1), Schedule::dense) == 0);
  CHECK(gap(conv(4, 8, 16, 1, 1), Schedule::dense) == (256 - 4) * 4);  // before the last patch
  CHECK(gap(conv(4, 4, 16, 1, 2), Schedule::dense) == 0);
  CHECK(gap(conv(4, 4, 16, 2, 2), Schedule::singly) == 0);
  CHECK(gap(conv(4, 4, 16, 3, 1), Schedule::singly) == (16 + 1) * 4);
  CHECK(gap(conv(4, 4, 1, 3, 1), Schedule::dense) == 0);  // one position
}

namespace {

/// A random network: steps that overlap in every way, some with several readers, and patches.
std::vector<device::Step> random_steps(Dice& dice) {
  std::vector<device::Step> steps(1);
  const int64_t count = dice.from(1, 12);
  for (int i = 1; i <= count; ++i) {
    device::Step step{
        .inputs = {static_cast<int>(std::max<int64_t>(0, i - (dice.from(0, 3) == 0 ? dice.from(1, 3) : 1)))},
        .overlap = static_cast<op::Overlap>(dice.from(0, 2)),
        .bytes = 4 * dice.from(1, 8),
        .patch = dice.from(0, 2) == 0 ? 4 * dice.from(1, 4) : 0};
    if (dice.from(0, 3) == 0) step.bytes = steps.back().bytes;
    if (step.overlap != op::Overlap::in_order && i > 1) step.inputs.push_back(static_cast<int>(dice.from(0, i - 1)));
    step.at_start = dice.from(0, 3) == 0;
    step.gap = step.at_start ? 0 : 4 * dice.from(0, step.bytes / 4);
    steps.push_back(step);
  }
  return steps;
}

/// Whether two blocks that are in use at the same time are apart, or run into each other as far as they may.
bool fits(const device::Plan& plan, int a, int b) {
  const device::Block &x = plan.blocks[static_cast<size_t>(a)], &y = plan.blocks[static_cast<size_t>(b)];
  if (!x.meets(y) || x.offset + x.bytes <= y.offset || y.offset + y.bytes <= x.offset) return true;
  if (y.into == a) return fits(plan, b, a);
  if (x.into != b || x.first != y.last) return false;
  return x.at_start ? x.offset == y.offset : x.offset + x.gap <= y.offset;
}

}  // namespace

TEST_CASE("memory plan: blocks run into each other only as far as they may, and never need more memory for it") {
  Dice dice(5, "steps");
  int smaller = 0;
  for (int i = 0; i < shapes; ++i) {
    std::vector<device::Step> steps = random_steps(dice);
    const std::vector<int> outputs = {static_cast<int>(std::ssize(steps)) - 1};
    const device::Plan plan = device::plan_memory(steps, outputs);
    CAPTURE(i);
    int64_t stacked = 0;
    for (const device::Part& part : plan.peak) {
      const device::Block& b = plan.blocks[static_cast<size_t>(part.block)];
      CHECK(b.offset == stacked);
      stacked += part.gap ? b.gap : b.bytes;
    }
    CHECK(stacked == plan.bytes);
    for (int a = 0; a < std::ssize(plan.blocks); ++a) {
      const device::Block& block = plan.blocks[static_cast<size_t>(a)];
      CHECK(block.offset % device::word_bytes == 0);
      CHECK(block.offset + block.bytes <= plan.bytes);
      for (int b = 0; b < a; ++b) CHECK(fits(plan, a, b));
    }
    for (device::Step& step : steps)
      if (step.overlap == op::Overlap::in_order) step.overlap = op::Overlap::none;
    const int64_t apart = device::plan_memory(steps, outputs).bytes;
    CHECK(plan.bytes <= apart);
    smaller += plan.bytes < apart ? 1 : 0;
  }
  CHECK(smaller > shapes / 10);
}

TEST_CASE("memory plan: a chain of layers needs the largest tensor and the gaps of the chain") {
  std::vector<device::Step> steps(1);
  for (int i = 1; i <= 5; ++i)
    steps.push_back({.inputs = {i - 1}, .overlap = op::Overlap::in_order, .bytes = 1000, .gap = 40});
  CHECK(device::plan_memory(steps, {5}).bytes == 1000 + 3 * 40);
  for (device::Step& step : steps) step.at_start = true, step.gap = 0;
  CHECK(device::plan_memory(steps, {5}).bytes == 1000);
  steps.push_back({.inputs = {1}, .bytes = 4});  // reads the first tensor last: nothing overwrites it
  CHECK(device::plan_memory(steps, {5}).bytes == 2000);
}
