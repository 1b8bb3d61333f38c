// SPDX-License-Identifier: Apache-2.0
// Data sets in memory as bytes, and batches made from them.
#pragma once

#include <mixgrad/normalization.h>
#include <mixgrad/tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad::data {

/// Images, channels-last [size, height, width, channels]: as bytes, where value v stands for v / 255, or as floats of
/// any sign.
struct Dataset {
  std::string name;
  int64_t channels = 0, height = 0, width = 0;
  std::vector<uint8_t> pixels = {};
  std::vector<int32_t> labels = {};
  std::vector<std::string> class_names = {};
  std::vector<float> features = {};  ///< instead of pixels
  Normalization normalization = {};  ///< applied by Loader, after augmentation

  int64_t image_values() const { return channels * height * width; }
  int64_t size() const {
    return image_values() == 0 ? 0 : static_cast<int64_t>(pixels.size() + features.size()) / image_values();
  }
  int64_t classes() const { return static_cast<int64_t>(class_names.size()); }
  Shape image_shape() const { return {channels, height, width}; }
  /// What Loader's values lie in, whatever the images; nothing of floats, which may be anything.
  std::optional<ValueRange> known_range() const {
    return pixels.empty() ? std::nullopt : std::optional(range_of_bytes(normalization));
  }
};

/// `validation` is held out of the training set for every choice; `test` only reports.
struct Splits {
  Dataset train, validation, test;
  std::vector<std::string> notes = {};  ///< what the reader did that its user should know, a sentence each
};

/// How training images are varied, drawn anew at every visit. Zero and false leave them as they are.
struct Augmentation {
  bool flip = false;  ///< mirror left to right with probability 1/2
  int crop = 0;       ///< shift by up to this many pixels each way; what comes in is zero
};

/// Tells data apart (io::Checksum): images, labels and how they are split.
std::string checksum(const Splits& splits);

/// Moves a share of the training images, drawn from the seed, to the validation set (at least one where the share
/// is not 0, and never all): of every class its share, rounded.
Splits hold_out(Dataset train, Dataset test, uint64_t seed, double validation_share,
                std::vector<std::string> notes = {});

/// Names classes by their numbers, 0 to the largest label of both parts. Where labels are 1 to N, all of them and no 0,
/// they are lowered by 1 and the classes named "1" to "N". Classes that have names already keep them. Returns what to
/// say, as in Splits::notes: that labels start at 1, and which classes have no images.
std::vector<std::string> name_classes(Dataset& train, Dataset& test);

/// How many pictures `glyphs` draws. A smaller set holds the first pictures of a larger one.
struct GlyphCounts {
  int64_t train = 8000, test = 2000;
};

/// Embedded default: 32×32 RGB pictures of ten digits, drawn from the seed as strokes.
Splits glyphs(uint64_t seed, double validation_share = 0.1, GlyphCounts counts = {});
/// JPEG and PNG files DIR/train/CLASS/* and DIR/test/CLASS/*, all of one size; grey where all are grey. Values are read
/// as they stand, whatever gamma or colour profile the file has; 16 bits are rounded to 8, transparency is left out,
/// CMYK becomes RGB: notes say so. Hidden files are passed over, any other kind of file is an error. Throws bad_input
/// naming the file.
Splits image_folder(const std::string& dir, uint64_t seed, double validation_share = 0.1);
/// MNIST's format: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte in
/// folder `dir`, each plain or gzipped (then also with .gz behind its name); images may have a fourth dimension,
/// channels. Throws bad_input naming file and offset.
Splits idx(const std::string& dir, uint64_t seed, double validation_share = 0.1);
/// NumPy arrays x_train, y_train, x_test, y_test: as .npy files in folder `path`, or in one .npz file, in either byte
/// order, in C or Fortran order. x: [N, H, W, C], [N, H, W] or [N, F] (images of F channels and one position) of floats
/// of 16 to 64 bits, of bytes or other integers that all lie within 0 to 255, or of booleans (0 and 1). y: class
/// numbers [N] or [N, 1], whole numbers of any type, or one-hot rows [N, K]; without y there are no labels. Throws
/// bad_input naming the file and, for a wrong value, its index.
Splits numpy(const std::string& path, uint64_t seed, double validation_share = 0.1);
/// CIFAR-10 in its binary form from folder `dir` (data_batch_1..5.bin, test_batch.bin); throws bad_input naming
/// the file, and for a damaged one its offset.
Splits cifar10(const std::string& dir, uint64_t seed, double validation_share = 0.1);
/// The same pictures at another size: [1 or 3, H, W], or [F, 1, 1] for the F = 32 k pixels of a grey picture of k rows.
/// Throws bad_input for other shapes.
Splits resized(Splits splits, const Shape& image_shape);
/// A data set by its name, one of sources(). Pictures that are drawn are drawn at `image_shape`; files are as they are.
Splits load(const std::string& spec, uint64_t seed, double validation_share = 0.1,
            const Shape& image_shape = {3, 32, 32});
/// "glyphs, glyphs:N, cifar10:DIR, …": for help and messages. glyphs:N draws N training and N / 4 test images.
std::string sources();
/// `spec` with its folder as an absolute path, so that it means the same everywhere.
std::string absolute(const std::string& spec);
/// What suits images of `image_shape` from the data set named by `spec`: flips and crops for CIFAR-10 and image
/// folders, small shifts for glyphs and IDX digits; nothing for arrays, and for images of one row or column.
Augmentation default_augmentation(const std::string& spec, const Shape& image_shape = {3, 32, 32});

/// x [n, channels, height, width]; labels [n], or none.
struct Batch {
  Tensor x;
  std::vector<int32_t> labels;
  int64_t size() const { return x.dim(0); }
  /// Images `begin` to `begin + count`.
  Batch part(int64_t begin, int64_t count) const;
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
