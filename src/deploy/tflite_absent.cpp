// SPDX-License-Identifier: Apache-2.0
// For builds without TFLite export.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

namespace mixgrad {

std::string to_tflite(const IntegerNetwork&, const std::vector<uint8_t>&, bool) {
  bad_input("to: this build does not support TFLite: use c, or build with Meson's option tflite");
}

}  // namespace mixgrad
