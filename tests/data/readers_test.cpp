// SPDX-License-Identifier: Apache-2.0
// Data sets from users: files are written by the tests, read back, then corrupted.
#include "files.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

#include <cmath>

#include <zlib.h>

using namespace mixgrad;
using namespace mixgrad::test;
namespace fs = std::filesystem;

namespace {

std::string idx(const std::vector<uint32_t>& dims, const std::string& values) {
  std::string out{'\0', '\0', '\x08', static_cast<char>(dims.size())};
  for (uint32_t d : dims) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(d >> shift & 0xff);
  }
  return out + values;
}

/// As `gzip -n` writes it.
std::string gzip(const std::string& content) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, static_cast<uLong>(content.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

void write_idx(const DataFolder& folder, const std::string& part, const std::string& labels) {
  const auto n = static_cast<uint32_t>(labels.size());
  folder.write(part + "-images-idx3-ubyte", idx({n, 1, 1}, labels));
  folder.write(part + "-labels-idx1-ubyte", idx({n}, labels));
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

TEST_CASE("idx: every error names its file and position") {
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
  CHECK(says(with(images, good.substr(0, 20)),
             images + ": 4 bytes of values from offset 16 on don't match its sizes, 2×2×3: expected 12 bytes"));
  CHECK(says(with(images, good + "m"), "13 bytes of values from offset 16 on don't match its sizes"));
  CHECK(says(with(images, "x" + good), "offset 0"));
  CHECK(says(with(images, idx({0xffffffff, 0xffffffff, 0xffffffff}, "")),
             "need more bytes than a file of 16 bytes can hold"));
  CHECK(says(with(images, idx({0, 2, 3}, "")), "no values: its sizes are 0×2×3"));
  CHECK(says(with(images, std::string("\0\0\x0d\x03", 4) + good.substr(4)),
             "type 0x0d at offset 2: expected 0x08, unsigned bytes"));
  CHECK(says(with(images, idx({12}, "abcdefghijkl")), "1 dimensions at offset 3"));
  CHECK(says(with(labels, idx({3}, "abc")), "2 images, but " + labels + " has 3 labels"));
  CHECK(says(with(images, idx({2, 3, 2}, "abcdefghijkl")), "training images are [1, 3, 2], test images [1, 2, 3]"));
  fs::remove(labels);
  CHECK(says(read(), "can't read " + labels));
}

TEST_CASE("idx: gzipped files, next to plain ones, or under the name of plain ones") {
  const DataFolder folder;
  const std::string images = idx({2, 2, 3}, "abcdefghijkl"), labels = idx({2}, std::string("\x00\x01", 2));
  folder.write("train-images-idx3-ubyte.gz", gzip(images));
  folder.write("train-labels.idx1-ubyte.gz", gzip(labels));
  folder.write("t10k-images-idx3-ubyte", images);
  folder.write("t10k-labels-idx1-ubyte", gzip(labels));
  const auto load = [&] { return data::load("idx:" + folder.path.string(), 0, 0); };
  CHECK(load().train.pixels == load().test.pixels);
  CHECK(load().train.pixels[11] == 'l');
  CHECK(load().train.labels == std::vector<int32_t>{0, 1});
  CHECK(load().test.labels == std::vector<int32_t>{0, 1});
  folder.write("train-images-idx3-ubyte", idx({2, 2, 3}, "ABCDEFGHIJKL"));
  CHECK(load().train.pixels[11] == 'L');
}

TEST_CASE("idx: every incomplete or altered gzip file is refused, and not inflated beyond the sizes in its header") {
  const DataFolder folder;
  for (const char* part : {"train", "t10k"}) {
    folder.write(fmt::format("{}-images-idx3-ubyte.gz", part), gzip(idx({2, 2, 3}, "abcdefghijkl")));
    folder.write(fmt::format("{}-labels-idx1-ubyte.gz", part), gzip(idx({2}, std::string("\x00\x01", 2))));
  }
  const std::string file = folder.file("train-images-idx3-ubyte.gz");
  const auto with = [&](const std::string& content) {
    io::write_file(file, content);
    return refusal([&] { data::load("idx:" + folder.path.string(), 0, 0); });
  };
  const std::string whole = gzip(idx({2, 2, 3}, "abcdefghijkl"));
  CHECK(with(whole) == "accepted");
  for (size_t length = 0; length < whole.size(); ++length) CHECK(says(with(whole.substr(0, length)), file));
  std::string changed = whole;
  changed[whole.size() - 6] = static_cast<char>(changed[whole.size() - 6] ^ 1);  // the checksum
  CHECK(says(with(changed), file + ": corrupt gzip data: incorrect data check"));
  CHECK(says(with(gzip(idx({2, 2, 3}, "abcd"))), "4 bytes of values from offset 16 on don't match its sizes, 2×2×3"));
  CHECK(says(with(gzip(idx({2, 2, 3}, std::string(1 << 20, 'a')))),
             "more bytes of values from offset 16 on don't match"));
  CHECK(says(with(gzip(idx({60000, 1000, 1000}, ""))), "need more bytes than a file of"));
  CHECK(says(with(gzip("text")), "not an IDX file"));
}

TEST_CASE("idx: labels that start at 1 are classes from 1 on, and notes report classes without images") {
  const DataFolder folder;
  using Notes = std::vector<std::string>;
  const auto read = [&](const std::string& train, const std::string& test) {
    write_idx(folder, "train", train);
    write_idx(folder, "t10k", test);
    return data::load("idx:" + folder.path.string(), 0, 0);
  };
  data::Splits s = read("\x01\x02\x03\x01", "\x03\x02\x01");
  CHECK(s.train.labels == std::vector<int32_t>{0, 1, 2, 0});
  CHECK(s.test.labels == std::vector<int32_t>{2, 1, 0});
  CHECK(s.train.class_names == Notes{"1", "2", "3"});
  CHECK(s.test.class_names == s.train.class_names);
  CHECK(s.notes == Notes{"labels start at 1: read as 3 classes named 1 to 3"});

  s = read("\x01\x02\x03", std::string("\x00\x03", 2));
  CHECK(s.train.labels == std::vector<int32_t>{1, 2, 3});
  CHECK(s.train.class_names == Notes{"0", "1", "2", "3"});
  CHECK(s.notes == Notes{"1 of 4 classes has no training images: 0", "2 of 4 classes have no test images: 1, 2"});

  s = read("\x01\x04", "\x04\x01");  // either some of 0 to 4, or some of 1 to 4
  CHECK(s.train.labels == std::vector<int32_t>{1, 4});
  CHECK(s.notes == Notes{"3 of 5 classes have no training images: 0, 2, 3"});

  s = read("\x02\x0a", "\x02\x0a");
  CHECK(s.train.classes() == 11);
  CHECK(s.notes == Notes{"9 of 11 classes have no training images: 0, 1, 3, 4, 5 and 4 more"});

  CHECK(read(std::string("\x00\x01", 2), std::string("\x01\x00", 2)).notes.empty());
}

TEST_CASE("glyphs: drawn at the input shape of a model") {
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
