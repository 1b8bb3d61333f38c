// SPDX-License-Identifier: Apache-2.0
// Builds without ONNX: no networks from files.
#include "onnx_import.h"

#include <mixgrad/error.h>

namespace mixgrad::models {

Model from_onnx(const std::string& path, const Options&) {
  bad_input(
      "{}: this mixgrad was built without ONNX: expected the name of a model, or a build with Meson's option onnx",
      path);
}

}  // namespace mixgrad::models
