// SPDX-License-Identifier: Apache-2.0
#include "../onnx_runtime.h"
#include "forms.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::test {
namespace {

/// How far a value of each place in a row of outputs may be from the simulation's.
std::vector<double> allowed(const FormCase& c, const std::vector<float>& expected) {
  std::vector<double> out;
  const auto row = static_cast<size_t>(c.network.output_size());
  for (const IntegerOutput& o : c.network.outputs) {
    const IntegerNode& node = c.network.node_of(o);
    const auto size = static_cast<size_t>(node.shape.size());
    double largest = 0;
    for (size_t k = 0; k < expected.size(); ++k) {
      if (k % row >= out.size() && k % row < out.size() + size)
        largest = std::max(largest, static_cast<double>(std::abs(expected[k])));
    }
    out.insert(out.end(), size, node.raw ? 1e-4 * largest : 1.01 * static_cast<double>(node.step));
  }
  return out;
}

/// The number of images with the simulation's results; -1 if the number of values differs.
int64_t same_results(const FormCase& c, const std::vector<float>& got) {
  const std::vector<float> expected = c.graph.forward(c.x).to_vector();
  if (got.size() != expected.size()) return -1;
  const std::vector<double> most = allowed(c, expected);
  int64_t same = 0;
  for (size_t begin = 0; begin < expected.size(); begin += most.size()) {
    bool close = true;
    for (size_t k = 0; k < most.size(); ++k)
      close = close && static_cast<double>(std::abs(got[begin + k] - expected[begin + k])) <= most[k];
    same += close;
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
    const int64_t images = cases[i].images.size(), same = same_results(cases[i], results[i]);
    INFO(cases[i].about());
    // The runtime rounds few sums, of floats, the other way: one image in 6 may have such a code, or a single one.
    CHECK(same >= images - std::max<int64_t>(1, images / 6));
    others += images - same;
  }
  return others;
}

}  // namespace mixgrad::test
