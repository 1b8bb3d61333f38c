// SPDX-License-Identifier: Apache-2.0
// The real TFLite interpreter (npm's @tensorflow/tfjs-tflite, in Node.js), for tests that compare with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad::test {

/// Whether it is installed; if not, skips the running test case with a message on how to get it.
bool has_tflite_runtime();

struct TfliteJob {
  std::string model;           ///< the bytes of a TFLite file whose input is INT8
  std::vector<int8_t> images;  ///< as stored
};
/// The values of all INT8 outputs, image by image; unset for a model that does not load or run, with the reason in the
/// log.
std::vector<std::vector<int8_t>> run_tflite(const std::vector<TfliteJob>& jobs);

}  // namespace mixgrad::test
