// SPDX-License-Identifier: Apache-2.0
// The networks of the MLPerf Tiny benchmark (Banbury et al. 2021), and import from ONNX and TFLite files.
#pragma once

#include <mixgrad/nn.h>
#include <mixgrad/normalization.h>

#include <memory>
#include <string>
#include <vector>

namespace mixgrad::models {

// The official inputs and their numbers of weights; the networks run at other sizes too.

/// Image classification: 3 residual stacks, [N, 3, 32, 32] to [N, classes]; 77,360 weights for 10 classes.
std::unique_ptr<nn::Module> resnet8(int64_t classes = 10, int64_t channels = 3);
/// Visual wake words: depthwise separable convolutions of width 0.25, [N, 3, 96, 96] to [N, classes]; 208,112 weights
/// for 2 classes.
std::unique_ptr<nn::Module> mobilenet_v1(int64_t classes = 2, int64_t channels = 3);
/// Keyword spotting: [N, 1, 49, 10] (features by time) to [N, classes]; 22,016 weights for 12 classes.
std::unique_ptr<nn::Module> ds_cnn(int64_t classes = 12, int64_t channels = 1);
/// Anomaly detection: linear layers, [N, 640, 1, 1] (or as many values in any shape) to its reconstruction [N, 640];
/// 264,192 weights.
std::unique_ptr<nn::Module> autoencoder(int64_t features = 640);

/// A network and the input it expects.
struct Model {
  std::string name;
  Shape input_shape;  ///< C, H, W
  std::unique_ptr<nn::Module> net;
  bool trained = false;                   ///< imported together with its weights
  Normalization normalization = {};       ///< from constants at the start of the file; `net` takes normalized images
  std::vector<std::string> notes = {};    ///< what the import left out or changed, one sentence each
  Shape output_shape = {};                ///< of `net`, without N: [C, H, W] or [values]; of several outputs, [values]
  std::vector<std::string> outputs = {};  ///< their names in the file
  std::string left_out = {};              ///< the function at the end of the file that `net` lacks: "Sigmoid 'y'"
  /// `normalization` is for pixels from 0 to 255; for images from 0 to 1, divide its mean and std by 255.
  bool pixels_to_255 = false;
  /// What the file advises for pixels from 0 to 255, before `normalization`; what the user says replaces it.
  Normalization advised = {};
  bool asks_input_scale = false;  ///< nothing in the file tells the range of pixels that `net` takes
};

/// What a model may leave open.
struct Options {
  Shape input_shape = {};  ///< C, H, W of an image; empty: as in the file, or the built-in model's usual one
  /// Of a model in a file: bytes that constants computed from those in the file, and the tensors of one image, may each
  /// take in addition to the file's size. A tiny file can describe a huge network.
  int64_t most_memory = int64_t{4} << 30;
};

/// The model called `name`, or the float network in the file `name` (*.onnx, *.tflite). Throws bad_input listing the
/// names if there is none, and if images of `options.input_shape` are too small for a built-in model's strides.
/// `classes` is ignored for autoencoders and imported networks.
Model make(const std::string& name, int64_t classes, const Options& options = {});
/// What the model called `name` is for, a task by its name; empty for one made elsewhere, which its user knows.
std::string task_of(const std::string& name);
std::vector<std::string> names();
/// Whether `name` has the extension of a file that can hold a network: .onnx or .tflite.
bool is_file(const std::string& name);
/// Throws bad_input unless `name` is a model or is_file.
void check_name(const std::string& name);

}  // namespace mixgrad::models
