// SPDX-License-Identifier: Apache-2.0
// products-bench [THREADS]: runs layers with the direct kernels, Eigen's product and oneDNN, interleaved. Each thread
// makes its own calls, like micro-batches. Prints multiply-accumulates per CPU second of a thread, as medians over the
// rounds.
#include "layers.h"

#include <kernels/cpu.h>
#include <kernels/gemm.h>
#include <kernels/product.h>
#include <kernels/reduce.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <string_view>

#ifdef _OPENMP
#include <omp.h>
#endif
#include <time.h>

using namespace mixgrad::layers;

#define MIXGRAD_DECLARE_DIRECT(space)                                                                                \
  namespace mixgrad::kernels::space {                                                                                \
  void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,  \
              std::span<float> y);                                                                                   \
  void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx);             \
  void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias); \
  }
MIXGRAD_DECLARE_DIRECT(direct_baseline)
#ifdef MIXGRAD_DIRECT_AVX512
MIXGRAD_DECLARE_DIRECT(direct_avx2)
MIXGRAD_DECLARE_DIRECT(direct_avx512)
#endif

namespace {

constexpr int rounds = 41;
constexpr double seconds_of_round = 5e-4;
constexpr int64_t pixels_of_product = 256;

using Run = std::function<void(const k::Conv2dSize&, LayerCase&, Direction)>;

struct Way {
  std::string name;
  Run run;
};

template <auto Forward, auto GradX, auto GradW>
void directly(const k::Conv2dSize& s, LayerCase& c, Direction direction) {
  if (direction == Direction::forward) Forward(s, c.x, c.w, c.bias, c.y);
  if (direction == Direction::grad_x) GradX(s, c.y, c.w, grad(c.gx));
  if (direction == Direction::grad_w) GradW(s, c.x, c.y, grad(c.gw), grad(c.gbias));
}

#define MIXGRAD_DIRECT(space) directly<k::space::conv2d, k::space::conv2d_grad_x, k::space::conv2d_grad_w>

bool is_pointwise(const k::Conv2dSize& s) { return s.kh * s.kw == 1 && s.stride_h == 1; }

/// Calls body(column in the matrix of windows, offset in x or -1 for padding) for runs of c_in values of image 0.
template <typename Body>
void for_each_run(const k::Conv2dSize& s, const Body& body) {
  int64_t at = 0;
  for (int64_t oy = 0; oy < s.oh; ++oy)
    for (int64_t ox = 0; ox < s.ow; ++ox)
      for (int64_t ky = 0; ky < s.kh; ++ky)
        for (int64_t kx = 0; kx < s.kw; ++kx, at += s.c_in) {
          const int64_t y = oy * s.stride_h - s.pad_top + ky, x = ox * s.stride_w - s.pad_left + kx;
          body(at, y >= 0 && y < s.h && x >= 0 && x < s.w ? (y * s.w + x) * s.c_in : -1);
        }
}

/// A convolution as a matrix product of pixels, or of windows that are copied image by image.
class ByProduct {
 public:
  explicit ByProduct(k::Multiply* multiply) : multiply_(multiply) {}

  void operator()(const k::Conv2dSize& s, LayerCase& c, Direction direction) const {
    const int64_t step = is_pointwise(s) ? std::min(pixels_of_product, s.n * s.oh * s.ow) : s.oh * s.ow;
    for (int64_t p = 0; p < s.n * s.oh * s.ow; p += step) {
      const int64_t rows = std::min(step, s.n * s.oh * s.ow - p);
      const int64_t image = is_pointwise(s) ? p * s.c_in : p / step * s.h * s.w * s.c_in;
      block(s, c, direction, rows, p == 0, c.x.data() + image, c.gx.data() + image, c.y.data() + p * s.c_out);
    }
    if (direction == Direction::grad_w) k::column_sums(s.n * s.oh * s.ow, s.c_out, c.y, grad(c.gbias));
  }

