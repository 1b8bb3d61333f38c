// SPDX-License-Identifier: Apache-2.0
// For builds without ONNX, and so without protobuf.
#include "tensorboard.h"

#include <mixgrad/error.h>

namespace mixgrad {

TensorBoard::TensorBoard(const std::string&) {
  bad_input(
      "tensorboard: this build does not write event files: build with Meson's option onnx, which brings protobuf");
}

void TensorBoard::add(const train::EpochReport&, int64_t) {}

}  // namespace mixgrad
