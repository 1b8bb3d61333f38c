// SPDX-License-Identifier: Apache-2.0
// Compares exported TFLite models with the integer engine, operator by operator.
#pragma once

#include "forms.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mixgrad::test {

/// How the codes of TFLite differ from those that the engine computes from the same inputs.
struct TfliteAgreement {
  int64_t refused = 0;  ///< networks
  struct Count {
    int64_t codes = 0, different = 0;
    int64_t below = 0;  ///< the code below a signed quantizer's lowest instead of it
    int largest = 0;
  };
  std::map<std::string, Count> by_operator;
};

/// Checks that the interpreter runs the exported models, and that each operator's codes are within 1 of the engine's,
/// given the interpreter's own inputs. With `delegate`, XNNPACK computes what it can, else TFLite's own kernels compute
/// all. Networks that TFLite can't compute are refused by name.
TfliteAgreement check_tflite(const std::vector<FormCase>& cases, bool delegate);

/// The whole model's results for images: as stored, what the engine's would be stored as, and the engine's own.
struct TfliteResults {
  std::vector<int8_t> got, expected;
  std::vector<int32_t> raw;
};
TfliteResults tflite_results(const IntegerNetwork& network, const std::vector<uint8_t>& images, bool delegate);

/// Real values, image by image: the outputs of a model exported with float_outputs, and the engine's.
struct TfliteRealResults {
  std::vector<float> got, expected;
};
TfliteRealResults tflite_real_results(const IntegerNetwork& network, const std::vector<uint8_t>& images);

}  // namespace mixgrad::test
