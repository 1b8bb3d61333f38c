// SPDX-License-Identifier: Apache-2.0
// Builds without ONNX: no networks to files.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

namespace mixgrad {

std::string to_onnx(const IntegerNetwork&, int) {
  bad_input("to: this mixgrad was built without ONNX: expected c, or a build with Meson's option onnx");
}

}  // namespace mixgrad
