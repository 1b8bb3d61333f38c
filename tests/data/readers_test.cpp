// SPDX-License-Identifier: Apache-2.0
// Data sets that users bring: files are written here, read back, then damaged.
#include "files.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include <zip.h>

using namespace mixgrad;
using namespace mixgrad::test;
namespace fs = std::filesystem;

namespace {

// --- IDX ------------------------------------------------------------------------------------------------------

std::string idx(const std::vector<uint32_t>& dims, const std::string& values) {
  std::string out{'\0', '\0', '\x08', static_cast<char>(dims.size())};
  for (uint32_t d : dims) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(d >> shift & 0xff);
  }
  return out + values;
}

// --- NumPy ----------------------------------------------------------------------------------------------------

std::string npy(const std::string& type, const std::string& shape, const std::string& values, const std::string& order = "False") {
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': ({}), }}", type, order, shape);
  header.resize((10 + header.size()) / 64 * 64 + 64 - 10 - 1, ' ');
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  return out + header + values;
}

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  std::string out(values.size() * sizeof(T), '\0');
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

const std::vector<float> features = {0.5F, -1, 2, 3, -4, 5, 6, 7, 8, 9, 10, 11};  // 4 of 3 features

void write_arrays(const DataFolder& folder) {
  for (const char* part : {"train", "test"}) {
    folder.write(fmt::format("x_{}.npy", part), npy("<f4", "4, 3", bytes_of(features)));
    folder.write(fmt::format("y_{}.npy", part), npy("<i8", "4,", bytes_of(std::vector<int64_t>{0, 1, 2, 0})));
  }
}

}  // namespace

TEST_CASE("idx: images of two or three dimensions with their labels") {
  const DataFolder folder;
  for (const char* part : {"train", "t10k"}) {
    folder.write(fmt::format("{}-images-idx3-ubyte", part), idx({2, 2, 3}, "abcdefghijkl"));
    folder.write(fmt::format("{}-labels-idx1-ubyte", part), idx({2}, std::string("\x04\x01", 2)));
  }
  const data::Splits s = data::load("idx:" + folder.path.string(), 0, 0);
  CHECK(s.train.image_shape() == Shape{1, 2, 3});
  CHECK(s.train.labels == std::vector<int32_t>{4, 1});
  CHECK(s.train.classes() == 5);
  CHECK(s.test.pixels[11] == 'l');
  fs::remove(folder.file("train-images-idx3-ubyte"));
  fs::remove(folder.file("t10k-images-idx3-ubyte"));
  folder.write("train-images.idx4-ubyte", idx({2, 1, 2, 3}, "abcdefghijkl"));
  folder.write("t10k-images.idx4-ubyte", idx({2, 1, 2, 3}, "abcdefghijkl"));
  CHECK(data::load("idx:" + folder.path.string(), 0, 0).train.image_shape() == Shape{3, 1, 2});
}

TEST_CASE("idx: every fault names its file and place") {
  const DataFolder folder;
  const std::string images = folder.write("train-images-idx3-ubyte", idx({2, 2, 3}, "abcdefghijkl"));
  const std::string labels = folder.write("train-labels-idx1-ubyte", idx({2}, "ab"));
  folder.write("t10k-images-idx3-ubyte", idx({2, 2, 3}, "abcdefghijkl"));
  folder.write("t10k-labels-idx1-ubyte", idx({2}, "ab"));
  const auto read = [&] { return refusal([&] { data::load("idx:" + folder.path.string(), 0, 0); }); };
  CHECK(read() == "accepted");
  const auto with = [&](const std::string& file, const std::string& content) {
    const std::string kept = io::read_file(file);
    io::write_file(file, content);
    const std::string said = read();
    io::write_file(file, kept);
    return said;
  };
  const std::string good = idx({2, 2, 3}, "abcdefghijkl");
  CHECK(says(with(images, ""), images + ": not an IDX file"));
  CHECK(says(with(images, good.substr(0, 3)), images + ": not an IDX file"));
  CHECK(says(with(images, good.substr(0, 9)), images + ": ends at offset 9"));
  CHECK(says(with(images, good.substr(0, 20)), images + ": 4 bytes of values from offset 16 on do not fit"));
  CHECK(says(with(images, good + "m"), "do not fit its sizes"));
  CHECK(says(with(images, "x" + good), "offset 0"));
  CHECK(says(with(images, idx({0xffffffff, 0xffffffff, 0xffffffff}, "")), "do not fit its sizes"));
  CHECK(says(with(images, idx({0, 2, 3}, "")), "do not fit its sizes"));
  CHECK(says(with(images, std::string("\0\0\x0d\x03", 4) + good.substr(4)), "type 0x0d at offset 2"));
  CHECK(says(with(images, idx({12}, "abcdefghijkl")), "1 dimensions at offset 3"));
  CHECK(says(with(labels, idx({3}, "abc")), "2 images, but " + labels + " has 3 labels"));
  CHECK(says(with(images, idx({2, 3, 2}, "abcdefghijkl")), "training images are [1, 3, 2], test images [1, 2, 3]"));
  fs::remove(labels);
  CHECK(says(read(), "can't read " + labels));
}

