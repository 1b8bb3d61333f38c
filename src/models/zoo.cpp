// SPDX-License-Identifier: Apache-2.0
#include "onnx_import.h"

#include <mixgrad/error.h>
#include <mixgrad/models.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

namespace mixgrad::models {
namespace {

struct Entry {
  const char* name;
  Shape input_shape;
  const char* task;
  std::unique_ptr<nn::Module> (*make)(int64_t classes);
};

const std::vector<Entry>& zoo() {
  static const std::vector<Entry> entries = {
      {"resnet8", {3, 32, 32}, "classify", resnet8},
      {"mobilenet_v1", {3, 96, 96}, "classify", mobilenet_v1},
      {"ds_cnn", {1, 49, 10}, "classify", ds_cnn},
      {"autoencoder", {640, 1, 1}, "reconstruct", [](int64_t) { return autoencoder(); }},
  };
  return entries;
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
  const bool known = std::ranges::any_of(zoo(), [&](const Entry& e) { return name == e.name; });
  if (!known && !is_file(name)) refuse_name(name);
}

std::string task_of(const std::string& name) {
  check_name(name);
  const auto entry = std::ranges::find(zoo(), name, &Entry::name);
  return entry == zoo().end() ? "" : entry->task;
}

Model make(const std::string& name, int64_t classes, const Options& options) {
  if (name.ends_with(".onnx")) return from_onnx(name, options);
  if (name.ends_with(".tflite")) return from_tflite(name, options);
  for (const Entry& e : zoo()) {
    if (name != e.name) continue;
    if (options.input_shape.rank() > 0 && options.input_shape != e.input_shape) {
      bad_input("{} takes images {} (C, H, W), not {}: only a file with an undefined input shape can be given another",
                name, e.input_shape.str(), options.input_shape.str());
    }
    return {.name = name,
            .input_shape = e.input_shape,
            .net = e.make(classes),
            .trained = false,
            .output_shape = {e.task == std::string_view("reconstruct") ? e.input_shape.size() : classes}};
  }
  refuse_name(name);
}

}  // namespace mixgrad::models
