// SPDX-License-Identifier: Apache-2.0
// Compares the forms of a network with each other: float simulation, integer engine, C package, ONNX.
#pragma once

#include <mixgrad/mixgrad.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mixgrad::test {

struct FormCase {
  FormCase(std::string name, Graph discrete, data::Dataset images);

  std::string name;
  Graph graph;
  data::Dataset images;  ///< as the graph takes them
  Tensor x;              ///< all of them
  Tensor as_read;        ///< before the graph's normalization
  IntegerNetwork network;

  std::string about() const;  ///< name and structure
};

/// Checks that every code of the simulation equals the engine's, with its fastest kernels and with the reference ones.
void check_engine(const FormCase& c);
/// Checks that the packages, also with activations that share bytes, compile without warnings, in one program, and give
/// the engine's outputs. Needs gcc.
void check_c(const std::vector<FormCase>& cases, const std::string& flags = "-O1");
/// Checks that ONNX Runtime gives the simulation's results, within a code's step or float32's rounding, on all images
/// of a case but one. Returns the number of images on which it does not: it computes in float32, where a value next to
/// a tie occasionally rounds to the other code.
int64_t check_onnx(const std::vector<FormCase>& cases);

/// The networks of the zoo at random precisions.
std::vector<FormCase> zoo_cases(const std::vector<int>& weight_bits = {0, 2, 4, 8}, int64_t images = 4);

constexpr int64_t images_of_random_networks = 8;
/// The random network of this seed.
FormCase random_case(uint64_t seed);
/// Calls `check` with the networks of seeds 1 to `count`, several at a time.
void for_each_batch(uint64_t count, const std::function<void(const std::vector<FormCase>&)>& check);

}  // namespace mixgrad::test
