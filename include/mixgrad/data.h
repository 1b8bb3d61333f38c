// SPDX-License-Identifier: Apache-2.0
// Data sets in memory, and batches made from them.
#pragma once

#include <mixgrad/normalization.h>
#include <mixgrad/tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad::data {

/// What is known about images: a class number each, one per position of a map, or values to be predicted.
enum class Known { nothing, labels, label_maps, values };

/// Images, channels-last [size, height, width, channels]: either bytes, where v stands for v / 255, or floats of any
/// sign. What is known about them may be labels, targets, or both where targets are whole numbers.
struct Dataset {
  std::string name;
  int64_t channels = 0, height = 0, width = 0;
  std::vector<uint8_t> pixels = {};
  std::vector<int32_t> labels = {};  ///< one per image, or one per position of its label map
  std::vector<std::string> class_names = {};
  std::vector<float> features = {};     ///< used instead of pixels
  Normalization normalization = {};     ///< applied by Loader, after augmentation
  Shape label_map = {};                 ///< [height, width] of an image's labels; rank 0: one label
  std::vector<float> targets = {};      ///< values to be predicted, [size, target_shape...] in row-major order
  Shape target_shape = {};              ///< rank 0: one value per image
  std::vector<std::string> files = {};  ///< of each image, within the data set's folder; empty if it has none
  std::string unlabelled = {};          ///< why there are no labels although there might be, for errors

  /// Labels come before targets.
  Known known() const;
  int64_t image_values() const { return channels * height * width; }
  int64_t size() const {
    return image_values() == 0 ? 0 : static_cast<int64_t>(pixels.size() + features.size()) / image_values();
  }
  int64_t classes() const { return static_cast<int64_t>(class_names.size()); }
  Shape image_shape() const { return {channels, height, width}; }
  /// The range of the values that Loader returns; unknown for floats.
  std::optional<ValueRange> known_range() const {
    return pixels.empty() ? std::nullopt : std::optional(range_of_bytes(normalization));
  }
};

/// Random changes to training images, drawn anew for every epoch. The defaults change nothing.
struct Augmentation {
  bool flip = false;      ///< mirror left to right with probability 1/2
  int crop = 0;           ///< shift by up to this many pixels each way, filling with zeros
  double least_area = 1;  ///< enlarge a part of at least this share of the area and proportions from 3:4 to 4:3

  static constexpr int usual_crop = 2;
  static constexpr double usual_area = 0.5;

  bool operator==(const Augmentation&) const = default;
};

/// Every choice is made on `validation`, which is held out of the training set; `test` is only reported.
struct Splits {
  Dataset train, validation, test;
  std::vector<std::string> notes = {};  ///< what the user should know about how the data were read, one sentence each
  Augmentation augmentation = {};       ///< what suits these images
};

/// The order of the axes of an array of images; automatic: as its shape tells, if it does.
enum class Layout { automatic, nchw, nhwc };

/// How a data set is read, where its files leave it open.
struct ReadOptions {
  Shape image_shape = {3, 32, 32};    ///< glyphs are drawn at it, and images of several sizes are resized to its size
  bool fixed = false;                 ///< the network takes no other: images become it, and arrays are read so
  Layout layout = Layout::automatic;  ///< of arrays
  bool skip_unreadable = false;       ///< go on without image files that can't be read
  /// Is told how many of a folder's images have been read, by one thread at a time.
  std::function<void(int64_t done, int64_t images)> progress = {};
};

/// Identifies a data set (io::Checksum): its images, labels and splits.
std::string checksum(const Splits& splits);

/// Moves a random share of the training images to the validation set, stratified by class and drawn from the seed: at
/// least one image unless the share is 0, and never all.
Splits hold_out(Dataset train, Dataset test, uint64_t seed, double validation_share,
                std::vector<std::string> notes = {});

/// Names the classes by number, 0 to the largest label of both parts. If the labels are exactly 1 to N, they become 0
/// to N - 1 and the classes are named "1" to "N". Existing names are kept. Returns notes (see Splits::notes) on labels
/// that start at 1 and on classes without images.
std::vector<std::string> name_classes(Dataset& train, Dataset& test);

/// Number of pictures that `glyphs` draws. A smaller set is a prefix of a larger one.
struct GlyphCounts {
  int64_t train = 8000, test = 2000;
};

