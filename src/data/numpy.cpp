// SPDX-License-Identifier: Apache-2.0
// Data sets of NumPy arrays: x_train, y_train, x_test and y_test, in separate files or one .npz file.
#include "classes.h"
#include "deflate.h"
#include "images_only.h"
#include "npy.h"

#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>

#include <zip.h>

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t most_classes = 1 << 16;

/// The training or test images, and the format of their arrays.
struct Part {
  Dataset set;
  std::string type;             // of x, in NumPy's notation
  bool channels_first = false;  // order of the axes of x
  bool one_hot = false;         // format of y; if so, set has class names, one per column
};

void append_floats(const Array& x, std::vector<float>& out) {
  out.reserve(static_cast<size_t>(x.count()));
  x.visit([&](int64_t i, double v) {
    if (!std::isfinite(v)) bad_input("{}: the value at {} is {:g}: expected finite numbers", x.name, x.place(i), v);
    if (std::abs(v) > std::numeric_limits<float>::max())
      bad_input("{}: the value at {} is {:g}, which is too large for a 32-bit float", x.name, x.place(i), v);
    out.push_back(static_cast<float>(v));
  });
}

/// Integers of any type with values of bytes. True becomes 255, which stands for 1.
void append_bytes(const Array& x, std::vector<uint8_t>& out) {
  out.reserve(static_cast<size_t>(x.count()));
  x.visit([&](int64_t i, double v) {
    if (x.kind == 'b') v = v == 0 ? 0 : 255;
    if (v < 0 || v > 255) {
      bad_input(
          "{}: the value at {} is {:g}: integers must be bytes, 0 to 255; convert others to floats, such as "
          "x.astype('float32') / 65535",
          x.name, x.place(i), v);
    }
    out.push_back(static_cast<uint8_t>(v));
  });
}

/// Whether the axes of x, which has four, are [N, C, H, W] and not [N, H, W, C]: as the options say, or the network.
/// Without either, the usual order is only taken if it gives the channels of pictures, and the other one does not.
bool channels_first(const Array& x, const ReadOptions& options) {
  if (options.layout != Layout::automatic) return options.layout == Layout::nchw;
  const auto& d = x.dims;
  const bool fits_first = Shape{d[1], d[2], d[3]} == options.image_shape,
             fits_last = Shape{d[3], d[1], d[2]} == options.image_shape;
  if (options.fixed && fits_first != fits_last) return fits_first;
  const auto of_pictures = [](int64_t channels) { return channels == 1 || channels == 3 || channels == 4; };
  if (of_pictures(d[3]) && !of_pictures(d[1])) return false;
  bad_input("{}: shape ({}): its channels may come first or last: expected --layout nchw or --layout nhwc", x.name,
            fmt::join(d, ", "));
}

/// [N, C, H, W] as [N, H, W, C].
template <typename T>
void move_channels_last(const Dataset& set, std::vector<T>& values) {
  const int64_t positions = set.height * set.width, image = set.image_values();
  std::vector<T> one(static_cast<size_t>(values.empty() ? 0 : image));
  for (auto to = values.begin(); to != values.end(); to += image) {
    std::copy_n(to, image, one.begin());
    for (int64_t c = 0; c < set.channels; ++c) {
      for (int64_t p = 0; p < positions; ++p) to[p * set.channels + c] = one[static_cast<size_t>(c * positions + p)];
    }
  }
}

void read_images(const Array& x, const ReadOptions& options, Part& part) {
  const auto& d = x.dims;
  part.type = x.type;
  part.channels_first = d.size() == 4 && channels_first(x, options);
  const bool first = part.channels_first;
  Dataset& set = part.set = {"numpy", 1, 1, 1, {}, {}, {}};
  if (d.size() == 2) {
    set.channels = d[1];
  } else if (d.size() == 3 || d.size() == 4) {
    set.height = d[first ? 2 : 1];
    set.width = d[first ? 3 : 2];
    set.channels = d.size() == 3 ? 1 : d[first ? 1 : 3];
  } else {
    bad_input("{}: {} dimensions: expected [N, H, W, C], [N, C, H, W], [N, H, W] or [N, F]", x.name, d.size());
  }
  if (x.kind == 'f')
    append_floats(x, set.features);
  else
    append_bytes(x, set.pixels);
  if (first) {
    move_channels_last(set, set.features);
    move_channels_last(set, set.pixels);
  }
}

/// One class number per image; floats must be whole numbers.
std::vector<int32_t> class_numbers(const Array& y) {
  std::vector<int32_t> labels;
  y.visit([&](int64_t i, double v) {
    if (!(v >= 0 && v < most_classes) || v != std::floor(v))
      bad_input("{}: the label at {} is {:g}: expected a whole number from 0 to {}", y.name, y.place(i), v,
                most_classes - 1);
    labels.push_back(static_cast<int32_t>(v));
  });
  return labels;
}

