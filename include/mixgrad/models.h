// SPDX-License-Identifier: Apache-2.0
// The networks of the MLPerf Tiny benchmark (Banbury et al. 2021), other well-known ones for small devices, and import
// from ONNX and TFLite files.
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

/// Image classification, [N, 3, 32, 32] to [N, classes]: as resnet8, with three residual blocks in each of its stages
/// (He et al. 2016, arXiv 1512.03385, §4.2); its shortcuts between stages are 1×1 convolutions.
std::unique_ptr<nn::Module> resnet20(int64_t classes = 10, int64_t channels = 3);

/// What the classifiers made for ImageNet leave open: [N, channels, 224, 224] (or another size) to [N, classes].
struct ClassifierOptions {
  int64_t classes = 1000, channels = 3;
  double width = 1;           ///< multiplies the numbers of channels
  bool small_images = false;  ///< leaves out the first two of the steps that halve the image, as is usual for CIFAR-10
};
/// Sandler et al. 2018, arXiv 1801.04381.
std::unique_ptr<nn::Module> mobilenet_v2(const ClassifierOptions& options = {});
/// Howard et al. 2019, arXiv 1905.02244.
std::unique_ptr<nn::Module> mobilenet_v3_small(const ClassifierOptions& options = {});
/// Version 1.1 of Iandola et al. 2016, arXiv 1602.07360, with batch norms, which let it learn from random weights.
std::unique_ptr<nn::Module> squeezenet(const ClassifierOptions& options = {});
/// Ma et al. 2018, arXiv 1807.11164. Its widths are 0.5, 1, 1.5 and 2.
std::unique_ptr<nn::Module> shufflenet_v2(const ClassifierOptions& options = {});
/// EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946) without squeeze and excite, and with ReLU6: what its authors
/// publish for devices.
std::unique_ptr<nn::Module> efficientnet_lite0(const ClassifierOptions& options = {});

struct UNetOptions {
  int64_t classes = 2, channels = 1;
  int64_t width = 64;  ///< channels at the image's size; twice as many after each halving
  int levels = 4;      ///< how often the image is halved: its size is a multiple of 2^levels
};
/// Segmentation (Ronneberger et al. 2015, arXiv 1505.04597): [N, channels, H, W] to a map of scores, [N, classes, H,
/// W].
std::unique_ptr<nn::Module> unet(const UNetOptions& options = {});

struct DetectorOptions {
  int64_t outputs = 125, channels = 3;  ///< 125: 5 boxes of 4 coordinates, their presence and 20 classes
  double width = 1;                     ///< multiplies the numbers of channels
};
/// Detection, the body of Tiny YOLOv2 (Redmon and Farhadi 2017, arXiv 1612.08242): [N, channels, 416, 416] to a map of
/// box parameters, [N, outputs, 13, 13]; other sizes are divided by 32, too.
std::unique_ptr<nn::Module> tiny_yolo(const DetectorOptions& options = {});

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
/// names if there is none, and if images of `options.input_shape` don't fit a built-in model's strides. `outputs` are
/// its classes or values, or the channels of its map; ignored for autoencoders and imported networks. unet has 3 levels
/// and a width of 16, tiny_yolo a width of 0.25; all other widths are 1.
Model make(const std::string& name, int64_t outputs, const Options& options = {});
/// What the model called `name` is for, a task by its name; empty for one made elsewhere, which its user knows.
std::string task_of(const std::string& name);
std::vector<std::string> names();
/// Whether `name` has the extension of a file that can hold a network: .onnx or .tflite.
bool is_file(const std::string& name);
/// Throws bad_input unless `name` is a model or is_file.
void check_name(const std::string& name);

}  // namespace mixgrad::models