TEST_CASE("numpy: floats and bytes of 2 to 4 dimensions, labels of any integer type, or none") {
  const DataFolder folder;
  write_arrays(folder);
  data::Splits s = data::load("npy:" + folder.path.string(), 0, 0);
  CHECK(s.train.image_shape() == Shape{3, 1, 1});
  CHECK(s.train.features == features);
  CHECK(s.train.labels == std::vector<int32_t>{0, 1, 2, 0});
  CHECK(s.train.classes() == 3);
  data::Loader loader(s.train, {.batch_size = 4});
  loader.start(0);
  CHECK(loader.batch(0).x.to_vector() == features);

  folder.write("x_train.npy", npy("<f8", "4, 3, 1, 1", bytes_of(std::vector<double>(features.begin(), features.end()))));
  folder.write("x_test.npy", npy("<f8", "4, 3, 1, 1", bytes_of(std::vector<double>(features.begin(), features.end()))));
  folder.write("y_train.npy", npy("|u1", "4,", std::string("\x00\x01\x02\x03", 4)));
  s = data::load("npy:" + folder.path.string(), 0, 0.25);
  CHECK(s.train.image_shape() == Shape{1, 3, 1});
  CHECK(s.train.size() == 3);
  CHECK(s.validation.size() == 1);
  CHECK(s.validation.features[0] == features[3 * static_cast<size_t>(s.validation.labels[0])]);

  for (const char* part : {"train", "test"}) {
    folder.write(fmt::format("x_{}.npy", part), npy("|u1", "2, 2, 3", "abcdefghijkl"));
    fs::remove(folder.file(fmt::format("y_{}.npy", part)));
  }
  s = data::load("npy:" + folder.path.string(), 0, 0);
  CHECK(s.train.image_shape() == Shape{1, 2, 3});
  CHECK(s.train.pixels[11] == 'l');
  CHECK(s.train.labels.empty());
  CHECK(s.train.size() == 2);
}

TEST_CASE("numpy: the arrays of one .npz file, stored or deflated") {
  const DataFolder folder;
  write_arrays(folder);
  const std::string file = folder.file("all.npz");
  zip_t* zip = zip_open(file.c_str(), ZIP_CREATE, nullptr);
  for (const char* name : {"x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"}) {
    const auto index = zip_file_add(zip, name, zip_source_file(zip, folder.file(name).c_str(), 0, 0), 0);
    zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), name[0] == 'x' ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  }
  REQUIRE(zip_close(zip) == 0);
  const data::Splits s = data::load("npz:" + file, 0, 0);
  CHECK(s.train.features == features);
  CHECK(s.test.labels == std::vector<int32_t>{0, 1, 2, 0});
  const std::string whole = io::read_file(file);
  for (size_t length : {size_t{0}, size_t{30}, whole.size() / 2, whole.size() - 1}) {
    io::write_file(file, whole.substr(0, length));
    CHECK(says(refusal([&] { data::load("npz:" + file, 0, 0); }), file));
  }
}

