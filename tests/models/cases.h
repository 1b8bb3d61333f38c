// SPDX-License-Identifier: Apache-2.0
// Networks as exporters write them, with inputs and ONNX Runtime's outputs: how tests run them.
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

/// A .npy file of little-endian float32 in C order.
Array read_npy(const std::filesystem::path& file);

/// Values in [0, 1) for `images` of an input that the file has as [N, dims...].
Array random_array(const std::vector<int64_t>& dims, int64_t images, uint64_t seed = 11);

/// An input as the file takes it, as the network takes it: [N, C, H, W], normalized as Model::normalization says.
Tensor input_of(const models::Model& model, const Array& x);

/// What a network read from a file returns for inputs as the file takes them, flattened to [N, values] in the file's
/// order: normalized as Model::normalization says, with the function at its end that reading left out. Runs it as a
/// module and as the graph of its trace, and gives the one that lies farther from `expected`.
std::vector<float> outputs_of(models::Model& model, const Array& x, const std::vector<float>& expected);

/// Largest difference, relative to the range of what is expected (at least to its magnitude where all are equal).
double error(const std::vector<float>& got, const std::vector<float>& expected);

}  // namespace mixgrad::test
