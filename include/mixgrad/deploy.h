// SPDX-License-Identifier: Apache-2.0
// From a discrete graph to an integer network (SPEC §7), and from there to C, ONNX and TFLite.
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

/// Whether a device computes the layer's channels four at a time, each from one input channel.
bool runs_depthwise(const integer::Layer& layer);
/// Output channels that a device computes together: two neighbours of one group whose weights are stored alike, or one.
struct ChannelBlock {
  int64_t first;
  int channels;  ///< 1 or 2
  int bits;      ///< of a stored weight
};
std::vector<ChannelBlock> channel_blocks(const integer::Layer& layer);
/// A layer's weights in 32-bit words, as many for a channel as its codes fill. Each block of channels starts a new
/// word. Those of layers that run depthwise are in order, the first in the lowest bits. In other layers a word has two
/// halves of fields, for the pairs of taps (0, 2), (1, 3), (4, 6), (5, 7) and so on; each pair of the first channel is
/// followed by that of the second. There, weights of fewer than 8 bits are stored from 0 up.
std::vector<uint32_t> pack_weights(const integer::Layer& layer);

/// Bits that a code of node `i` takes in a device's memory: 8, or 1, 2 or 4 if the network packs activations.
int stored_bits(const IntegerNetwork& network, int i);
/// Whether codes share bytes anywhere.
bool shares_bytes(const IntegerNetwork& network);

/// A range of an arena, and how long it is in use.
struct ArenaBlock {
  int node;  ///< whose output it holds (and then those of nodes that work in place), or whose scratch memory it is
  bool scratch;
  int first, last;  ///< nodes: from when the first runs until the last has run
  int64_t offset, bytes;
  int64_t at_peak;  ///< bytes of it in the stack of blocks that is as high as the arena: all, its head start, or 0
};
/// Static memory plan for one image: offsets in bytes into one block, shared by tensors that are not alive together.
struct Arena {
  std::vector<int64_t> offsets;  ///< by node; -1 for input and outputs, which the caller owns
  std::vector<int64_t> patches;  ///< by node: where a layer's scratch memory begins; -1 for other nodes
  int64_t bytes = 0;
  std::vector<ArenaBlock> blocks = {};
};
/// Output positions that a layer computes at once.
int64_t patch_positions(const integer::Layer& layer);
/// Size of a patch: as 16-bit numbers, the inputs of patch_positions output positions and one group, padded to whole
/// words of weights of any precision. Of layers that run depthwise: the weights of four channels, and the input rows
/// under the kernel.
int64_t patch_bytes(const integer::Layer& layer);
/// Sizes of a layer's scratch memory: its patch, the codes that it unpacks for it at once if those of its input share
/// bytes, and its results at patch_positions if those of its output do.
struct LayerScratch {
  int64_t patch = 0, unpacked = 0, results = 0;
  int64_t bytes() const { return patch + unpacked + results; }
};
LayerScratch scratch_of(const IntegerNetwork& network, int i);
/// `on_device`: as in the C package, whose operators compute positions in order, so that an output may run into an
/// input that nothing reads later. Otherwise as in the engine, which runs whole operators and needs no scratch memory.
Arena plan_arena(const IntegerNetwork& network, bool on_device = true);

/// Bytes that the C package needs on the device: its constants and its activation memory.
struct DeviceBytes {
  int64_t weights = 0, biases = 0, multipliers = 0, shifts = 0;
  int64_t tables = 0;  ///< bits per channel, sizes and 32-bit addresses of layers, sizes of pools
  int64_t arena = 0;   ///< activations
  int64_t constants() const { return weights + biases + multipliers + shifts + tables; }
};
DeviceBytes device_bytes(const IntegerNetwork& network);

/// Lowers a discrete network to integers; channels are sorted by precision where that is possible. Throws bad_input
/// naming a layer that is still float, whose quantizer has no integer form, or whose sums could overflow 32 bits.
IntegerNetwork to_integer(const Graph& discrete);

