// SPDX-License-Identifier: Apache-2.0
// Networks of the MLPerf Tiny benchmark (Banbury et al. 2021), and those of ONNX files.
#pragma once

#include <mixgrad/nn.h>
#include <mixgrad/normalization.h>

#include <memory>
#include <string>
#include <vector>

namespace mixgrad::models {

/// Image classification: 3 residual stacks, [N, 3, 32, 32] to [N, classes]; 77,360 weights with 10 classes.
std::unique_ptr<nn::Module> resnet8(int64_t classes = 10);

/// Visual wake words: depthwise separable convolutions at width 0.25, [N, 3, 96, 96] to [N, classes]; 208,112 weights
/// with 2 classes.
std::unique_ptr<nn::Module> mobilenet_v1(int64_t classes = 2);
/// Keyword spotting: [N, 1, 49, 10] (features by time) to [N, classes]; 22,016 weights with 12 classes.
std::unique_ptr<nn::Module> ds_cnn(int64_t classes = 12);
/// Anomaly detection: linear layers, [N, 640, 1, 1] to its reconstruction [N, 640]; 264,192 weights.
std::unique_ptr<nn::Module> autoencoder();

/// A network of the zoo and the input it is made for.
struct Model {
  std::string name;
  Shape input_shape;  ///< C, H, W
  std::unique_ptr<nn::Module> net;
  bool trained = false;              ///< made elsewhere: it comes with its weights
  Normalization normalization = {};  ///< of its input: from constants at the file's head; `net` takes normalized images
  std::vector<std::string> notes = {};  ///< what reading the file left out or changed, a sentence each
  Shape output_shape = {};              ///< of what `net` returns, without N: [C, H, W] or [values]
  std::string left_out = {};            ///< of a file: the function at its end that `net` leaves out, "Sigmoid 'y'"
  /// `normalization` is of pixels from 0 to 255: images from 0 to 1 need its mean and std divided by 255.
  bool pixels_to_255 = false;
};

/// What a file may leave open.
struct Options {
  Shape input_shape = {};  ///< C, H, W of an image; none: as the file has it
};

/// The model called `name`, or the float network in the ONNX file `name` (*.onnx); bad_input lists the names when there
/// is none. `classes` is nothing to the autoencoder, and to one that was made elsewhere.
Model make(const std::string& name, int64_t classes, const Options& options = {});
/// What the model called `name` is for, a task by its name; empty for one made elsewhere, which its user knows.
std::string task_of(const std::string& name);
std::vector<std::string> names();
/// Throws bad_input where `name` is neither a model nor an ONNX file by its name.
void check_name(const std::string& name);

}  // namespace mixgrad::models
