// SPDX-License-Identifier: Apache-2.0
// For builds without ONNX export.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

namespace mixgrad {

std::string to_onnx(const IntegerNetwork&, int) {
  bad_input("to: this build does not support ONNX: use c, or build with Meson's option onnx");
}

}  // namespace mixgrad
