// SPDX-License-Identifier: Apache-2.0
// Training state, listed once for saving and restoring.
#pragma once

#include <mixgrad/io.h>
#include <mixgrad/tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace mixgrad {

/// References to named tensors and numbers, which must outlive this object.
class State {
 public:
  void add(const std::string& name, const Tensor& tensor) { entries_.emplace_back(name, tensor); }
  /// name.0, name.1, ...
  void add(const std::string& name, std::span<const Tensor> tensors);
  void add(const std::string& name, std::span<double> numbers) { entries_.emplace_back(name, numbers); }
  void add(const std::string& name, std::span<int64_t> numbers) { entries_.emplace_back(name, numbers); }
  void add(const std::string& name, std::span<uint64_t> numbers) { entries_.emplace_back(name, numbers); }
  void add(const std::string& name, bool& flag) { entries_.emplace_back(name, &flag); }
  template <typename Number>
  requires(std::is_arithmetic_v<Number>) void add(const std::string& name, Number& number) {
    add(name, std::span<Number>(&number, 1));
  }

  /// The current values; tensors are shared.
  io::Safetensors content() const;
  /// Restores what content() returned. Throws bad_input naming an entry that is missing or does not fit.
  void restore(const io::Safetensors& content) const;

 private:
  using Entry = std::variant<Tensor, std::span<double>, std::span<int64_t>, std::span<uint64_t>, bool*>;
  std::vector<std::pair<std::string, Entry>> entries_;
};

}  // namespace mixgrad
