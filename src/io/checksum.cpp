// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/io.h>

#include <fmt/core.h>

#include <span>

namespace mixgrad::io {
namespace {

class Fnv1a {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) add_byte(c);
    add_byte('\0');
  }
  void add(std::span<const float> values) { add({reinterpret_cast<const char*>(values.data()), values.size_bytes()}); }
  std::string str() const { return fmt::format("{:016x}", hash_); }

 private:
  void add_byte(char c) { hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3; }
  uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace

std::string checksum(const Safetensors& content) {
  Fnv1a sum;
  for (const auto& [key, value] : content.metadata) {
    sum.add(key);
    sum.add(value);
  }
  for (const auto& [name, tensor] : content.tensors) {
    sum.add(name);
    sum.add(tensor.shape().str());
    sum.add(tensor.to_vector());
  }
  return sum.str();
}

}  // namespace mixgrad::io
