// SPDX-License-Identifier: Apache-2.0
// The .npy format for one NumPy array (numpy.lib.format).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace mixgrad::data {

/// A 16-bit IEEE 754 number.
struct Half {
  uint16_t bits;
  operator double() const;
};

/// Values of any type, byte order and memory order. Indices are in C order: the last index varies fastest.
struct Array {
  std::string name;           // for messages
  std::vector<int64_t> dims;  // each at least 1
  std::string type;           // in NumPy's notation: "bool", "uint8", "float16", …
  char kind;                  // b, i, u or f
  size_t width;               // bytes per value
  bool big_endian;
  std::vector<int64_t> strides;  // in values; empty: C order
  std::string_view values;

  int64_t count() const { return static_cast<int64_t>(values.size() / width); }
  /// The multi-dimensional index of value i: "[12, 3, 0, 1]".
  std::string place(int64_t i) const;
  /// Calls use(i, double) for every value, in C order. 64-bit integers are rounded.
  template <typename Use>
  void visit(const Use& use) const;

 private:
  template <typename T, typename Use>
  void visit_as(const Use& use) const;
  size_t position(int64_t i) const;  // position of value i in the file
};

/// Parses a file's content, which must outlive the array. Throws bad_input naming `name` and, if corrupt, the offset.
Array parse_npy(const std::string& name, std::string_view content);

template <typename T, typename Use>
void Array::visit_as(const Use& use) const {
  for (int64_t i = 0, n = count(); i < n; ++i) {
    std::array<char, sizeof(T)> bytes;
    std::memcpy(bytes.data(), values.data() + position(i) * sizeof(T), sizeof(T));
    if (big_endian) std::reverse(bytes.begin(), bytes.end());
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    use(i, static_cast<double>(value));
  }
}

template <typename Use>
void Array::visit(const Use& use) const {
  switch (kind) {
    case 'f':
      return width == 2 ? visit_as<Half>(use) : width == 4 ? visit_as<float>(use) : visit_as<double>(use);
    case 'i':
      if (width <= 2) return width == 1 ? visit_as<int8_t>(use) : visit_as<int16_t>(use);
      return width == 4 ? visit_as<int32_t>(use) : visit_as<int64_t>(use);
    default:  // u, or b stored as one byte
      if (width <= 2) return width == 1 ? visit_as<uint8_t>(use) : visit_as<uint16_t>(use);
      return width == 4 ? visit_as<uint32_t>(use) : visit_as<uint64_t>(use);
  }
}

}  // namespace mixgrad::data
