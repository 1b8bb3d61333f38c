// SPDX-License-Identifier: Apache-2.0
// A network's forms held against each other: float simulation, integer engine, C package, ONNX.
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
  Tensor as_read;        ///< the same before the graph's normalization
  IntegerNetwork network;

  std::string about() const;  ///< name and structure
};

/// Every code of the simulation is the engine's, by its fastest kernels and by the plain ones.
void check_engine(const FormCase& c);
/// The packages, which compile without a warning in one program, give the engine's outputs. Needs gcc.
void check_c(const std::vector<FormCase>& cases);
/// ONNX Runtime gives the simulation's results, within a code's step or float32's rounding, on all images but one of a
/// case. Returns on how many images it does not: it computes in float32, where now and then a value next to a tie takes
/// the other code.
int64_t check_onnx(const std::vector<FormCase>& cases);

constexpr int64_t images_of_random_networks = 8;
/// Calls `check` with the networks of the seeds 1 to `count`, some at a time.
void for_each_batch(uint64_t count, const std::function<void(const std::vector<FormCase>&)>& check);

}  // namespace mixgrad::test
