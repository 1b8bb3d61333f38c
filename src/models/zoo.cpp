// SPDX-License-Identifier: Apache-2.0
#include "onnx_import.h"

#include <mixgrad/error.h>
#include <mixgrad/models.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace mixgrad::models {
namespace {

struct Entry {
  const char* name;
  Shape input_shape;             // unless another is asked for
  std::array<int64_t, 2> least;  // rows and columns: on fewer, a stride would go over a single one
  const char* task;
  std::unique_ptr<nn::Module> (*make)(const Shape& input_shape, int64_t outputs);
  Shape (*output_shape)(const Shape& input_shape, int64_t outputs);
  int64_t multiple = 1;  // that rows and columns must be of
};

Shape scores(const Shape&, int64_t outputs) { return {outputs}; }

Entry classifier(const char* name, const Shape& input_shape, const std::array<int64_t, 2>& least,
                 std::unique_ptr<nn::Module> (*make)(const Shape& input_shape, int64_t outputs)) {
  return {name, input_shape, least, "classify", make, scores};
}

template <std::unique_ptr<nn::Module> (*net)(int64_t classes, int64_t channels)>
std::unique_ptr<nn::Module> made(const Shape& s, int64_t classes) {
  return net(classes, s[0]);
}

/// Networks that divide the images of ImageNet by 32 divide smaller ones by 8.
template <std::unique_ptr<nn::Module> (*net)(const ClassifierOptions&)>
std::unique_ptr<nn::Module> made(const Shape& s, int64_t classes) {
  constexpr int64_t least_of_large = 64;
  return net({.classes = classes, .channels = s[0], .small_images = std::min(s[1], s[2]) < least_of_large});
}

std::unique_ptr<nn::Module> made_unet(const Shape& s, int64_t classes) {
  return unet({.classes = classes, .channels = s[0], .width = 16, .levels = 3});
}

std::unique_ptr<nn::Module> made_tiny_yolo(const Shape& s, int64_t outputs) {
  return tiny_yolo({.outputs = outputs, .channels = s[0], .width = 0.25});
}

const std::vector<Entry>& zoo() {
  static const std::vector<Entry> entries = {
      classifier("resnet8", {3, 32, 32}, {3, 3}, made<resnet8>),
      classifier("mobilenet_v1", {3, 96, 96}, {17, 17}, made<mobilenet_v1>),
      classifier("ds_cnn", {1, 49, 10}, {2, 2}, made<ds_cnn>),
      {.name = "autoencoder",
       .input_shape = {640, 1, 1},
       .least = {1, 1},
       .task = "reconstruct",
       .make = [](const Shape& s, int64_t) { return autoencoder(s.size()); },
       .output_shape = [](const Shape& s, int64_t) { return Shape{s.size()}; }},
      classifier("resnet20", {3, 32, 32}, {3, 3}, made<resnet20>),
      classifier("mobilenet_v2", {3, 64, 64}, {5, 5}, made<mobilenet_v2>),
      classifier("mobilenet_v3_small", {3, 64, 64}, {5, 5}, made<mobilenet_v3_small>),
      classifier("efficientnet_lite0", {3, 64, 64}, {5, 5}, made<efficientnet_lite0>),
      classifier("squeezenet", {3, 64, 64}, {8, 8}, made<squeezenet>),
      classifier("shufflenet_v2", {3, 64, 64}, {5, 5}, made<shufflenet_v2>),
      {.name = "unet",
       .input_shape = {3, 64, 64},
       .least = {8, 8},
       .task = "classify",
       .make = made_unet,
       .output_shape =
           [](const Shape& s, int64_t classes) {
             return Shape{classes, s[1], s[2]};
           },
       .multiple = 8},
      {.name = "tiny_yolo",
       .input_shape = {3, 96, 96},
       .least = {17, 17},
       .task = "regress",
       .make = made_tiny_yolo,
       .output_shape =
           [](const Shape& s, int64_t outputs) {
             return Shape{outputs, (s[1] + 31) / 32, (s[2] + 31) / 32};
           }},
  };
  return entries;
}

const Entry* find(const std::string& name) {
  const auto entry = std::ranges::find(zoo(), name, &Entry::name);
  return entry == zoo().end() ? nullptr : &*entry;
}

/// Throws bad_input unless the model can take images of this shape.
void check_shape(const Entry& e, const Shape& s) {
  if (s.rank() != 3 || std::ranges::any_of(s.dims(), [](int64_t d) { return d < 1; }))
    bad_input("model {}: images {} are not possible: expected C,H,W, like {}", e.name, s.str(),
              fmt::join(e.input_shape.dims(), ","));
  if (s[1] < e.least[0] || s[2] < e.least[1]) {
    bad_input("model {}: images {} (C, H, W) are too small for its strides: expected at least {} rows and {} columns",
              e.name, s.str(), e.least[0], e.least[1]);
  }
  if (s[1] % e.multiple != 0 || s[2] % e.multiple != 0) {
    bad_input("model {}: images {} (C, H, W) are not possible: expected rows and columns that are multiples of {}",
              e.name, s.str(), e.multiple);
  }
}

[[noreturn]] void refuse_name(const std::string& name) {
  bad_input(
      "model: unknown '{}': expected {}, FILE.onnx or FILE.tflite; to use a network from elsewhere, export it "
      "(PyTorch: torch.onnx.export; TensorFlow, Keras: tf.lite.TFLiteConverter without quantization, or tf2onnx)",
      name, fmt::join(names(), ", "));
}

}  // namespace

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const Entry& e : zoo()) out.emplace_back(e.name);
  return out;
}

bool is_file(const std::string& name) { return name.ends_with(".onnx") || name.ends_with(".tflite"); }

void check_name(const std::string& name) {
  if (find(name) == nullptr && !is_file(name)) refuse_name(name);
}

std::string task_of(const std::string& name) {
  check_name(name);
  const Entry* entry = find(name);
  return entry == nullptr ? "" : entry->task;
}

Model make(const std::string& name, int64_t outputs, const Options& options) {
  if (name.ends_with(".onnx")) return from_onnx(name, options);
  if (name.ends_with(".tflite")) return from_tflite(name, options);
  const Entry* entry = find(name);
  if (entry == nullptr) refuse_name(name);
  const Shape shape = options.input_shape.rank() > 0 ? options.input_shape : entry->input_shape;
  check_shape(*entry, shape);
  return {.name = name,
          .input_shape = shape,
          .net = entry->make(shape, outputs),
          .trained = false,
          .output_shape = entry->output_shape(shape, outputs)};
}

}  // namespace mixgrad::models
