// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/io.h>

#include <fmt/core.h>

namespace mixgrad::io {

void Checksum::add(std::string_view bytes) {
  const auto add_byte = [this](char c) { hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3; };
  for (const char c : bytes) add_byte(c);
  add_byte('\0');
}

std::string Checksum::str() const { return fmt::format("{:016x}", hash_); }

std::string checksum(const Safetensors& content) {
  Checksum sum;
  for (const auto& [key, value] : content.metadata) {
    sum.add(key);
    sum.add(value);
  }
  for (const auto& [name, tensor] : content.tensors) {
    sum.add(name);
    sum.add(tensor.shape().str());
    sum.add(std::span<const float>(tensor.to_vector()));
  }
  return sum.str();
}

}  // namespace mixgrad::io