/// The column of the only 1 in each row of y, [N, columns].
std::vector<int32_t> one_hot_columns(const Array& y, int64_t columns) {
  std::vector<int32_t> labels(static_cast<size_t>(y.count() / columns), -1);
  const auto refuse = [&](int64_t i, const std::string& what) {
    bad_input(
        "{}: {} at {}: rows of {} columns must be one-hot, a single 1 and otherwise 0; alternatively, give class "
        "numbers of shape (N,)",
        y.name, what, y.place(i), columns);
  };
  y.visit([&](int64_t i, double v) {
    int32_t& label = labels[static_cast<size_t>(i / columns)];
    const int64_t column = i % columns;
    if (v != 0 && v != 1) refuse(i, fmt::format("{:g}", v));
    if (v == 1 && label >= 0) refuse(i, "a second 1");
    if (v == 1) label = static_cast<int32_t>(column);
    if (column == columns - 1 && label < 0) refuse(i, "a row without a 1 ends");
  });
  return labels;
}

/// Keeps floats of any shape [N, ...] as targets.
void read_targets(const Array& y, Dataset& set) {
  std::vector<int64_t> dims = y.dims;
  while (dims.size() > Shape::max_rank && dims.back() == 1) dims.pop_back();
  if (dims.size() > Shape::max_rank)
    bad_input("{}: {} dimensions: expected targets of at most {}", y.name, y.dims.size(), Shape::max_rank);
  append_floats(y, set.targets);
  set.target_shape = Shape(std::span<const int64_t>(dims).subspan(1));
}

/// Labels as [N], [N, 1] and the like, or one-hot as [N, K], or maps of them as [N, H, W] or [N, H, W, 1].
void read_labels(const Array& y, Part& part) {
  std::vector<int64_t> dims = y.dims;
  const int64_t images = part.set.size();
  const bool one_each =
      std::ranges::count(dims, 1) + 1 >= std::ssize(dims) && (y.count() == images || dims.size() <= 1);
  while (dims.size() > 2 && dims.back() == 1) dims.pop_back();
  const bool maps = !one_each && dims.size() == 3 && y.kind != 'f';
  if (dims.empty() || (!one_each && dims.size() != 2 && !maps)) {
    bad_input(
        "{}: shape ({}): expected class numbers (N,), one-hot rows (N, K), or integers (N, H, W), a class number for "
        "every pixel",
        y.name, fmt::join(y.dims, ", "));
  }
  const int64_t rows = one_each ? y.count() : dims[0];
  if (rows != images) bad_input("{}: {} labels for {} images", y.name, rows, images);
  part.one_hot = !one_each && !maps;
  if (part.one_hot && dims[1] > most_classes)
    bad_input("{}: one-hot rows of {} columns: expected at most {}", y.name, dims[1], most_classes);
  part.set.labels = part.one_hot ? one_hot_columns(y, dims[1]) : class_numbers(y);
  if (maps) part.set.label_map = {dims[1], dims[2]};
  for (int64_t c = 0; part.one_hot && c < dims[1]; ++c) part.set.class_names.push_back(std::to_string(c));
}

/// y may be labels; floats are targets, too, and if they can't be labels, only targets.
void read_known(const Array& y, Part& part) {
  if (y.kind != 'f') return read_labels(y, part);
  try {
    read_labels(y, part);
  } catch (const Error& e) {
    part.one_hot = false;
    part.set.unlabelled = e.what();
  }
  if (y.dims.empty() || y.dims[0] != part.set.size()) {
    if (part.set.labels.empty()) bad_input("{}", part.set.unlabelled);
    return;  // [1, N]: labels only
  }
  read_targets(y, part.set);
}

/// Passes the content of "x_train.npy" and the like to `use`; returns false if there is no such array.
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
      if (content) use(parse_npy(path_ + ": " + name, *content));
      return content.has_value();
    }
    const std::string file = fs::path(path_) / name;
    std::error_code error;
    if (!fs::exists(file, error)) return false;
    const io::Mapped mapped(file);
    use(parse_npy(file, mapped.content()));
    return true;
  }

 private:
  std::optional<std::string> member(const std::string& name) const {
    zip_stat_t status;
    if (zip_stat(zip_.get(), name.c_str(), 0, &status) != 0) return std::nullopt;
    const bool deflated = status.comp_method == ZIP_CM_DEFLATE;
    if (!deflated && status.comp_method != ZIP_CM_STORE)
      bad_input(
          "{}: {}: unsupported compression: expected stored or deflated, as np.savez and np.savez_compressed write",
          path_, name);
    if (status.size / (deflated ? highest_deflate_ratio : 1) > status.comp_size)
      bad_input("{}: {}: corrupt: {} bytes can't expand to {}", path_, name, status.comp_size, status.size);
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(zip_fopen(zip_.get(), name.c_str(), 0), &zip_fclose);
    std::string content;
    char part[1 << 16];
    zip_int64_t n = 0;
    while (file && content.size() <= status.size && (n = zip_fread(file.get(), part, sizeof part)) > 0)
      content.append(part, static_cast<size_t>(n));
    if (!file || n < 0 || content.size() != status.size)
      bad_input("{}: {}: corrupt from offset {} of its content on", path_, name, content.size());
    return content;
  }

  std::string path_;
  std::unique_ptr<zip_t, decltype(&zip_discard)> zip_;
};

