// SPDX-License-Identifier: Apache-2.0
// From a discrete graph to integers only (SPEC §7), and to what runs elsewhere.
#pragma once

#include <mixgrad/data.h>
#include <mixgrad/graph.h>
#include <mixgrad/integer.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mixgrad {

/// Neighbouring output channels that are stored alike.
struct ChannelRun {
  int bits;
  int64_t channels;
};
std::vector<ChannelRun> channel_runs(const integer::Layer& layer);
/// A layer's weights in 32-bit words, the first code in the lowest bits; every output channel begins a word.
std::vector<uint32_t> pack_weights(const integer::Layer& layer);

/// Where every tensor of one image lies in one block of memory while it is needed; bytes from the block's start.
struct Arena {
  std::vector<int64_t> offsets;  ///< of every node; -1 for input and result, which the caller holds
  std::vector<int64_t> patches;  ///< of every layer's patch, patch_codes 16-bit numbers; -1 for other nodes
  int64_t bytes = 0;
};
/// The inputs of one output position, one group, up to a whole word of weights of any precision.
int64_t patch_codes(const integer::Layer& layer);
Arena plan_arena(const IntegerNetwork& network);

/// Bytes that a device must hold: the constants and the block for activations of the C package.
struct DeviceBytes {
  int64_t weights = 0, biases = 0, multipliers = 0, shifts = 0;
  int64_t tables = 0;  ///< bits of every channel, sizes and 32-bit addresses of layers, sizes of pools
  int64_t arena = 0;   ///< activations
  int64_t constants() const { return weights + biases + multipliers + shifts + tables; }
};
DeviceBytes device_bytes(const IntegerNetwork& network);

/// The integers that a discrete network computes with; its channels sorted by precision where nothing forbids it.
/// Throws bad_input naming the layer that is still float, whose quantizer has no integer form, or whose sums could
/// leave 32 bits.
IntegerNetwork to_integer(const Graph& discrete);

/// Why the network that is found from here on will have no integer form, and so neither C package nor ONNX file: a
/// sentence that names the layer; empty where it will have one. `searched` has its quantizers, with their clips.
std::string integer_obstacle(const Graph& searched);

/// Runs an integer network on `batch` images at a time with one thread; calls from several threads may overlap.
class IntegerEngine {
 public:
  enum class Kernels { fastest, reference };
  IntegerEngine(const IntegerNetwork& network, int64_t batch, Kernels kernels = Kernels::fastest);
  ~IntegerEngine();

  /// Codes of the input, NHWC, to the result's [batch, ...], NHWC. With `values`, the codes of every node as integers.
  std::vector<int32_t> run(std::span<const uint8_t> codes, std::vector<std::vector<int32_t>>* values = nullptr) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

/// How far the codes of one tensor agree between a discrete graph and its integer form.
struct TensorAgreement {
  std::string name;
  int64_t codes = 0, equal = 0;
  int largest_difference = 0;
};

struct Agreement {
  std::vector<TensorAgreement> tensors;  ///< every one with a quantizer, in execution order
  int64_t images = 0, same_top1 = 0;
  double result_difference = 0;  ///< largest, of the real results, relative to their range
  /// A result without quantizer is off by more than float32's rounding, though every code before it is equal.
  bool result_broken = false;

  /// The first tensor with a code that is off by more than one; null: none.
  const TensorAgreement* broken() const;
};

/// Runs both on the dataset's images, at most `most_images`.
Agreement compare(const Graph& discrete, const IntegerNetwork& network, const data::Dataset& dataset,
                  int64_t most_images = INT64_MAX, IntegerEngine::Kernels kernels = IntegerEngine::Kernels::fastest);

/// Codes of the dataset's first images, at most `most_images`: what a package is tested on.
std::vector<uint8_t> first_codes(const IntegerNetwork& network, const data::Dataset& dataset, int64_t most_images);

/// The texts of net.h, net.c and net_test.c: C99 that includes nothing but stdint.h (the test stdio.h too).
struct CPackage {
  std::string header, source, test;
};
/// `test_inputs`: codes of at least one image, on which net_test.c expects the outputs of the engine.
CPackage c_package(const IntegerNetwork& network, const std::string& title, const std::vector<uint8_t>& test_inputs);
/// Writes the three files into `folder`, which is made where it is missing: all of them, or none. Throws bad_input
/// where there can be no such folder, failed_run where it can't be written to.
void write_c_package(const CPackage& package, const std::string& folder);

/// What a package gave on this machine.
struct CPackageRun {
  std::string compiler;           ///< the program that built it
  int64_t images = 0, equal = 0;  ///< those of net_test.c; those whose every output is the engine's
};
/// Builds the package in a folder of its own, which goes away, and runs its test. The compiler is $CC, or cc; nothing
/// where it is missing or its programs don't run here. Throws failed_run where the package does not build or its test
/// does not end well.
std::optional<CPackageRun> run_c_package(const CPackage& package);

/// The bytes of an ONNX model that computes the same codes in floats: QuantizeLinear and DequantizeLinear around every
/// tensor, weights as INT8, from opset 21 on as INT4 where 4 bits hold them. opset: 13 to 21.
std::string to_onnx(const IntegerNetwork& network, int opset = 13);

}  // namespace mixgrad
