// SPDX-License-Identifier: Apache-2.0
// Only in builds without ONNX, TFLite and image files: files of these formats are refused in one line.
#include "workplace.h"

#include <doctest/doctest.h>

using namespace mixgrad::test;

TEST_CASE("cli: formats that a build leaves out are refused in one line") {
  const Workplace place;
  check_complaint(mixgrad_run(place, "search --model net.onnx --data glyphs"), 2,
                  "net.onnx: this build does not support ONNX");
  check_complaint(mixgrad_run(place, "search --model net.tflite --data glyphs"), 2,
                  "net.tflite: this build does not support TFLite");
  check_complaint(mixgrad_run(place, "train --data images:pictures"), 2,
                  "images:pictures: this build does not support JPEG and PNG");
  check_complaint(mixgrad_run(place, quick(place) + "--tensorboard tb"), 2,
                  "tensorboard: this build does not write event files");
  REQUIRE(mixgrad_run(place, quick(place) + "--quiet --out run").exit_code == 0);
  check_complaint(mixgrad_run(place, "export run --to onnx --out net.onnx"), 2,
                  "this build does not support ONNX: use c");
  check_complaint(mixgrad_run(place, "export run --to tflite --out net.tflite"), 2,
                  "this build does not support TFLite: use c");
}
