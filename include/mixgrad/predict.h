// SPDX-License-Identifier: Apache-2.0
// Outputs of a network: an ONNX file, float weights, a saved graph, or what a run has found.
#pragma once

#include <mixgrad/confusion.h>
#include <mixgrad/data.h>
#include <mixgrad/run_config.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mixgrad {

struct PredictOptions {
  std::string network;      ///< a file, or the folder of a run
  RunConfig settings = {};  ///< model (of float weights), input_shape, input_scale, normalize, data_seed, reading
  std::string data = "";    ///< a data set, whose test images are used; "": those of the run
  std::string input = "";   ///< what data::images_only takes, instead of a data set
  bool integer = false;     ///< run the integer network of a run instead of its simulation
};

/// One of a network's outputs, without N.
struct PredictedPart {
  std::string name;
  Shape shape;
};

/// A network and the images to run it on.
struct Prediction {
  std::string network;   ///< as named by the user
  data::Dataset images;  ///< with their normalization, and all that is known about them
  Shape output;          ///< without N; of several outputs [values]: each flattened, one after the other
  std::vector<PredictedPart> parts = {};  ///< the outputs
  std::vector<std::string> notes = {};
  int64_t batch_size = 1;
  std::function<Tensor(const Tensor& x)> run;  ///< may be called from several threads

  /// The file name of an image, or else its index.
  std::string image_name(int64_t i) const;
  /// The name of output or class `c`.
  std::string class_name(int64_t c) const;
};

/// Throws bad_input naming what is missing, or what does not fit.
Prediction load_prediction(const PredictOptions& options);

/// Calls `use(first, outputs)` for batches of images in order, until it returns false; `first`: the index of the
/// batch's first image. Only a few batches are in memory at a time. Returns whether all images were used.
bool each_output(const Prediction& prediction, const std::function<bool(int64_t first, const Tensor& outputs)>& use);

/// To count the classes that outputs choose by the true ones, which the images must have: throws bad_input naming what
/// they lack.
train::Confusion empty_confusion(const Prediction& prediction);

/// What the outputs of images from `first` on choose, next to the labels.
train::Decisions decisions(const Prediction& prediction, int64_t first, const Tensor& outputs);

/// The numbers of the `count` largest values of a row, the largest first.
std::vector<int64_t> largest(std::span<const float> row, int64_t count);

/// Writes outputs image by image: to y.npy as float32 [N, ...], of several outputs all but the first to y.NAME.npy; to
/// .csv or .jsonl one line per image. A file appears when it is complete, or not at all.
class PredictionFile {
 public:
  /// `top`: also (CSV: only) the names and values of this many largest outputs; 0: none. Throws bad_input for another
  /// extension, or outputs that the format can't hold.
  PredictionFile(const std::string& path, const Prediction& prediction, int64_t top);
  ~PredictionFile();
  PredictionFile(const PredictionFile&) = delete;
  PredictionFile& operator=(const PredictionFile&) = delete;

  void add(int64_t first, const Tensor& outputs);
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// An image's line of a .jsonl file, without line feed: {"image", "label" if known, "outputs", "top" if wanted}.
std::string prediction_line(const Prediction& prediction, int64_t image, const Tensor& output, int64_t top);

}  // namespace mixgrad
