// SPDX-License-Identifier: Apache-2.0
// NumPy arrays (numpy.lib.format): a magic string, a version, the length of a header, the header as a Python dict, values.
#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <regex>
#include <string_view>

#include <zip.h>

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view magic = "\x93NUMPY";
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

std::string first_match(const std::string& name, const std::string& header, const char* key, const char* pattern) {
  std::smatch match;
  if (!std::regex_search(header, match, std::regex(fmt::format("'{}': *{}", key, pattern)))) {
    bad_input("{}: its header has no {} that can be read here: {}", name, key, header.substr(0, 80));
  }
  return match[1];
}

Array parse(const std::string& name, std::string_view content) {
  const auto [header, offset] = header_of(name, content);
  const std::string type = first_match(name, header, "descr", "'([<>|=][a-z][0-9]{1,2})'");
  if (type[0] == '>') bad_input("{}: big-endian values ({}): expected little-endian ones", name, type);
  if (first_match(name, header, "fortran_order", "(True|False)") == "True") bad_input("{}: in Fortran order: expected C order", name);
  Array array{.name = name, .dims = {}, .kind = type[1], .width = std::stoul(type.substr(2)), .offset = offset, .values = content.substr(offset)};
  const std::string shape = first_match(name, header, "shape", "\\(([0-9, ]*)\\)");
  const std::regex number("[0-9]+");
  uint64_t total = array.width;
  for (std::sregex_iterator i(shape.begin(), shape.end(), number), end; i != end; ++i) {
    if (i->str().size() > 12) bad_input("{}: shape ({}) is too large", name, shape);
    array.dims.push_back(std::stoll(i->str()));
    const auto size = static_cast<uint64_t>(array.dims.back());
    total = size == 0 || total > content.size() / size ? content.size() + 1 : total * size;  // empty, or larger than the file
  }
  if (array.width < 1 || array.width > 8 || total != array.values.size()) {
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
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(zip_fopen(zip_.get(), name.c_str(), 0), &zip_fclose);
    std::string content;
    char part[1 << 16];
    zip_int64_t n = 0;
    while (file && (n = zip_fread(file.get(), part, sizeof part)) > 0) content.append(part, static_cast<size_t>(n));
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
