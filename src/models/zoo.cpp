// SPDX-License-Identifier: Apache-2.0
#include "onnx_import.h"

#include <mixgrad/error.h>
#include <mixgrad/models.h>

#include <fmt/ranges.h>

namespace mixgrad::models {
namespace {

struct Entry {
  const char* name;
  Shape input_shape;
  bool reconstructs;
  std::unique_ptr<nn::Module> (*make)(int64_t classes);
};

const std::vector<Entry>& zoo() {
  static const std::vector<Entry> entries = {
      {"resnet8", {3, 32, 32}, false, resnet8},
      {"mobilenet_v1", {3, 96, 96}, false, mobilenet_v1},
      {"ds_cnn", {1, 49, 10}, false, ds_cnn},
      {"autoencoder", {640, 1, 1}, true, [](int64_t) { return autoencoder(); }},
  };
  return entries;
}

}  // namespace

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const Entry& e : zoo()) out.emplace_back(e.name);
  return out;
}

Model make(const std::string& name, int64_t classes) {
  if (name.ends_with(".onnx")) return from_onnx(name);
  for (const Entry& e : zoo()) {
    if (name == e.name) return {.name = name, .input_shape = e.input_shape, .reconstructs = e.reconstructs, .net = e.make(classes), .trained = false, .classes = 0};
  }
  bad_input("unknown model '{}': expected {}, or an ONNX file (*.onnx)", name, fmt::join(names(), ", "));
}

}  // namespace mixgrad::models