/// Why the network found by this search will have no integer form, and so no C package or ONNX file: a sentence naming
/// the layer, or empty if it will have one. `searched` has its quantizers, with their clips.
std::string integer_obstacle(const Graph& searched);

/// Runs an integer network on `batch` images at a time, single-threaded; run() may be called from several threads.
class IntegerEngine {
 public:
  enum class Kernels { fastest, reference };
  IntegerEngine(const IntegerNetwork& network, int64_t batch, Kernels kernels = Kernels::fastest);
  ~IntegerEngine();

  /// Maps input codes, NHWC, to the outputs of every image, NHWC, one after the other. `values`, if given, receives
  /// every node's codes.
  std::vector<int32_t> run(std::span<const uint8_t> codes, std::vector<std::vector<int32_t>>* values = nullptr) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

/// How well the codes of one tensor agree between a discrete graph and its integer form.
struct TensorAgreement {
  std::string name;
  int64_t codes = 0, equal = 0;
  int largest_difference = 0;
};

struct Agreement {
  std::vector<TensorAgreement> tensors;  ///< every quantized one, in execution order
  int64_t images = 0, same_top1 = 0;
  double result_difference = 0;  ///< largest difference of real outputs, relative to the range of each
  /// An unquantized result differs by more than float32 rounding although all codes before it are equal.
  bool result_broken = false;

  /// The first tensor with a code that differs by more than one; null if there is none.
  const TensorAgreement* broken() const;
};

/// Runs both on the dataset's first images, at most `most_images`.
Agreement compare(const Graph& discrete, const IntegerNetwork& network, const data::Dataset& dataset,
                  int64_t most_images = INT64_MAX, IntegerEngine::Kernels kernels = IntegerEngine::Kernels::fastest);

/// Codes of the dataset's first images, at most `most_images`: the test inputs of a package.
std::vector<uint8_t> first_codes(const IntegerNetwork& network, const data::Dataset& dataset, int64_t most_images);

/// The texts of net.h, net.c and net_test.c: C99, and C++ as well, that includes only stdint.h (the test also stdio.h;
/// net.c the compiler's intrinsics if it is built for Helium or AVX2).
struct CPackage {
  std::string header, source, test;
  std::string prefix = "net";  ///< of the files, and of all names that another file could see
};
/// `test_inputs`: codes of at least one image, for which net_test.c expects the outputs of the engine. Throws bad_input
/// if the prefix is not a lower-case identifier of C.
CPackage c_package(const IntegerNetwork& network, const std::string& title, const std::vector<uint8_t>& test_inputs,
                   const std::string& prefix = "net");
/// Writes the three files, or none of them, into `folder`, which is created if missing. Throws bad_input if it can't be
/// created, failed_run if writing fails.
void write_c_package(const CPackage& package, const std::string& folder);

/// The result of a package's test on this machine.
struct CPackageRun {
  std::string compiler;           ///< that built it
  int64_t images = 0, equal = 0;  ///< in net_test.c; with every output equal to the engine's
};
/// Builds the package in a temporary folder and runs its test. The compiler is $CC, or else cc; returns nothing if
/// there is none or its programs don't run here. Throws failed_run if the package does not build or its test fails.
std::optional<CPackageRun> run_c_package(const CPackage& package);

/// The bytes of an ONNX model that computes the same codes in floats: QuantizeLinear and DequantizeLinear around every
/// tensor, weights as INT8, or INT4 where 4 bits are enough and opset >= 21. opset: 13 to 21.
std::string to_onnx(const IntegerNetwork& network, int opset = 13);

/// The bytes of a TFLite model with codes as INT8, input and output included. An output without quantizer gets a scale
/// that holds its values for `images`, codes of at least one image; others need none. With `float_outputs`, it has its
/// real values instead: the operator that computes it is FLOAT32. Throws bad_input naming a node that TFLite's
/// operators can't compute.
std::string to_tflite(const IntegerNetwork& network, const std::vector<uint8_t>& images = {},
                      bool float_outputs = false);

}  // namespace mixgrad