 private:
  void block(const k::Conv2dSize& s, LayerCase& c, Direction direction, int64_t rows, bool first, const float* x,
             float* gx, float* y) const {
    const int64_t depth = s.kh * s.kw * s.c_in;
    const k::Factor weights{c.w.data(), depth}, outputs{y, s.c_out};
    if (direction == Direction::forward) {
      for (int64_t r = 0; r < rows; ++r) std::copy_n(c.bias.data(), s.c_out, y + r * s.c_out);
      multiply_(rows, s.c_out, depth, {windows(s, x), depth}, {c.w.data(), depth, true}, true, y);
    } else if (direction == Direction::grad_w) {
      multiply_(s.c_out, depth, rows, {y, s.c_out, true}, {windows(s, x), depth}, !first, c.gw.data());
    } else if (is_pointwise(s)) {
      multiply_(rows, depth, s.c_out, outputs, weights, false, gx);
    } else {
      Floats& columns = buffer(rows * depth);
      multiply_(rows, depth, s.c_out, outputs, weights, false, columns.data());
      std::fill_n(gx, s.h * s.w * s.c_in, 0.0F);
      for_each_run(s, [&](int64_t at, int64_t to) {
        if (to >= 0)
          for (int64_t i = 0; i < s.c_in; ++i) gx[to + i] += columns[static_cast<size_t>(at + i)];
      });
    }
  }

  static const float* windows(const k::Conv2dSize& s, const float* x) {
    if (is_pointwise(s)) return x;
    Floats& columns = buffer(s.oh * s.ow * s.kh * s.kw * s.c_in);
    for_each_run(s, [&](int64_t at, int64_t from) {
      if (from >= 0)
        std::copy_n(x + from, s.c_in, columns.data() + at);
      else
        std::fill_n(columns.data() + at, s.c_in, 0.0F);
    });
    return columns.data();
  }

  static Floats& buffer(int64_t size) {
    thread_local Floats columns;
    if (std::ssize(columns) < size) columns.resize(static_cast<size_t>(size));
    return columns;
  }

  k::Multiply* multiply_;
};

void by_library(const k::Conv2dSize& s, LayerCase& c, Direction direction) {
  if (s.h * s.w > 1) {
    if (direction == Direction::forward) k::conv2d(s, c.x, c.w, c.bias, c.y);
    if (direction == Direction::grad_x) k::conv2d_grad_x(s, c.y, c.w, grad(c.gx));
    if (direction == Direction::grad_w) k::conv2d_grad_w(s, c.x, c.y, grad(c.gw), grad(c.gbias));
  } else {
    if (direction == Direction::forward) k::linear(s.n, s.c_in, s.c_out, c.x, c.w, c.bias, c.y);
    if (direction == Direction::grad_x) k::linear_grad_x(s.n, s.c_in, s.c_out, c.y, c.w, grad(c.gx));
    if (direction == Direction::grad_w) k::linear_grad_w(s.n, s.c_in, s.c_out, c.x, c.y, grad(c.gw), grad(c.gbias));
  }
}

std::vector<Way> all_ways() {
  std::vector<Way> ways;
  for (const k::eigen::Product& product : k::eigen::products()) {
    const std::string_view set = product.instruction_set;
    if (set == "baseline") ways.push_back({"direct baseline", MIXGRAD_DIRECT(direct_baseline)});
#ifdef MIXGRAD_DIRECT_AVX512
    if (set == "avx2") ways.push_back({"direct avx2", MIXGRAD_DIRECT(direct_avx2)});
    if (set == "avx512") ways.push_back({"direct avx512", MIXGRAD_DIRECT(direct_avx512)});
#endif
    ways.push_back({fmt::format("Eigen {}", set), ByProduct(product.multiply)});
  }
  if (!k::onednn_version().empty()) ways.push_back({"oneDNN", by_library});
  return ways;
}

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// CPU seconds per call, the mean over threads that make `calls` calls each.
double measure(const Run& run, const k::Conv2dSize& s, std::vector<LayerCase>& cases, Direction direction, int calls) {
  double total = 0;
#pragma omp parallel for reduction(+ : total) num_threads(static_cast <int>(cases.size())) schedule(static, 1)
  for (size_t t = 0; t < cases.size(); ++t) {
    const double start = cpu_seconds();
    for (int i = 0; i < calls; ++i) run(s, cases[t], direction);
    total += cpu_seconds() - start;
  }
  return total / calls / static_cast<double>(cases.size());
}

/// Totals over the layers of one kind, each counted as often as its network has it.
struct Total {
  double macs = 0;
  std::vector<double> seconds;
};

class Table {
 public:
  Table(std::vector<Way> ways, int threads) : ways_(std::move(ways)), threads_(threads) {
    fmt::print("| GMAC/s, threads: {} | |", threads);
    for (const Way& way : ways_) fmt::print(" {} |", way.name);
    fmt::print("\n|---|---|");
    for (size_t i = 0; i < ways_.size(); ++i) fmt::print("---|");
    fmt::print("\n");
  }