TEST_CASE("numpy: every fault names its file and place") {
  const DataFolder folder;
  write_arrays(folder);
  const auto with = [&](const std::string& name, const std::string& content) {
    const std::string kept = io::read_file(folder.file(name));
    io::write_file(folder.file(name), content);
    const std::string said = refusal([&] { data::load("npy:" + folder.path.string(), 0, 0); });
    io::write_file(folder.file(name), kept);
    CHECK(says(said, folder.path.string()));
    return said;
  };
  const std::string x = "x_train.npy", y = "y_train.npy", good = npy("<f4", "4, 3", bytes_of(features));
  CHECK(says(with(x, ""), "not a NumPy array"));
  CHECK(says(with(x, good.substr(0, 60)), "ends at offset 60, inside its header"));
  CHECK(says(with(x, good.substr(0, good.size() - 1)), "do not fit its shape (4, 3)"));
  CHECK(says(with(x, good + "z"), "do not fit its shape"));
  CHECK(says(with(x, npy(">f4", "4, 3", bytes_of(features))), "big-endian"));
  CHECK(says(with(x, npy("<f4", "4, 3", bytes_of(features), "True")), "Fortran order"));
  CHECK(says(with(x, npy("<f2", "4, 3", std::string(24, 'a'))), "type f2"));
  CHECK(says(with(x, npy("<c8", "4, 3", std::string(96, 'a'))), "type c8"));
  CHECK(says(with(x, npy("<f4", "12,", bytes_of(features))), "1 dimensions"));
  CHECK(says(with(x, npy("<f4", "0, 3", "")), "do not fit its shape"));
  CHECK(says(with(x, npy("<f4", "99999999999999999999, 3", "")), "too large"));
  CHECK(says(with(x, npy("<f4", "999999999999, 999999999999, 999999999999", bytes_of(features))), "do not fit its shape"));
  CHECK(says(with(x, npy("<f4", "4, 3, 1", bytes_of(features))), "training images are [1, 3, 1], test images [3, 1, 1]"));
  CHECK(says(with(x, npy("|u1", "4, 3", "abcdefghijkl")), "different types"));
  std::vector<float> damaged = features;
  damaged[5] = std::numeric_limits<float>::quiet_NaN();
  const std::string nan = npy("<f4", "4, 3", bytes_of(damaged));
  CHECK(says(with(x, nan), fmt::format("value at offset {} is NaN", nan.size() - 7 * 4)));
  CHECK(says(with(y, npy("<i8", "3,", bytes_of(std::vector<int64_t>{0, 1, 2}))), "3 labels for 4 images"));
  CHECK(says(with(y, npy("<f8", "4,", bytes_of(std::vector<double>(4)))), "expected whole numbers"));
  CHECK(says(with(y, npy("<i8", "4,", bytes_of(std::vector<int64_t>{0, -1, 2, 0}))), "label -1 at offset"));
  fs::remove(folder.file(y));
  CHECK(says(refusal([&] { data::load("npy:" + folder.path.string(), 0, 0); }), "expected both or none"));
  fs::remove(folder.file(x));
  CHECK(says(refusal([&] { data::load("npy:" + folder.path.string(), 0, 0); }), "holds no x_train.npy"));
  CHECK(says(refusal([&] { data::load("npz:nowhere.npz", 0, 0); }), "nowhere.npz"));
}

TEST_CASE("glyphs: drawn at the shape that a model takes") {
  for (const std::string& name : models::names()) {
    const Shape shape = models::make(name, 10).input_shape;
    const data::Splits s = data::resized(data::glyphs(1, 0.1, {.train = 20, .test = 10}), shape);
    CHECK(s.train.image_shape() == shape);
    CHECK(s.train.size() == 18);
    CHECK(s.test.pixels.size() == static_cast<size_t>(10 * shape.size()));
  }
  const data::Splits whole = data::glyphs(1, 0, {.train = 2, .test = 2});
  CHECK(data::resized(whole, {3, 32, 32}).train.pixels == whole.train.pixels);
  const data::Splits half = data::resized(whole, {3, 16, 16}), grey = data::resized(whole, {1, 32, 32});
  const auto mean = [](const data::Dataset& set) {
    double sum = 0;
    for (uint8_t v : set.pixels) sum += v;
    return sum / static_cast<double>(set.pixels.size());
  };
  CHECK(std::abs(mean(half.train) - mean(whole.train)) < 1.5);
  CHECK(std::abs(mean(grey.train) - mean(whole.train)) < 0.6);
  CHECK(says(refusal([&] { data::resized(whole, {7, 1, 1}); }), "can't be drawn at [7, 1, 1]"));
}
