// SPDX-License-Identifier: Apache-2.0
// Networks as written by exporters, with inputs and ONNX Runtime's outputs, and functions to run them.
#pragma once

#include <mixgrad/models.h>

#include <filesystem>
#include <string>
#include <vector>

namespace mixgrad::test {

struct Array {
  std::vector<int64_t> dims;
  std::vector<float> values;  ///< row-major
};

/// Reads a .npy file of little-endian float32 in C order.
Array read_npy(const std::filesystem::path& file);

/// Values in [0, 1) for `images` inputs [N, dims...] of the file.
Array random_array(const std::vector<int64_t>& dims, int64_t images, uint64_t seed = 11);

/// Converts an input of the file to one of the network: [N, C, H, W], normalized by Model::normalization.
Tensor input_of(const models::Model& model, const Array& x);

/// The outputs of an imported network for inputs of the file, flattened to [N, values] in the file's order: normalized
/// by Model::normalization, followed by the final function that the import removed. Runs both the module and its traced
/// graph, and returns the outputs that are farther from `expected`.
std::vector<float> outputs_of(models::Model& model, const Array& x, const std::vector<float>& expected);

/// Largest difference, relative to the range of the expected values (or to their magnitude if all are equal).
double range_error(const std::vector<float>& got, const std::vector<float>& expected);

}  // namespace mixgrad::test
