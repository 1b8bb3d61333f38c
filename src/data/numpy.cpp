// SPDX-License-Identifier: Apache-2.0
// NumPy arrays (numpy.lib.format): a magic string, a version, the length of a header, the header as a Python dict, values.
#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include <zip.h>

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view magic = "\x93NUMPY";
constexpr uint64_t highest_ratio = 1032;  // of deflated data
constexpr int64_t most_classes = 1 << 16;

struct Array {
  std::string name;         // for messages
  std::vector<int64_t> dims;
  char kind;                // u, i or f
  size_t width;             // bytes of one value
  size_t offset;            // of the first value
  std::string_view values;

  int64_t count() const { return static_cast<int64_t>(values.size() / width); }
  template <typename T>
  T at(int64_t i) const {
    T value;
    std::memcpy(&value, values.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    return value;
  }
  size_t offset_of(int64_t i) const { return offset + static_cast<size_t>(i) * width; }
};

/// The header's text and where the values begin.
std::pair<std::string, size_t> header_of(const std::string& name, std::string_view content) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(content[i])); };
  if (!content.starts_with(magic) || content.size() < 12) bad_input("{}: not a NumPy array: expected \\x93NUMPY at offset 0", name);
  const bool old = byte(6) == 1;
  if (byte(6) < 1 || byte(6) > 3) bad_input("{}: format version {} at offset 6: expected 1 to 3", name, byte(6));
  const size_t begin = old ? 10 : 12;
  const size_t length = old ? byte(8) | byte(9) << 8 : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (content.size() - begin < length) bad_input("{}: ends at offset {}, inside its header", name, content.size());
  return {std::string(content.substr(begin, length)), begin + length};
}

/// What follows 'key': in the header; between `open` and `close`, where they are given.
std::string_view entry(const std::string& name, std::string_view header, std::string_view key, std::optional<std::array<char, 2>> enclosing = {}) {
  const size_t at = header.find(fmt::format("'{}':", key));
  const size_t begin = at == header.npos ? at : header.find_first_not_of(' ', at + key.size() + 3);
  const size_t end = begin == header.npos || !enclosing || header[begin] != enclosing->front() ? header.npos : header.find(enclosing->back(), begin + 1);
  if (begin == header.npos || (enclosing && end == header.npos)) bad_input("{}: its header has no {} that can be read here: {}", name, key, header.substr(0, 80));
  return enclosing ? header.substr(begin + 1, end - begin - 1) : header.substr(begin);
}

/// The sizes of a shape like "2, 3" or "2,".
std::vector<int64_t> sizes(const std::string& name, std::string_view shape) {
  constexpr std::string_view digits = "0123456789";
  std::vector<int64_t> out;
  for (size_t at = 0; (at = shape.find_first_not_of(", ", at)) != shape.npos;) {
    const auto [end, error] = std::from_chars(shape.data() + at, shape.data() + shape.size(), out.emplace_back());
    if (error != std::errc() || digits.find(shape[at]) == digits.npos) bad_input("{}: shape ({}) holds something else than sizes, or is too large", name, shape.substr(0, 80));
    at = static_cast<size_t>(end - shape.data());
  }
  return out;
}

Array parse(const std::string& name, std::string_view content) {
  const auto [header, offset] = header_of(name, content);
  const std::string_view type = entry(name, header, "descr", {{'\'', '\''}});
  constexpr std::string_view widths = "1248";
  if (type.size() != 3 || widths.find(type[2]) == widths.npos) bad_input("{}: values of type {}: expected bytes (u1), integers (i, u) or floats (f4, f8)", name, type);
  if (type[0] == '>') bad_input("{}: big-endian values ({}): expected little-endian ones", name, type);
  if (!entry(name, header, "fortran_order").starts_with("False")) bad_input("{}: in Fortran order: expected C order", name);
  const std::string_view shape = entry(name, header, "shape", {{'(', ')'}});
  Array array{.name = name, .dims = sizes(name, shape), .kind = type[1], .width = static_cast<size_t>(type[2] - '0'), .offset = offset, .values = content.substr(offset)};
  uint64_t total = array.width;
  for (const int64_t d : array.dims) {
    const auto size = static_cast<uint64_t>(d);
    total = size == 0 || total > content.size() / size ? content.size() + 1 : total * size;  // empty, or larger than the file
  }
  if (total != array.values.size()) {
    bad_input("{}: {} bytes of values from offset {} on do not fit its shape ({}) of type {}", name, array.values.size(), offset, shape, type);
  }
  return array;
}

template <typename T>
void append_floats(const Array& a, std::vector<float>& out) {
  for (int64_t i = 0; i < a.count(); ++i) {
    const auto v = static_cast<float>(a.at<T>(i));
    if (!std::isfinite(v)) bad_input("{}: the value at offset {} is NaN or infinite, or too large", a.name, a.offset_of(i));
    out.push_back(v);
  }
}

int64_t integer(const Array& a, int64_t i) {
  const bool is_signed = a.kind == 'i';
  switch (a.width) {
    case 1: return is_signed ? a.at<int8_t>(i) : a.at<uint8_t>(i);
    case 2: return is_signed ? a.at<int16_t>(i) : a.at<uint16_t>(i);
    case 4: return is_signed ? a.at<int32_t>(i) : a.at<uint32_t>(i);
    default: return a.at<int64_t>(i);
  }
}