Part read_part(const Arrays& arrays, const std::string& path, const std::string& name, const ReadOptions& options) {
  Part part;
  if (!arrays.with("x_" + name + ".npy", [&](const Array& x) { read_images(x, options, part); }))
    bad_input("{}: no x_{}.npy: expected x_train, x_test and, if there are classes, y_train and y_test", path, name);
  arrays.with("y_" + name + ".npy", [&](const Array& y) { read_known(y, part); });
  return part;
}

/// Both parts must hold the same kind of images and labels.
void check_alike(const std::string& path, const Part& train, const Part& test) {
  const Dataset &a = train.set, &b = test.set;
  if (b.image_shape() != a.image_shape())
    bad_input("{}: training images are {}, test images {}", path, a.image_shape().str(), b.image_shape().str());
  if ((b.known() == Known::nothing) != (a.known() == Known::nothing))
    bad_input("{}: one of y_train.npy and y_test.npy is missing: expected both or none", path);
  if (b.known() != a.known() || b.label_map != a.label_map || b.target_shape != a.target_shape) {
    const std::string& why = a.unlabelled.empty() ? b.unlabelled : a.unlabelled;
    bad_input("{}: y_train and y_test are of different kinds: expected the same in both{}{}", path,
              why.empty() ? "" : "; ", why);
  }
  if (b.pixels.empty() != a.pixels.empty())
    bad_input("{}: x_train is of type {}, x_test of type {}: expected floats in both or bytes in both", path,
              train.type, test.type);
  if (train.one_hot != test.one_hot || (train.one_hot && a.classes() != b.classes())) {
    const auto form = [](const Part& p) {
      return p.one_hot ? fmt::format("one-hot rows of {} columns", p.set.classes()) : "class numbers";
    };
    bad_input("{}: y_train has {}, y_test {}: expected the same in both", path, form(train), form(test));
  }
}

/// Notes if x is read as bytes but has another type, or does not look like bytes.
std::vector<std::string> notes_on_bytes(const Part& train, const Part& test) {
  std::vector<std::string> notes;
  const auto note = [&](const char* arrays, const std::string& type) {
    if (type == "bool")
      notes.push_back(fmt::format("{} of booleans: False is read as 0, True as 1", arrays));
    else if (type != "uint8")
      notes.push_back(fmt::format("{} of {}, all within 0 to 255, read as bytes", arrays, type));
  };
  if (train.set.pixels.empty()) return notes;
  if (train.type == test.type) {
    note("x_train and x_test are", train.type);
  } else {
    note("x_train is", train.type);
    note("x_test is", test.type);
  }
  const auto above_1 = [](uint8_t v) { return v > 1; };
  if (std::ranges::none_of(train.set.pixels, above_1) && std::ranges::none_of(test.set.pixels, above_1))
    notes.emplace_back(
        "no value of x is above 1, but a byte v stands for v / 255: if 1 should mean 1, store x as floats "
        "or booleans");
  return notes;
}

/// Notes on the order of the axes of arrays that nobody has told.
std::vector<std::string> notes_on_layout(const char* arrays, const Part& part, const ReadOptions& options) {
  if (!part.channels_first || options.layout != Layout::automatic) return {};
  return {fmt::format("{} read as [N, C, H, W], channels first", arrays)};
}

}  // namespace

Splits numpy_images(const std::string& file, const ReadOptions& options) {
  const io::Mapped mapped(file);
  Part part;
  read_images(parse_npy(file, mapped.content()), options, part);
  return {.train = {},
          .validation = {},
          .test = std::move(part.set),
          .notes = notes_on_layout("the images are", part, options)};
}

Splits numpy(const std::string& path, uint64_t seed, double validation_share, const ReadOptions& options) {
  const Arrays arrays(path);
  Part test = read_part(arrays, path, "test", options), train = read_part(arrays, path, "train", options);
  check_alike(path, train, test);
  std::vector<std::string> notes = notes_on_bytes(train, test);
  std::ranges::move(notes_on_layout("x_train and x_test are", train, options), std::back_inserter(notes));
  std::ranges::move(name_classes(train.set, test.set), std::back_inserter(notes));
  return hold_out(std::move(train.set), std::move(test.set), seed, validation_share, std::move(notes));
}

}  // namespace mixgrad::data
