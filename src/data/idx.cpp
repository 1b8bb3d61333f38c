// SPDX-License-Identifier: Apache-2.0
// IDX, the format of MNIST: 2 zero bytes, a type, the number of dimensions, big-endian sizes, values.
#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

constexpr uint8_t unsigned_bytes = 0x08;

struct Idx {
  std::vector<int64_t> dims;
  std::string_view values;
};

/// Parts of `content`, which must hold bytes in `least` to `most` dimensions and nothing more.
Idx parse(const std::string& file, std::string_view content, size_t least, size_t most) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(content[i]); };
  if (content.size() < 4 || byte(0) != 0 || byte(1) != 0) bad_input("{}: not an IDX file: expected two zero bytes at offset 0", file);
  if (byte(2) != unsigned_bytes) bad_input("{}: type {:#04x} at offset 2: expected 0x08, unsigned bytes", file, byte(2));
  const size_t rank = byte(3);
  if (rank < least || rank > most) bad_input("{}: {} dimensions at offset 3: expected {} to {}", file, rank, least, most);
  const size_t header = 4 + 4 * rank;
  if (content.size() < header) bad_input("{}: ends at offset {}, inside its sizes", file, content.size());
  Idx idx{.dims = {}, .values = content.substr(header)};
  uint64_t total = 1;
  for (size_t d = 0; d < rank; ++d) {
    const size_t at = 4 + 4 * d;
    const uint32_t size = uint32_t{byte(at)} << 24 | uint32_t{byte(at + 1)} << 16 | uint32_t{byte(at + 2)} << 8 | byte(at + 3);
    idx.dims.push_back(size);
    if (size == 0 || total > content.size() / size) total = content.size() + 1;  // an empty or a larger array than the file
    else total *= size;
  }
  if (total != idx.values.size()) bad_input("{}: {} bytes of values from offset {} on do not fit its sizes", file, idx.values.size(), header);
  return idx;
}

/// "train-images" is in train-images-idx3-ubyte, or train-images.idx3-ubyte; images may have 4 dimensions.
std::string find(const fs::path& dir, const std::string& name, int rank) {
  std::error_code error;
  for (const char* separator : {"-", "."}) {
    const fs::path file = dir / fmt::format("{}{}idx{}-ubyte", name, separator, rank);
    if (fs::exists(file, error)) return file;
  }
  return rank == 3 ? find(dir, name, 4) : (dir / fmt::format("{}-idx{}-ubyte", name, rank == 4 ? 3 : rank)).string();
}

Dataset read_set(const fs::path& dir, const std::string& part) {
  const std::string images_file = find(dir, part + "-images", 3), labels_file = find(dir, part + "-labels", 1);
  const io::Mapped labels(labels_file), images(images_file);
  const Idx y = parse(labels_file, labels.content(), 1, 1), x = parse(images_file, images.content(), 3, 4);
  if (x.dims[0] != y.dims[0]) bad_input("{}: {} images, but {} has {} labels", images_file, x.dims[0], labels_file, y.dims[0]);
  Dataset set{"idx", x.dims.size() == 4 ? x.dims[3] : 1, x.dims[1], x.dims[2], {}, {}, {}};
  set.pixels.assign(x.values.begin(), x.values.end());
  for (char label : y.values) set.labels.push_back(static_cast<uint8_t>(label));
  return set;
}

}  // namespace

Splits idx(const std::string& dir, uint64_t seed, double validation_share) {
  Dataset test = read_set(dir, "t10k"), train = read_set(dir, "train");
  if (test.image_shape() != train.image_shape()) {
    bad_input("{}: training images are {}, test images {}", dir, train.image_shape().str(), test.image_shape().str());
  }
  std::vector<std::string> notes = name_classes(train, test);
  return hold_out(std::move(train), std::move(test), seed, validation_share, std::move(notes));
}

}  // namespace mixgrad::data