void read_labels(const Array& y, Dataset& set) {
  if ((y.kind != 'i' && y.kind != 'u') || y.dims.size() != 1) bad_input("{}: expected whole numbers of shape (N,)", y.name);
  if (y.count() != set.size()) bad_input("{}: {} labels for {} images", y.name, y.count(), set.size());
  for (int64_t i = 0; i < y.count(); ++i) {
    const int64_t label = integer(y, i);
    if (label < 0 || label >= most_classes) bad_input("{}: label {} at offset {}: expected 0 to {}", y.name, label, y.offset_of(i), most_classes - 1);
    set.labels.push_back(static_cast<int32_t>(label));
  }
}

Dataset read_images(const Array& x) {
  const auto& d = x.dims;
  Dataset set{"numpy", 1, 1, 1, {}, {}, {}};
  if (d.size() == 2) {
    set.channels = d[1];
  } else if (d.size() == 3 || d.size() == 4) {
    set.height = d[1];
    set.width = d[2];
    set.channels = d.size() == 4 ? d[3] : 1;
  } else {
    bad_input("{}: {} dimensions: expected [N, H, W, C], [N, H, W] or [N, F]", x.name, d.size());
  }
  if (x.kind == 'u' && x.width == 1) {
    set.pixels.assign(x.values.begin(), x.values.end());
  } else if (x.kind == 'f' && x.width == 4) {
    append_floats<float>(x, set.features);
  } else if (x.kind == 'f' && x.width == 8) {
    append_floats<double>(x, set.features);
  } else {
    bad_input("{}: values of type {}{}: expected bytes (u1) or floats (f4, f8)", x.name, x.kind, x.width);
  }
  return set;
}

/// Gives the content of "x_train.npy" and the like to `use`; nothing where there is no such array.
class Arrays {
 public:
  explicit Arrays(const std::string& path) : path_(path), zip_(nullptr, &zip_discard) {
    std::error_code error;
    if (fs::is_directory(path, error)) return;
    int reason = 0;
    zip_.reset(zip_open(path.c_str(), ZIP_RDONLY, &reason));
    if (zip_) return;
    zip_error_t text;
    zip_error_init_with_code(&text, reason);
    const std::string what = zip_error_strerror(&text);
    zip_error_fini(&text);
    bad_input("{}: neither a folder of .npy files nor an .npz file: {}", path, what);
  }

  template <typename Use>
  bool with(const std::string& name, const Use& use) const {
    if (zip_) {
      const std::optional<std::string> content = member(name);
      if (content) use(parse(path_ + ": " + name, *content));
      return content.has_value();
    }
    const std::string file = fs::path(path_) / name;
    std::error_code error;
    if (!fs::exists(file, error)) return false;
    const io::Mapped mapped(file);
    use(parse(file, mapped.content()));
    return true;
  }

 private:
  std::optional<std::string> member(const std::string& name) const {
    zip_stat_t status;
    if (zip_stat(zip_.get(), name.c_str(), 0, &status) != 0) return std::nullopt;
    const bool deflated = status.comp_method == ZIP_CM_DEFLATE;
    if (!deflated && status.comp_method != ZIP_CM_STORE) bad_input("{}: {}: expected it stored or deflated", path_, name);
    if (status.size / (deflated ? highest_ratio : 1) > status.comp_size) bad_input("{}: {}: damaged: {} bytes of {}", path_, name, status.comp_size, status.size);
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(zip_fopen(zip_.get(), name.c_str(), 0), &zip_fclose);
    std::string content;
    char part[1 << 16];
    zip_int64_t n = 0;
    while (file && content.size() <= status.size && (n = zip_fread(file.get(), part, sizeof part)) > 0) content.append(part, static_cast<size_t>(n));
    if (!file || n < 0 || content.size() != status.size) bad_input("{}: {}: damaged from offset {} of its content on", path_, name, content.size());
    return content;
  }

  std::string path_;
  std::unique_ptr<zip_t, decltype(&zip_discard)> zip_;
};

Dataset read_set(const Arrays& arrays, const std::string& path, const std::string& part) {
  Dataset set;
  if (!arrays.with("x_" + part + ".npy", [&](const Array& x) { set = read_images(x); })) bad_input("{}: holds no x_{}.npy", path, part);
  arrays.with("y_" + part + ".npy", [&](const Array& y) { read_labels(y, set); });
  return set;
}

}  // namespace

Splits numpy(const std::string& path, uint64_t seed, double validation_share) {
  const Arrays arrays(path);
  Dataset test = read_set(arrays, path, "test"), train = read_set(arrays, path, "train");
  if (test.image_shape() != train.image_shape()) {
    bad_input("{}: training images are {}, test images {}", path, train.image_shape().str(), test.image_shape().str());
  }
  if (test.labels.empty() != train.labels.empty()) bad_input("{}: one of y_train.npy and y_test.npy is missing: expected both or none", path);
  if (test.pixels.empty() != train.pixels.empty()) bad_input("{}: x_train.npy and x_test.npy are of different types", path);
  name_classes(train, test);
  return hold_out(std::move(train), std::move(test), seed, validation_share);
}

}  // namespace mixgrad::data