/// The built-in default: 32×32 RGB pictures of ten digits, drawn as strokes from the seed.
Splits glyphs(uint64_t seed, double validation_share = 0.1, GlyphCounts counts = {});
/// JPEG and PNG files DIR/train/CLASS/* and DIR/test/CLASS/*, or without classes DIR/train/* and DIR/test/*, or DIR/*,
/// of which every fifth is for the test set; told apart by their content; grey if all of them are. Resized images keep
/// their proportions and lose what lies outside the middle. Gamma and colour profiles are ignored, 16-bit values
/// rounded to 8 bits, transparency and stray bytes dropped, and CMYK converted to RGB; notes report each of these.
/// Hidden files are skipped. Throws bad_input that counts the other files that can't be read and names the first ones,
/// unless they are skipped.
Splits image_folder(const std::string& dir, uint64_t seed, double validation_share = 0.1,
                    const ReadOptions& options = {});
/// Whether this build reads JPEG and PNG files.
bool reads_images();
/// The format of MNIST: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
/// t10k-labels-idx1-ubyte in folder `dir`, each optionally gzipped (with .gz appended). Images may have channels as a
/// fourth dimension. Throws bad_input naming file and offset.
Splits idx(const std::string& dir, uint64_t seed, double validation_share = 0.1);
/// NumPy arrays x_train, y_train, x_test, y_test, as .npy files in folder `path` or in one .npz file, in either byte
/// order, in C or Fortran order. x: [N, H, W, C], [N, C, H, W], [N, H, W] or [N, F] (F channels, one position) of 16-
/// to 64-bit floats, of integers within 0 to 255, or of booleans (0 and 1). y: class numbers [N] or [N, 1] as whole
/// numbers of any type, or one-hot rows [N, K]; label maps [N, H, W] of integers; floats of up to 4 dimensions are
/// (also) targets. Without y, nothing is known. Throws bad_input naming the file and, for an invalid value, its index;
/// also if neither the options nor the shape of x tell the order of its axes.
Splits numpy(const std::string& path, uint64_t seed, double validation_share = 0.1, const ReadOptions& options = {});
/// CIFAR-10 in binary form from folder `dir` (data_batch_1..5.bin, test_batch.bin). Throws bad_input naming the file,
/// and the offset of invalid data.
Splits cifar10(const std::string& dir, uint64_t seed, double validation_share = 0.1);
/// The images at another size: [1 or 3, H, W], or [F, 1, 1] where the F = 32 k values are a grey image of k rows.
/// Throws bad_input for other shapes.
Splits resized(Splits splits, const Shape& image_shape);
/// Images to run a network on, about which nothing is known: a .npy file with x as in `numpy`, an image file, or all
/// images in a folder and the folders in it. They are the test set; the other parts are empty.
Splits images_only(const std::string& path, const ReadOptions& options = {});
/// As what images_only reads `path`: "npy" or "images".
std::string kind_of(const std::string& path);
/// Loads the data set `spec`, one of sources().
Splits load(const std::string& spec, uint64_t seed, double validation_share = 0.1, const ReadOptions& options = {});
/// "glyphs, glyphs:N, cifar10:DIR, …": for help and messages. glyphs:N draws N training and N / 4 test images.
std::string sources();
/// The kind of the data set `spec`: "glyphs", "cifar10", …. Throws bad_input if there is none.
std::string source_of(const std::string& spec);
/// `spec` with its path made absolute, so that it works from any folder.
std::string absolute(const std::string& spec);

/// x [n, channels, height, width] and what is known about it.
struct Batch {
  Tensor x;
  std::vector<int32_t> labels;  ///< [n] or, for label maps, [n, height, width]
  Tensor targets = {};          ///< [n, values] if there are any
  int64_t size() const { return x.dim(0); }
  Known known() const;
  /// Images `begin` to `begin + count`.
  Batch part(int64_t begin, int64_t count) const;
};

struct LoaderOptions {
  int64_t batch_size = 128;
  bool shuffle = false;
  Augmentation augmentation = {};
  uint64_t seed = 0;
  bool drop_last = false;  ///< skip the last batch if it is not full
};

/// Makes batches of a data set. The order and augmentation of epoch e depend only on (seed, e), and the image at a
/// batch position only on (seed, e, position), so batches do not depend on the number of threads.
class Loader {
 public:
  Loader(const Dataset& dataset, LoaderOptions options);

  int64_t batches() const;
  /// Begins epoch `epoch` and draws its order.
  void start(int64_t epoch);
  /// Batch `index` of the current epoch.
  Batch batch(int64_t index) const;

 private:
  const Dataset* dataset_;
  LoaderOptions options_;
  int64_t epoch_ = 0;
  std::vector<int64_t> order_;
};

}  // namespace mixgrad::data
