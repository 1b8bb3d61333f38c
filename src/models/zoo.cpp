// SPDX-License-Identifier: Apache-2.0
#include "onnx_import.h"

#include <mixgrad/error.h>
#include <mixgrad/models.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace mixgrad::models {
namespace {

struct Entry {
  const char* name;
  Shape input_shape;             // unless another is asked for
  std::array<int64_t, 2> least;  // rows and columns: on fewer, a stride would go over a single one
  const char* task;
  std::unique_ptr<nn::Module> (*make)(const Shape& input_shape, int64_t classes);
};

template <std::unique_ptr<nn::Module> (*classifier)(int64_t classes, int64_t channels)>
std::unique_ptr<nn::Module> classifier_for(const Shape& input_shape, int64_t classes) {
  return classifier(classes, input_shape[0]);
}

const std::vector<Entry>& zoo() {
  static const std::vector<Entry> entries = {
      {"resnet8", {3, 32, 32}, {3, 3}, "classify", classifier_for<resnet8>},
      {"mobilenet_v1", {3, 96, 96}, {17, 17}, "classify", classifier_for<mobilenet_v1>},
      {"ds_cnn", {1, 49, 10}, {2, 2}, "classify", classifier_for<ds_cnn>},
      {"autoencoder",
       {640, 1, 1},
       {1, 1},
       "reconstruct",
       [](const Shape& s, int64_t) { return autoencoder(s.size()); }},
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
}

[[noreturn]] void refuse_name(const std::string& name) {
  bad_input(
      "model: unknown '{}': expected {}, FILE.onnx or FILE.tflite; to use a network from elsewhere, export it "
      "(PyTorch: "
      "torch.onnx.export; TensorFlow, Keras: tf.lite.TFLiteConverter without quantization, or tf2onnx)",
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

Model make(const std::string& name, int64_t classes, const Options& options) {
  if (name.ends_with(".onnx")) return from_onnx(name, options);
  if (name.ends_with(".tflite")) return from_tflite(name, options);
  const Entry* entry = find(name);
  if (entry == nullptr) refuse_name(name);
  const Shape shape = options.input_shape.rank() > 0 ? options.input_shape : entry->input_shape;
  check_shape(*entry, shape);
  return {.name = name,
          .input_shape = shape,
          .net = entry->make(shape, classes),
          .trained = false,
          .output_shape = {entry->task == std::string_view("reconstruct") ? shape.size() : classes}};
}

}  // namespace mixgrad::models
