// SPDX-License-Identifier: Apache-2.0
// NumPy arrays: written by the tests as NumPy writes them, read back, then corrupted.
#include "files.h"

#include <mixgrad/mixgrad.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <zip.h>

using namespace mixgrad;
using namespace mixgrad::test;
using namespace std::string_literals;
namespace fs = std::filesystem;

namespace {

std::string npy(const std::string& type, const std::string& shape, const std::string& values,
                const std::string& order = "False") {
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

/// The same, big-endian.
template <typename T>
std::string swapped(const std::vector<T>& values) {
  std::string out = bytes_of(values);
  for (size_t at = 0; at < out.size(); at += sizeof(T)) std::reverse(&out[at], &out[at] + sizeof(T));
  return out;
}

const std::vector<float> features = {0.5F, -1, 2, 3, -4, 5, 6, 7, 8, 9, 10, 11};  // 4 rows of 3 features

void write_arrays(const DataFolder& folder) {
  for (const char* part : {"train", "test"}) {
    folder.write(fmt::format("x_{}.npy", part), npy("<f4", "4, 3", bytes_of(features)));
    folder.write(fmt::format("y_{}.npy", part), npy("<i8", "4,", bytes_of(std::vector<int64_t>{0, 1, 2, 0})));
  }
}

}  // namespace

TEST_CASE("numpy: floats and bytes of 2 to 4 dimensions; labels of any integer type, or none") {
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

  folder.write("x_train.npy",
               npy("<f8", "4, 3, 1, 1", bytes_of(std::vector<double>(features.begin(), features.end()))));
  folder.write("x_test.npy", npy("<f8", "4, 3, 1, 1", bytes_of(std::vector<double>(features.begin(), features.end()))));
  folder.write("y_train.npy", npy("|u1", "4,", std::string("\x00\x01\x02\x03", 4)));
  s = data::load("npy:" + folder.path.string(), 0, 0.25, {.layout = data::Layout::nhwc});
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

TEST_CASE("numpy: every error names its file and position") {
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
  CHECK(says(with(x, good.substr(0, 60)), "ends at offset 60, in its header"));
  CHECK(says(with(x, good.substr(0, good.size() - 1)), "don't match its shape (4, 3)"));
  CHECK(says(with(x, good + "z"), "don't match its shape"));
  CHECK(says(with(x, npy("<f4", "4, 3", bytes_of(features), "Maybe")), "invalid fortran_order in its header: Maybe"));
  for (const char* type : {"<c8", "|O", "<U5", "<M8[ns]", "<f16", "<f1", "|b2", "<i3"})
    CHECK(says(with(x, npy(type, "4, 3", std::string(96, 'a'))),
               fmt::format("type '{}': expected booleans, integers", type)));
  CHECK(
      says(with(y, npy("<U1", "4,", std::string(16, 'a'))), "such as np.unique(y, return_inverse=True)[1] for class"));
  CHECK(says(with(x, npy("<f4", "12,", bytes_of(features))), "1 dimensions"));
  CHECK(says(with(x, npy("<f4", "0, 3", "")), "no values: its shape is (0, 3)"));
  CHECK(says(with(x, npy("<f4", "99999999999999999999, 3", "")), "invalid shape (99999999999999999999, 3)"));
  CHECK(says(with(x, npy("<f4", "999999999999, 999999999999, 999999999999", bytes_of(features))),
             "don't match its shape"));
  CHECK(
      says(with(x, npy("<f4", "4, 3, 1", bytes_of(features))), "training images are [1, 3, 1], test images [3, 1, 1]"));
  CHECK(says(with(x, npy("|u1", "4, 3", "abcdefghijkl")), "x_train is of type uint8, x_test of type float32"));
  std::vector<float> damaged = features;
  damaged[5] = std::numeric_limits<float>::quiet_NaN();
  CHECK(says(with(x, npy("<f4", "4, 3", bytes_of(damaged))), "x_train.npy: the value at [1, 2] is nan"));
  CHECK(says(with(x, npy("<f4", "2, 2, 1, 3", bytes_of(damaged))), "x_train.npy: the value at [0, 1, 0, 2] is nan"));
  CHECK(says(with(x, npy("<f4", "4, 3", bytes_of(damaged), "True")), "x_train.npy: the value at [1, 1] is nan"));
  CHECK(
      says(with(x, npy("<f2", "4, 3", std::string("\0\x7c", 2) + std::string(22, 'a'))), "the value at [0, 0] is inf"));
  CHECK(says(with(x, npy("<f8", "4, 3", bytes_of(std::vector<double>(12, -1e300)))),
             "[0, 0] is -1e+300, which is too large"));
  CHECK(says(with(x, npy("<i2", "4, 3", bytes_of(std::vector<int16_t>{0, 255, 256, 0, 0, 0, 0, 0, 0, 0, 0, 0}))),
             "x_train.npy: the value at [0, 2] is 256: integers must be bytes"));
  CHECK(says(with(y, npy("<i8", "3,", bytes_of(std::vector<int64_t>{0, 1, 2}))), "3 labels for 4 images"));
  CHECK(says(with(y, npy("<f8", "4,", bytes_of(std::vector<double>{0, 1, 1.5, 0}))),
             "label at [2] is 1.5: expected a whole"));
  CHECK(says(with(y, npy("<f8", "4,", bytes_of(std::vector<double>{0, NAN, 1, 0}))), "value at [1] is nan"));
  CHECK(says(with(y, npy("<i8", "4, 1", bytes_of(std::vector<int64_t>{0, -1, 2, 0}))), "label at [1, 0] is -1"));
  CHECK(says(with(y, npy("<u8", "4,", bytes_of(std::vector<uint64_t>{0, 1ULL << 63, 2, 0}))), "label at [1] is 9.2"));
  CHECK(says(with(y, npy("|u1", "4, 2", "\1\0\1\0\1\1\0\1"s)), "a second 1 at [2, 1]: rows of 2 columns"));
  CHECK(says(with(y, npy("|u1", "4, 2", "\1\0\1\0\0\0\0\1"s)), "a row without a 1 ends at [2, 1]"));
  CHECK(says(with(y, npy("<f4", "4, 2", bytes_of(std::vector<float>{1, 0, 0, 1, 0.9F, 0.1F, 0, 1}))), "0.9 at [2, 0]"));
  CHECK(says(with(y, npy("|u1", "2, 4", "\1\0\0\0\1\0\0\0"s)), "2 labels for 4 images"));
  CHECK(says(with(y, npy("|u1", "4, 2, 2, 2", std::string(32, '\1'))),
             "shape (4, 2, 2, 2): expected class numbers (N,)"));
  CHECK(says(with(y, npy("|u1", "4, 3", "\1\0\0\1\0\0\1\0\0\1\0\0"s)),
             "y_train has one-hot rows of 3 columns, y_test class numbers"));
  fs::remove(folder.file(y));
  CHECK(says(refusal([&] { data::load("npy:" + folder.path.string(), 0, 0); }), "expected both or none"));
  fs::remove(folder.file(x));
  CHECK(says(refusal([&] { data::load("npy:" + folder.path.string(), 0, 0); }),
             ": no x_train.npy: expected x_train, x_test"));
  CHECK(says(refusal([&] { data::load("npz:nowhere.npz", 0, 0); }), "nowhere.npz"));
}

TEST_CASE("numpy: every byte order, memory order and float type gives the same values") {
  const DataFolder folder;
  write_arrays(folder);
  const auto read = [&](const std::string& x) {
    for (const char* part : {"train", "test"}) folder.write(fmt::format("x_{}.npy", part), x);
    return data::load("npy:" + folder.path.string(), 0, 0).train;
  };
  const std::vector<double> doubles(features.begin(), features.end());
  const std::vector<uint16_t> halves = {0x3800, 0xbc00, 0x4000, 0x4200, 0xc400, 0x4500,
                                        0x4600, 0x4700, 0x4800, 0x4880, 0x4900, 0x4980};
  CHECK(read(npy("<f2", "4, 3", bytes_of(halves))).features == features);
  CHECK(read(npy(">f2", "4, 3", swapped(halves))).features == features);
  CHECK(read(npy(">f4", "4, 3", swapped(features))).features == features);
  CHECK(read(npy(">f8", "4, 3", swapped(doubles))).features == features);
  const std::vector<uint16_t> extreme = {0x0001, 0x83ff, 0x0400, 0x7bff, 0x8000, 0x3555, 0, 0, 0, 0, 0, 0};
  const std::vector<float> read_extreme = read(npy("<f2", "4, 3", bytes_of(extreme))).features;
  CHECK(std::vector<float>(read_extreme.begin(), read_extreme.begin() + 6) ==
        std::vector<float>{0x1p-24F, -0x1.ff8p-15F, 0x1p-14F, 65504, 0, 0x1.554p-2F});

  // [2, 2, 1, 3] in Fortran order: the first index varies fastest.
  std::vector<float> columns;
  for (size_t c = 0; c < 3; ++c)
    for (size_t h = 0; h < 2; ++h)
      for (size_t n = 0; n < 2; ++n) columns.push_back(features[n * 6 + h * 3 + c]);
  for (const char* part : {"train", "test"})
    folder.write(fmt::format("y_{}.npy", part), npy(">i4", "2, 1", swapped(std::vector<int32_t>{1, 0}), "True"));
  for (const std::string& x :
       {npy("<f4", "2, 2, 1, 3", bytes_of(columns), "True"), npy(">f4", "2, 2, 1, 3", swapped(columns), "True")}) {
    CHECK(read(x).features == features);
    CHECK(read(x).image_shape() == Shape{3, 2, 1});
    CHECK(read(x).labels == std::vector<int32_t>{1, 0});
  }
  CHECK(read(npy("|u1", "2, 3", "adbecf", "True")).pixels == std::vector<uint8_t>{'a', 'b', 'c', 'd', 'e', 'f'});
}

TEST_CASE("numpy: floats are targets of any shape, integers [N, H, W] are label maps") {
  const DataFolder folder;
  write_arrays(folder);
  const auto read = [&](const std::string& y, double validation = 0) {
    for (const char* part : {"train", "test"}) folder.write(fmt::format("y_{}.npy", part), y);
    return data::load("npy:" + folder.path.string(), 0, validation);
  };
  std::vector<float> values(24);
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.5F + static_cast<float>(i);
  const data::Splits s = read(npy("<f4", "4, 2, 3", bytes_of(values)));
  CHECK(s.train.known() == data::Known::values);
  CHECK(s.train.target_shape == Shape{2, 3});
  CHECK(s.train.targets == values);
  CHECK(says(s.train.unlabelled, "y_train.npy: shape (4, 2, 3): expected class numbers (N,)"));
  data::Loader loader(s.train, {.batch_size = 3});
  const data::Batch batch = loader.batch(0);
  CHECK(batch.known() == data::Known::values);
  CHECK(batch.targets.shape() == Shape{3, 6});
  CHECK(batch.part(1, 2).targets.to_vector() == std::vector<float>(values.begin() + 6, values.begin() + 18));
  CHECK(says(refusal([&] { data::Loader(s.train, {.augmentation = {.flip = true}}); }), "expected --augment none"));

  const data::Splits held = read(npy("<f4", "4, 2, 3", bytes_of(values)), 0.25);
  REQUIRE(held.validation.size() == 1);
  const auto at = static_cast<size_t>(std::ranges::find(features, held.validation.features[0]) - features.begin()) / 3;
  CHECK(held.validation.targets == std::vector<float>(values.begin() + at * 6, values.begin() + at * 6 + 6));
  CHECK(held.train.targets.size() == 18);
  CHECK(data::checksum(held) != data::checksum(read(npy("<f4", "4, 3, 2", bytes_of(values)), 0.25)));

  const data::Splits both = read(npy("<f4", "4,", bytes_of(std::vector<float>{0, 1, 2, 0})));
  CHECK(both.train.known() == data::Known::labels);
  CHECK(both.train.target_shape == Shape{});
  CHECK(both.train.targets == std::vector<float>{0, 1, 2, 0});

  const std::string map = "\0\1\2\0\1\1\0\0\2\0\0\0\1\0\0\2"s;
  for (const char* shape : {"4, 2, 2", "4, 2, 2, 1"}) {
    const data::Splits maps = read(npy("|u1", shape, map));
    CHECK(maps.train.known() == data::Known::label_maps);
    CHECK(maps.train.label_map == Shape{2, 2});
    CHECK(maps.train.classes() == 3);
    const data::Batch two = data::Loader(maps.train, {.batch_size = 4}).batch(0).part(2, 2);
    CHECK(two.known() == data::Known::label_maps);
    CHECK(two.labels == std::vector<int32_t>{2, 0, 0, 0, 1, 0, 0, 2});
  }
  folder.write("y_test.npy", npy("<f4", "4,", bytes_of(std::vector<float>{0, 1, 2, 0.25F})));
  CHECK(says(refusal([&] { data::load("npy:" + folder.path.string(), 0, 0); }), "the label at [3] is 0.25"));
}

TEST_CASE("numpy: labels of any type, as a column, and one-hot") {
  const DataFolder folder;
  write_arrays(folder);
  const auto read = [&](const std::string& y) {
    for (const char* part : {"train", "test"}) folder.write(fmt::format("y_{}.npy", part), y);
    return data::load("npy:" + folder.path.string(), 0, 0);
  };
  const std::vector<int32_t> expected = {0, 1, 2, 0};
  const auto as = [&]<typename T>(const char* type, const char* shape, T) {
    return npy(type, shape, bytes_of(std::vector<T>(expected.begin(), expected.end())));
  };
  for (const char* shape : {"4,", "4, 1", "4, 1, 1", "1, 4"}) {
    CHECK(read(as("<i8", shape, int64_t{})).test.labels == expected);
    CHECK(read(as("<u8", shape, uint64_t{})).test.labels == expected);
    CHECK(read(as("<f4", shape, float{})).test.labels == expected);
    CHECK(read(as("<f8", shape, double{})).train.labels == expected);
    CHECK(read(as("|u1", shape, uint8_t{})).train.labels == expected);
  }
  CHECK(read(npy("|b1", "4,", "\1\0\0\1"s)).train.labels == std::vector<int32_t>{1, 0, 0, 1});

  // Four columns, the last of which has no image; nor has class 4 where classes start at 1.
  const std::vector<float> rows = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0};
  for (const std::string& y :
       {npy("<f4", "4, 4", bytes_of(rows)), npy("|b1", "4, 4", std::string(rows.begin(), rows.end()))}) {
    const data::Splits s = read(y);
    CHECK(s.train.labels == expected);
    CHECK(s.train.class_names == std::vector<std::string>{"0", "1", "2", "3"});
    CHECK(s.notes == std::vector<std::string>{"1 of 4 classes has no training images: 3"});
  }
  const data::Splits second = read(npy("|u1", "4, 2", "\0\1\0\1\0\1\0\1"s));
  CHECK(second.train.labels == std::vector<int32_t>{1, 1, 1, 1});
  CHECK(second.train.classes() == 2);

  const data::Splits from_1 = read(npy("<f8", "4, 1", bytes_of(std::vector<double>{1, 2, 3, 2})));
  CHECK(from_1.test.labels == std::vector<int32_t>{0, 1, 2, 1});
  CHECK(from_1.test.class_names == std::vector<std::string>{"1", "2", "3"});
  CHECK(from_1.notes == std::vector<std::string>{"labels start at 1: read as 3 classes named 1 to 3"});
}

TEST_CASE("numpy: integers within 0 to 255 are read as bytes, booleans as 0 and 1, with a note") {
  const DataFolder folder;
  write_arrays(folder);
  const auto read = [&](const std::string& train, const std::string& test) {
    folder.write("x_train.npy", train);
    folder.write("x_test.npy", test);
    return data::load("npy:" + folder.path.string(), 0, 0);
  };
  const std::vector<uint8_t> bytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 100, 200, 255};
  const std::string longs = npy("<i8", "4, 3", bytes_of(std::vector<int64_t>(bytes.begin(), bytes.end())));
  const std::string shorts = npy(">u2", "4, 3", swapped(std::vector<uint16_t>(bytes.begin(), bytes.end())));
  const std::string plain = npy("|u1", "4, 3", std::string(bytes.begin(), bytes.end()));
  data::Splits s = read(longs, longs);
  CHECK(s.train.pixels == bytes);
  CHECK(s.notes == std::vector<std::string>{"x_train and x_test are of int64, all within 0 to 255, read as bytes"});
  s = read(shorts, plain);
  CHECK(s.train.pixels == bytes);
  CHECK(s.test.pixels == bytes);
  CHECK(s.notes == std::vector<std::string>{"x_train is of uint16, all within 0 to 255, read as bytes"});
  CHECK(read(plain, plain).notes.empty());

