// SPDX-License-Identifier: Apache-2.0
// The layout of .npy: a magic string, a version, the header's length, the header as a Python dict, values.
#include "npy.h"

#include <mixgrad/error.h>

#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace mixgrad::data {
namespace {

constexpr std::string_view magic = "\x93NUMPY";

/// The header's text and the offset of the values.
std::pair<std::string, size_t> header_of(const std::string& name, std::string_view content) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(content[i])); };
  if (!content.starts_with(magic) || content.size() < 12)
    bad_input("{}: not a NumPy array: expected \\x93NUMPY at offset 0", name);
  const bool old = byte(6) == 1;
  if (byte(6) < 1 || byte(6) > 3) bad_input("{}: format version {} at offset 6: expected 1 to 3", name, byte(6));
  const size_t begin = old ? 10 : 12;
  const size_t length = old ? byte(8) | byte(9) << 8 : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (content.size() - begin < length) bad_input("{}: ends at offset {}, in its header", name, content.size());
  return {std::string(content.substr(begin, length)), begin + length};
}

/// What follows 'key': in the header; only the part within `enclosing`, if given.
std::string_view entry(const std::string& name, std::string_view header, std::string_view key,
                       std::optional<std::array<char, 2>> enclosing = {}) {
  const size_t at = header.find(fmt::format("'{}':", key));
  const size_t begin = at == header.npos ? at : header.find_first_not_of(' ', at + key.size() + 3);
  const bool open = begin != header.npos && (!enclosing || header[begin] == enclosing->front());
  const size_t end = open && enclosing ? header.find(enclosing->back(), begin + 1) : header.npos;
  if (!open || (enclosing && end == header.npos))
    bad_input("{}: its header has no valid {}: {}", name, key, header.substr(0, 80));
  return enclosing ? header.substr(begin + 1, end - begin - 1) : header.substr(begin);
}

/// The sizes of a shape like "2, 3" or "2,".
std::vector<int64_t> sizes(const std::string& name, std::string_view shape) {
  constexpr std::string_view digits = "0123456789";
  std::vector<int64_t> out;
  for (size_t at = 0; (at = shape.find_first_not_of(", ", at)) != shape.npos;) {
    const auto [end, error] = std::from_chars(shape.data() + at, shape.data() + shape.size(), out.emplace_back());
    if (error != std::errc() || digits.find(shape[at]) == digits.npos)
      bad_input("{}: invalid shape ({}): expected 64-bit sizes", name, shape.substr(0, 80));
    at = static_cast<size_t>(end - shape.data());
  }
  return out;
}

/// Sets kind, width and byte order from a type such as "<f4".
void set_type(Array& array, std::string_view descr) {
  struct Kind {
    char letter;
    std::string_view widths, name;
  };
  constexpr Kind kinds[] = {{'b', "1", "bool"}, {'i', "1248", "int"}, {'u', "1248", "uint"}, {'f', "248", "float"}};
  const bool plain = descr.size() == 3 && std::string_view("<>|=").find(descr[0]) != std::string_view::npos;
  for (const Kind& k : kinds) {
    if (!plain || descr[1] != k.letter || k.widths.find(descr[2]) == std::string_view::npos) continue;
    array.kind = k.letter;
    array.width = static_cast<size_t>(descr[2] - '0');
    array.big_endian = descr[0] == '>';
    array.type = k.letter == 'b' ? "bool" : fmt::format("{}{}", k.name, 8 * array.width);
    return;
  }
  const bool text = descr.size() > 1 && (descr[1] == 'U' || descr[1] == 'S');
  bad_input("{}: values of type '{}': expected booleans, integers or floats of up to 64 bits, such as {}", array.name,
            descr.substr(0, 40), text ? "np.unique(y, return_inverse=True)[1] for class names" : "x.astype('float32')");
}

/// Strides of Fortran order: the first index varies fastest.
std::vector<int64_t> fortran_strides(const std::vector<int64_t>& dims) {
  std::vector<int64_t> strides = {1};
  for (const int64_t d : dims) strides.push_back(strides.back() * d);
  strides.pop_back();
  return strides;
}

/// The multi-dimensional index of value i.
std::vector<int64_t> index_of(const std::vector<int64_t>& dims, int64_t i) {
  std::vector<int64_t> index(dims.size());
  for (size_t d = dims.size(); d-- > 0; i /= dims[d]) index[d] = i % dims[d];
  return index;
}

}  // namespace

Half::operator double() const {
  const int exponent = bits >> 10 & 0x1f, mantissa = bits & 0x3ff;
  double magnitude = std::ldexp(exponent == 0 ? mantissa : mantissa + 0x400, std::max(exponent, 1) - 25);
  if (exponent == 0x1f)
    magnitude = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

std::string Array::place(int64_t i) const { return fmt::format("[{}]", fmt::join(index_of(dims, i), ", ")); }

size_t Array::position(int64_t i) const {
  if (strides.empty()) return static_cast<size_t>(i);
  int64_t at = 0;
  for (size_t d = dims.size(); d-- > 0; i /= dims[d]) at += i % dims[d] * strides[d];
  return static_cast<size_t>(at);
}

Array parse_npy(const std::string& name, std::string_view content) {
  const auto [header, offset] = header_of(name, content);
  Array array{};
  array.name = name;
  array.values = content.substr(offset);
  const std::string_view descr = entry(name, header, "descr", {{'\'', '\''}});
  const std::string_view shape = entry(name, header, "shape", {{'(', ')'}});
  set_type(array, descr);
  array.dims = sizes(name, shape);
  uint64_t total = array.width;
  for (const int64_t d : array.dims) {
    const auto size = static_cast<uint64_t>(d);
    if (size == 0) bad_input("{}: no values: its shape is ({}), expected at least one image", name, shape);
    total = total > content.size() / size ? content.size() + 1 : total * size;
  }
  if (total != array.values.size()) {
    bad_input("{}: {} bytes of values from offset {} on don't match its shape ({}) and type {}", name,
              array.values.size(), offset, shape, descr);
  }
  const std::string_view order = entry(name, header, "fortran_order");
  if (!order.starts_with("True") && !order.starts_with("False"))
    bad_input("{}: invalid fortran_order in its header: {}: expected True or False", name, order.substr(0, 20));
  if (order.starts_with("True")) array.strides = fortran_strides(array.dims);
  return array;
}

}  // namespace mixgrad::data
