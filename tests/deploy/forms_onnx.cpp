// SPDX-License-Identifier: Apache-2.0
#include "../onnx_runtime.h"
#include "forms.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::test {
namespace {

/// The number of images with the simulation's results; -1 if the number of values differs.
int64_t same_results(const FormCase& c, const std::vector<float>& got) {
  const std::vector<float> expected = c.graph.forward(c.x).to_vector();
  if (got.size() != expected.size()) return -1;
  const auto size = std::ssize(expected) / c.images.size();
  double largest = 0;
  for (const float v : expected) largest = std::max(largest, static_cast<double>(std::abs(v)));
  const double allowed = c.network.result().raw ? 1e-4 * largest : 1.01 * static_cast<double>(c.network.result().step);
  int64_t same = 0;
  for (int64_t n = 0; n < c.images.size(); ++n) {
    double off = 0;
    for (int64_t k = n * size; k < (n + 1) * size; ++k) {
      off =
          std::max(off, static_cast<double>(std::abs(got[static_cast<size_t>(k)] - expected[static_cast<size_t>(k)])));
    }
    same += off <= allowed;
  }
  return same;
}

}  // namespace

int64_t check_onnx(const std::vector<FormCase>& cases) {
  std::vector<OnnxJob> jobs;
  for (const FormCase& c : cases) {
    const auto dims = c.as_read.shape().dims();
    jobs.push_back(
        {to_onnx(c.network, jobs.size() % 2 == 0 ? 13 : 21), c.as_read.to_vector(), {dims.begin(), dims.end()}});
  }
  const std::vector<std::vector<float>> results = run_onnx(jobs);
  int64_t others = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const int64_t same = same_results(cases[i], results[i]);
    INFO(cases[i].about());
    CHECK(same >= cases[i].images.size() - 1);
    others += cases[i].images.size() - same;
  }
  return others;
}

}  // namespace mixgrad::test