  const std::string booleans = npy("|b1", "4, 3", "\0\1\1\0\0\1\1\0\0\1\1\0"s);
  s = read(booleans, booleans);
  CHECK(data::Loader(s.train, {.batch_size = 4}).batch(0).x.to_vector() ==
        std::vector<float>{0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0});
  CHECK(s.notes == std::vector<std::string>{"x_train and x_test are of booleans: False is read as 0, True as 1"});
  const std::string ones = npy("|u1", "4, 3", "\0\1\1\0\0\1\1\0\0\1\1\0"s);
  CHECK(says(read(ones, ones).notes.at(0), "no value of x is above 1, but a byte v stands for v / 255"));
}

TEST_CASE("numpy: the order of the axes of images is given, or told by the network or the number of channels") {
  const DataFolder folder;
  const auto read = [&](const std::string& shape, const data::ReadOptions& options, bool floats = false) {
    const std::vector<float> ramp = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                     12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};
    const std::string bytes(ramp.begin(), ramp.end());
    for (const char* part : {"train", "test"})
      folder.write(fmt::format("x_{}.npy", part),
                   floats ? npy("<f4", shape, bytes_of(ramp)) : npy("|u1", shape, bytes));
    return data::load("npy:" + folder.path.string(), 0, 0, options);
  };
  using enum data::Layout;
  const std::vector<uint8_t> as_stored = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                          12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23},
                             moved = {0,  4,  8,  1,  5,  9,  2,  6,  10, 3,  7,  11,
                                      12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23};
  for (const bool from_flag : {true, false}) {
    const data::ReadOptions options =
        from_flag ? data::ReadOptions{.layout = nchw} : data::ReadOptions{.image_shape = {3, 2, 2}, .fixed = true};
    const data::Splits s = read("2, 3, 2, 2", options);
    CHECK(s.train.image_shape() == Shape{3, 2, 2});
    CHECK(s.train.pixels == moved);
    CHECK(s.notes.size() == (from_flag ? 0 : 1));
    const data::Splits f = read("2, 3, 2, 2", options, true);
    CHECK(std::vector<uint8_t>(f.test.features.begin(), f.test.features.end()) == moved);
  }
  CHECK(read("2, 3, 2, 2", {.image_shape = {3, 2, 2}, .fixed = true}).notes[0] ==
        "x_train and x_test are read as [N, C, H, W], channels first");
  CHECK(read("2, 3, 2, 2", {.layout = nhwc}).train.image_shape() == Shape{2, 3, 2});
  for (const data::Layout layout : {automatic, nhwc}) {
    const data::Splits s = read("2, 2, 2, 3", {.layout = layout});
    CHECK(s.train.image_shape() == Shape{3, 2, 2});
    CHECK(s.train.pixels == as_stored);
    CHECK(s.notes.empty());
  }
  for (const std::string shape : {"2, 1, 4, 3", "1, 2, 6, 2", "2, 3, 1, 4", "2, 3, 2, 2", "1, 1, 6, 4"}) {
    CHECK(says(refusal([&] { read(shape, {}); }),
               fmt::format("x_test.npy: shape ({}): its channels may come first or last: expected --layout nchw or "
                           "--layout nhwc",
                           shape)));
    CHECK(read(shape, {.layout = nchw}).train.size() == read(shape, {.layout = nhwc}).train.size());
  }
  CHECK(read("1, 2, 6, 2", {.image_shape = {2, 2, 6}, .fixed = true}).train.pixels == as_stored);
  CHECK(read("2, 1, 4, 3", {.image_shape = {1, 4, 3}, .fixed = true}).train.image_shape() == Shape{1, 4, 3});
  CHECK(read("2, 1, 4, 3", {.image_shape = {3, 1, 4}, .fixed = true}).train.image_shape() == Shape{3, 1, 4});
  CHECK(says(refusal([&] { read("2, 1, 4, 3", {.image_shape = {3, 1, 4}}); }), "--layout"));  // others would do, too
}
