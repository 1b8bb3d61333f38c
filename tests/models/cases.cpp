// SPDX-License-Identifier: Apache-2.0
#include "cases.h"

#include "../worse.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

namespace mixgrad::test {
namespace {

int64_t product(const std::vector<int64_t>& dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

/// Permutes images [N, C, H, W] to N, H, W, C, or back.
std::vector<float> moved(const std::vector<float>& values, int64_t channels, int64_t positions, bool to_last) {
  std::vector<float> out(values.size());
  for (size_t k = 0; k < values.size(); ++k) {
    const auto i = static_cast<int64_t>(k), p = i % positions, c = i / positions % channels,
               n = i / (positions * channels);
    const auto last = static_cast<size_t>((n * positions + p) * channels + c);
    out[to_last ? last : k] = values[to_last ? k : last];
  }
  return out;
}

/// Whether the file's input is [N, H, W, C], or [N, L, C] for signals.
bool channels_last(const models::Model& model, const Array& x) {
  const Shape& s = model.input_shape;
  if (x.dims.size() == 3) return s[0] > 1 && s[1] == 1 && x.dims[1] == s[2];
  return x.dims.size() == 4 &&
         std::vector<int64_t>(x.dims.begin() + 1, x.dims.end()) != std::vector<int64_t>{s[0], s[1], s[2]};
}

/// Applies the final Softmax, LogSoftmax or Sigmoid that the import removed, according to its notes.
void finish(const models::Model& model, std::vector<float>& y, int64_t classes) {
  const auto said = [&](const char* op) {
    return std::ranges::any_of(
        model.notes, [&](const std::string& n) { return n.starts_with(std::string("its final ") + op + " '"); });
  };
  if (said("Sigmoid")) {
    for (float& v : y) v = 1 / (1 + std::exp(-v));
  }
  if (!said("Softmax") && !said("LogSoftmax")) return;
  for (size_t row = 0; row < y.size(); row += static_cast<size_t>(classes)) {
    const auto largest = *std::max_element(&y[row], &y[row] + classes);
    for (size_t k = 0; k < static_cast<size_t>(classes); ++k) y[row + k] -= largest;
    double total = 0;
    for (size_t k = 0; k < static_cast<size_t>(classes); ++k) total += std::exp(static_cast<double>(y[row + k]));
    for (size_t k = 0; k < static_cast<size_t>(classes); ++k) {
      const double v = static_cast<double>(y[row + k]) - std::log(total);
      y[row + k] = static_cast<float>(said("Softmax") ? std::exp(v) : v);
    }
  }
}

}  // namespace

Array read_npy(const std::filesystem::path& file) {
  const std::string bytes = io::read_file(file);
  REQUIRE(bytes.starts_with("\x93NUMPY\x01"));
  const size_t header = static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
  const std::string text = bytes.substr(10, header);
  REQUIRE(text.find("'<f4'") != std::string::npos);
  REQUIRE(text.find("'fortran_order': False") != std::string::npos);
  Array out;
  for (size_t at = text.find("'shape': (") + 10; text[at] != ')';) {
    size_t length = 0;
    out.dims.push_back(std::stoll(text.substr(at), &length));
    at = text.find_first_not_of(", ", at + length);
  }
  out.values.resize(static_cast<size_t>(product(out.dims)));
  REQUIRE(bytes.size() == 10 + header + out.values.size() * sizeof(float));
  std::memcpy(out.values.data(), bytes.data() + 10 + header, out.values.size() * sizeof(float));
  return out;
}

Array random_array(const std::vector<int64_t>& dims, int64_t images, uint64_t seed) {
  Array out{.dims = dims, .values = {}};
  out.dims.insert(out.dims.begin(), images);
  Rng rng(seed, "random_array");
  for (int64_t i = 0; i < product(out.dims); ++i) out.values.push_back(static_cast<float>(rng.uniform(0, 1)));
  return out;
}

Tensor input_of(const models::Model& model, const Array& x) {
  const Shape& s = model.input_shape;
  const int64_t images = product(x.dims) / s.size();
  std::vector<float> values = channels_last(model, x) ? moved(x.values, s[0], s[1] * s[2], false) : x.values;
  for (size_t k = 0; k < values.size() && !model.normalization.empty(); ++k) {
    const size_t c = k / static_cast<size_t>(s[1] * s[2]) % static_cast<size_t>(s[0]);
    values[k] = (values[k] - model.normalization.mean[c]) / model.normalization.std[c];
  }
  return Tensor::from({images, s[0], s[1], s[2]}, values);
}

std::vector<float> outputs_of(models::Model& model, const Array& x, const std::vector<float>& expected) {
  const Tensor in = input_of(model, x);
  const NoTape pause;
  std::vector<float> worst;
  for (const Tensor& y : {(*model.net)(in), trace(*model.net, model.input_shape).forward(in)}) {
    CHECK(Shape(y.shape().dims().subspan(1)) == model.output_shape);
    std::vector<float> got = y.to_vector();
    finish(model, got, y.size() / y.dim(0));
    if (y.shape().rank() == 4 && channels_last(model, x)) got = moved(got, y.dim(1), y.dim(2) * y.dim(3), true);
    if (worst.empty() || range_error(got, expected) > range_error(worst, expected)) worst = got;
  }
  return worst;
}

double range_error(const std::vector<float>& got, const std::vector<float>& expected) {
  if (got.size() != expected.size()) return std::numeric_limits<double>::infinity();
  const auto [low, high] = std::ranges::minmax(expected);
  double range = static_cast<double>(high) - static_cast<double>(low), worst = 0;
  if (range == 0) range = std::max(1.0, std::abs(static_cast<double>(high)));
  for (size_t i = 0; i < got.size(); ++i) {
    worst = worse(worst, std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i])));
  }
  return worst / range;
}

}  // namespace mixgrad::test
