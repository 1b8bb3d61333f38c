// SPDX-License-Identifier: Apache-2.0
// For builds without ONNX import.
#include "onnx_import.h"

#include <mixgrad/error.h>

namespace mixgrad::models {

Model from_onnx(const std::string& path, const Options&) {
  bad_input("{}: this build does not support ONNX: use the name of a model, or build with Meson's option onnx", path);
}

}  // namespace mixgrad::models
