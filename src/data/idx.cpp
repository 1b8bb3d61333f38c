// SPDX-License-Identifier: Apache-2.0
// IDX, the format of MNIST: 2 zero bytes, a type, the number of dimensions, big-endian sizes, values.
#include "deflate.h"

#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string_view>

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

constexpr uint8_t unsigned_bytes = 0x08;

/// A file of bytes with `least` to `most` dimensions and nothing after them, optionally gzipped.
class Idx {
 public:
  Idx(const std::string& file, size_t least, size_t most) : file_(file), mapped_(file) {
    const bool packed = gzipped(mapped_.content());
    if (packed) inflated_ = gunzip(file, header_size(most));
    read_sizes(packed ? inflated_ : mapped_.content(), least, most);
    const size_t header = header_size(dims_.size()), expected = value_count(packed ? highest_deflate_ratio : 1);
    if (packed) inflated_ = gunzip(file, header + expected + 1);  // one more byte, to detect trailing data
    values_ = (packed ? std::string_view(inflated_) : mapped_.content()).substr(header);
    if (values_.size() != expected) {
      bad_input("{}: {} of values from offset {} on don't match its sizes, {}: expected {} bytes", file,
                packed && values_.size() > expected ? "more bytes" : fmt::format("{} bytes", values_.size()), header,
                sizes(), expected);
    }
  }

  const std::vector<int64_t>& dims() const { return dims_; }
  std::string_view values() const { return values_; }

 private:
  static size_t header_size(size_t rank) { return 4 + 4 * rank; }
  std::string sizes() const { return fmt::format("{}", fmt::join(dims_, "×")); }

  void read_sizes(std::string_view content, size_t least, size_t most) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(content[i]); };
    if (content.size() < 4 || byte(0) != 0 || byte(1) != 0)
      bad_input("{}: not an IDX file: expected two zero bytes at offset 0", file_);
    if (byte(2) != unsigned_bytes)
      bad_input(
          "{}: values of type {:#04x} at offset 2: expected 0x08, unsigned bytes; for other types use NumPy arrays, "
          "npy:DIR",
          file_, byte(2));
    const size_t rank = byte(3);
    if (rank < least || rank > most)
      bad_input("{}: {} dimensions at offset 3: expected {} to {}", file_, rank, least, most);
    if (content.size() < header_size(rank)) bad_input("{}: ends at offset {}, in its sizes", file_, content.size());
    for (size_t at = 4; at < header_size(rank); at += 4) {
      dims_.push_back(int64_t{byte(at)} << 24 | byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3));
    }
  }

  /// The number of values given by the sizes, checked against what the file can hold at `ratio` content bytes per byte.
  size_t value_count(uint64_t ratio) const {
    const uint64_t bytes = mapped_.content().size();
    const uint64_t most = std::min<uint64_t>(bytes * ratio, std::numeric_limits<std::ptrdiff_t>::max());
    uint64_t total = 1;
    for (const int64_t d : dims_) {
      if (d == 0) bad_input("{}: no values: its sizes are {}, expected at least one image", file_, sizes());
      if (total > most / static_cast<uint64_t>(d))
        bad_input("{}: sizes {} need more bytes than a file of {} bytes can hold", file_, sizes(), bytes);
      total *= static_cast<uint64_t>(d);
    }
    return static_cast<size_t>(total);
  }

  std::string file_;
  io::Mapped mapped_;
  std::string inflated_;
  std::vector<int64_t> dims_;
  std::string_view values_;
};

/// The file of "train-images": train-images-idx3-ubyte or train-images.idx3-ubyte, optionally with .gz; the number is
/// one of `ranks`.
std::string find(const fs::path& dir, const std::string& name, const std::vector<int>& ranks) {
  std::error_code error;
  for (const int rank : ranks) {
    for (const char* form : {"{}-idx{}-ubyte", "{}.idx{}-ubyte", "{}-idx{}-ubyte.gz", "{}.idx{}-ubyte.gz"}) {
      const fs::path file = dir / fmt::format(fmt::runtime(form), name, rank);
      if (fs::exists(file, error)) return file;
    }
  }
  const fs::path usual = dir / fmt::format("{}-idx{}-ubyte", name, ranks[0]);
  bad_input("can't read {}: no such file, nor {}.gz", usual.string(), usual.filename().string());
}

Dataset read_set(const fs::path& dir, const std::string& part) {
  const std::string images = find(dir, part + "-images", {3, 4}), labels = find(dir, part + "-labels", {1});
  const Idx y(labels, 1, 1), x(images, 3, 4);
  const auto& d = x.dims();
  if (d[0] != y.dims()[0]) bad_input("{}: {} images, but {} has {} labels", images, d[0], labels, y.dims()[0]);
  Dataset set{"idx", d.size() == 4 ? d[3] : 1, d[1], d[2], {}, {}, {}};
  set.pixels.assign(x.values().begin(), x.values().end());
  for (char label : y.values()) set.labels.push_back(static_cast<uint8_t>(label));
  return set;
}

}  // namespace

Splits idx(const std::string& dir, uint64_t seed, double validation_share) {
  Dataset test = read_set(dir, "t10k"), train = read_set(dir, "train");
  if (test.image_shape() != train.image_shape()) {
    bad_input("{}: training images are {}, test images {}", dir, train.image_shape().str(), test.image_shape().str());
  }
  std::vector<std::string> notes = name_classes(train, test);
  Splits splits = hold_out(std::move(train), std::move(test), seed, validation_share, std::move(notes));
  splits.augmentation = {.crop = Augmentation::usual_crop};
  return splits;
}

}  // namespace mixgrad::data
