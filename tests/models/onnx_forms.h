// SPDX-License-Identifier: Apache-2.0
// Networks in the forms written by exporters: outputs compared with the real ONNX Runtime.
#pragma once

#include "../onnx_runtime.h"
#include "../refusal.h"
#include "../shell.h"
#include "cases.h"
#include "onnx_net.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

namespace mixgrad::test {

/// Adds nodes to a network and returns the name of its output.
using Build = std::function<std::string(OnnxNet&)>;

struct Form {
  std::string name;
  Dims input;  ///< in the file, without N
  Build build;
  int opset = 13;
};

inline std::string bytes_of(const Form& f) {
  OnnxNet n(f.input, f.opset);
  return n.bytes(f.build(n));
}

inline models::Model import_bytes(const std::string& bytes, const models::Options& options = {}) {
  const Folder folder;
  io::write_file(folder.path / "net.onnx", bytes);
  return models::make(folder.path / "net.onnx", 1, options);
}

inline std::string form_refusal(const Dims& input, const Build& build) {
  return refusal([&] { import_bytes(bytes_of({"", input, build})); });
}

/// Checks that every form gives ONNX Runtime's outputs.
inline void check_forms(const std::vector<Form>& forms) {
  if (!has_onnx_runtime()) return;
  for (const Form& f : forms) {
    CAPTURE(f.name);
    const std::string bytes = bytes_of(f);
    models::Model model = import_bytes(bytes);
    const Array x = random_array(f.input, 3);
    const std::vector<float> expected = run_onnx(bytes, x.values, x.dims);
    CHECK(range_error(outputs_of(model, x, expected), expected) < 1e-4);
  }
}

inline std::string transpose(OnnxNet& n, const std::string& name, const std::string& x, const Dims& perm) {
  n.node("Transpose", name, {x});
  n.list("perm", perm);
  return name;
}

inline std::string dense(OnnxNet& n, const std::string& name, const std::string& x, int64_t in, int64_t out) {
  n.node("MatMul", name + "_product", {x, n.floats(name + ".weight", {in, out})});
  return n.node("Add", name, {name + "_product", n.floats(name + ".bias", {out})});
}

}  // namespace mixgrad::test
