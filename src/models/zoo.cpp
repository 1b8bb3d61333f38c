// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/models.h>

#include <fmt/ranges.h>

namespace mixgrad::models {
namespace {

struct Entry {
  const char* name;
  Shape input_shape;
  std::unique_ptr<nn::Module> (*make)(int64_t classes);
};

const std::vector<Entry>& zoo() {
  static const std::vector<Entry> entries = {
      {"resnet8", {3, 32, 32}, resnet8},
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
  for (const Entry& e : zoo()) {
    if (name == e.name) return {.name = name, .input_shape = e.input_shape, .net = e.make(classes)};
  }
  bad_input("unknown model '{}': expected {}", name, fmt::join(names(), ", "));
}

}  // namespace mixgrad::models
