// SPDX-License-Identifier: Apache-2.0
// For builds without TFLite import.
#include "onnx_import.h"

#include <mixgrad/error.h>

namespace mixgrad::models {

Model from_tflite(const std::string& path, const Options&) {
  bad_input("{}: this build does not support TFLite: use the name of a model, or build with Meson's option tflite",
            path);
}

}  // namespace mixgrad::models
