// SPDX-License-Identifier: Apache-2.0
// Data sets in memory as bytes, and batches made from them.
#pragma once

#include <mixgrad/tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad::data {

/// Images as bytes, channels-last: pixels [size, height, width, channels], value v stands for v / 255.
struct Dataset {
  std::string name;
  int64_t channels = 0, height = 0, width = 0;
  std::vector<uint8_t> pixels;
  std::vector<uint8_t> labels;
  std::vector<std::string> class_names;

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  int64_t image_bytes() const { return channels * height * width; }
  int64_t classes() const { return static_cast<int64_t>(class_names.size()); }
  Shape image_shape() const { return {channels, height, width}; }
};

/// `validation` is held out of the training set for every choice; `test` only reports.
struct Splits {
  Dataset train, validation, test;
};

/// How training images are varied, drawn anew at every visit. Zero and false leave them as they are.
struct Augmentation {
  bool flip = false;  ///< mirror left to right with probability 1/2
  int crop = 0;       ///< shift by up to this many pixels each way; what comes in is zero
};

/// Moves a share of the training images, drawn from the seed, to the validation set (at least one where the share
/// is not 0, and never all).
Splits hold_out(Dataset train, Dataset test, uint64_t seed, double validation_share);

/// How many pictures `glyphs` draws. A smaller set holds the first pictures of a larger one.
struct GlyphCounts {
  int64_t train = 8000, test = 2000;
};

/// Embedded default: 32×32 RGB pictures of ten digits, drawn from the seed as strokes.
Splits glyphs(uint64_t seed, double validation_share = 0.1, GlyphCounts counts = {});
/// CIFAR-10 in its binary form from folder `dir` (data_batch_1..5.bin, test_batch.bin); throws bad_input naming
/// the file, and for a damaged one its offset.
Splits cifar10(const std::string& dir, uint64_t seed, double validation_share = 0.1);
/// "glyphs" or "cifar10:DIR". Throws bad_input for any other.
Splits load(const std::string& spec, uint64_t seed, double validation_share = 0.1);
/// `spec` with its folder as an absolute path, so that it means the same everywhere.
std::string absolute(const std::string& spec);
/// What suits the data set named by `spec`: flips and crops for CIFAR-10, small shifts for glyphs.
Augmentation default_augmentation(const std::string& spec);

/// x [n, channels, height, width] in [0, 1]; labels [n].
struct Batch {
  Tensor x;
  std::vector<int32_t> labels;
  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

struct LoaderOptions {
  int64_t batch_size = 128;
  bool shuffle = false;
  Augmentation augmentation = {};
  uint64_t seed = 0;
  bool drop_last = false;  ///< leave out a last batch that is not full
};

/// Makes batches of a data set. Epoch e's order and augmentation depend on (seed, e) alone, and the image at one
/// position of a batch on (seed, e, position), so any thread count gives the same batches.
class Loader {
 public:
  Loader(const Dataset& dataset, LoaderOptions options);

  int64_t batches() const;
  /// Begins epoch `epoch`: draws its order.
  void start(int64_t epoch);
  /// Batch `index` of the epoch begun last.
  Batch batch(int64_t index) const;

 private:
  const Dataset* dataset_;
  LoaderOptions options_;
  int64_t epoch_ = 0;
  std::vector<int64_t> order_;
};

}  // namespace mixgrad::data