  /// Prints a row per direction of a layer, which counts `layers` times in the totals of its kind.
  void add(const std::string& name, const std::string& kind, int layers, const k::Conv2dSize& s) {
    std::vector<LayerCase> cases(static_cast<size_t>(threads_), LayerCase(s));
    const double macs = static_cast<double>(s.n * s.oh * s.ow * std::ssize(cases[0].w));
    for (const auto& [label, direction] :
         {std::pair{"forward", Direction::forward}, {"∂x", Direction::grad_x}, {"∂w", Direction::grad_w}}) {
      const std::vector<double> seconds = medians(s, cases, direction);
      print_row(name, label, macs, seconds);
      Total& total = totals_[{kind, label}];
      total.seconds.resize(seconds.size());
      total.macs += layers * macs;
      for (size_t i = 0; i < seconds.size(); ++i) total.seconds[i] += layers * seconds[i];
    }
  }

  void print_totals() const {
    for (const auto& [key, total] : totals_) print_row(key.first, key.second, total.macs, total.seconds);
  }

 private:
  std::vector<double> medians(const k::Conv2dSize& s, std::vector<LayerCase>& cases, Direction direction) const {
    for (const Way& way : ways_) measure(way.run, s, cases, direction, 2);
    const double once = measure(ways_[0].run, s, cases, direction, 2);
    const int calls = std::max(1, static_cast<int>(seconds_of_round / once));
    std::vector<std::vector<double>> seconds(ways_.size());
    for (int round = 0; round < rounds; ++round)
      for (size_t i = 0; i < ways_.size(); ++i) seconds[i].push_back(measure(ways_[i].run, s, cases, direction, calls));
    std::vector<double> out;
    for (std::vector<double>& times : seconds) {
      std::ranges::nth_element(times, times.begin() + rounds / 2);
      out.push_back(times[rounds / 2]);
    }
    return out;
  }

  static void print_row(const std::string& name, const std::string& label, double macs,
                        const std::vector<double>& seconds) {
    fmt::print("| {} | {} |", name, label);
    for (const double t : seconds) fmt::print(" {:.1f} |", 1e-9 * macs / t);
    fmt::print("\n");
    std::fflush(stdout);
  }

  std::vector<Way> ways_;
  int threads_;
  std::map<std::pair<std::string, std::string>, Total> totals_;
};

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
#ifdef _OPENMP
  omp_set_num_threads(threads);
#endif
  Table table(all_ways(), threads);
  for (const ConvShape& shape : conv_shapes) {
    const k::Conv2dSize s = shape.size();
    const char* kind = is_pointwise(s) ? "1x1" : "windows";
    if (!shape.depthwise) table.add(shape.name(), fmt::format("all of {}, {}", shape.network, kind), shape.layers, s);
  }
  for (const LinearShape& l : linear_shapes)
    table.add(fmt::format("{}/{}_to_{}_x{}", l.network, l.in, l.out, l.layers),
              fmt::format("all of {}, linear", l.network), l.layers,
              {.n = images, .c_in = l.in, .h = 1, .w = 1, .c_out = l.out, .oh = 1, .ow = 1, .kh = 1, .kw = 1});
  table.print_totals();
}
