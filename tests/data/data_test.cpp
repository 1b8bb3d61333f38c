// SPDX-License-Identifier: Apache-2.0
#include "../refusal.h"
#include "../skip.h"

#include <mixgrad/data.h>
#include <mixgrad/error.h>

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace mixgrad;
using test::refusal;
namespace fs = std::filesystem;

namespace {

template <typename Body>
auto with_threads(int threads, const Body& body) {
#ifdef _OPENMP
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  auto result = body();
  omp_set_num_threads(before);
  return result;
#else
  (void)threads;
  return body();
#endif
}

/// Images in which every byte is different, as far as 256 values allow; the label is the index of the image.
data::Dataset counting(int64_t size, int64_t channels, int64_t height, int64_t width) {
  data::Dataset set{"counting", channels, height, width, {}, {}, {"only"}};
  for (int64_t i = 0; i < size; ++i) {
    set.labels.push_back(static_cast<int32_t>(i));
    for (int64_t j = 0; j < set.image_values(); ++j) set.pixels.push_back(static_cast<uint8_t>(1 + (i * 31 + j) % 255));
  }
  return set;
}

struct Epoch {
  std::vector<float> values;  // in memory order
  std::vector<int32_t> labels;
  bool operator==(const Epoch&) const = default;
};

Epoch run(const data::Loader& loader) {
  Epoch epoch;
  for (int64_t i = 0; i < loader.batches(); ++i) {
    const data::Batch batch = loader.batch(i);
    epoch.values.insert(epoch.values.end(), batch.x.data().begin(), batch.x.data().end());
    epoch.labels.insert(epoch.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  return epoch;
}

/// A CIFAR-10 folder with `records` records per file; pixel p of record r of file f is (f * 50 + r * 7 + p) % 256.
struct CifarFolder {
  fs::path path;
  explicit CifarFolder(int records = 4) {
    std::string name = (fs::temp_directory_path() / "mixgrad-cifar-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    for (int f = 0; f < 6; ++f) {
      std::string bytes;
      for (int r = 0; r < records; ++r) {
        bytes += static_cast<char>((f + r) % 10);
        for (int p = 0; p < 3072; ++p) bytes += static_cast<char>((f * 50 + r * 7 + p) % 256);
      }
      write(f == 5 ? "test_batch.bin" : "data_batch_" + std::to_string(f + 1) + ".bin", bytes);
    }
  }
  ~CifarFolder() { fs::remove_all(path); }
  std::string file(const std::string& name) const { return (path / name).string(); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary | std::ios::trunc) << bytes;
  }
  data::Splits read(double share = 0.25) const { return data::cifar10(path.string(), 3, share); }
  std::string complaint() const {
    return refusal([&] { read(); });
  }
};

std::vector<int64_t> histogram(const data::Dataset& set) {
  std::vector<int64_t> counts(static_cast<size_t>(set.classes()));
  for (const int32_t label : set.labels) ++counts.at(label);
  return counts;
}

}  // namespace

TEST_CASE("glyphs: classes are balanced, and pictures do not depend on the number of threads") {
  const auto draw = [] { return data::glyphs(5, 0.1, {.train = 400, .test = 100}); };
  const data::Splits one = with_threads(1, draw), three = with_threads(3, draw);
  CHECK(one.train.pixels == three.train.pixels);
  CHECK(one.train.labels == three.train.labels);
  CHECK(one.validation.pixels == three.validation.pixels);
  CHECK(one.test.pixels == three.test.pixels);
  CHECK(one.train.size() == 360);
  CHECK(one.validation.size() == 40);
  CHECK(one.train.image_shape() == Shape({3, 32, 32}));
  CHECK(one.train.class_names == std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  CHECK(histogram(one.test) == std::vector<int64_t>(10, 10));
  std::vector<int64_t> both = histogram(one.train);
  for (size_t c = 0; c < 10; ++c) both[c] += histogram(one.validation)[c];
  CHECK(both == std::vector<int64_t>(10, 40));
}

TEST_CASE("glyphs: seeds give different pictures, a smaller set is a prefix of a larger one, and no two are equal") {
  const data::Dataset large = data::glyphs(1, 0, {.train = 200, .test = 200}).train;
  const data::Splits small = data::glyphs(1, 0, {.train = 50, .test = 50});
  CHECK(std::equal(small.train.pixels.begin(), small.train.pixels.end(), large.pixels.begin()));
  CHECK(small.train.pixels != small.test.pixels);
  CHECK(small.train.pixels != data::glyphs(2, 0, {.train = 50, .test = 0}).train.pixels);
  std::set<std::vector<uint8_t>> distinct;
  for (int64_t i = 0; i < large.size(); ++i)
    distinct.emplace(large.pixels.begin() + i * 3072, large.pixels.begin() + (i + 1) * 3072);
  CHECK(distinct.size() == 200);
}

TEST_CASE("hold_out: the two parts make up the set, each in its order, and depend on the seed") {
  const auto split = [](uint64_t seed, double share) { return data::hold_out(counting(20, 1, 2, 2), {}, seed, share); };
  const data::Splits s = split(1, 0.3);
  CHECK(s.validation.size() == 6);
  CHECK(std::is_sorted(s.validation.labels.begin(), s.validation.labels.end()));
  std::map<int32_t, std::vector<uint8_t>> images;
  for (const data::Dataset* part : {&s.train, &s.validation}) {
    CHECK(part->pixels.size() == part->labels.size() * 4);
    CHECK(part->class_names == std::vector<std::string>{"only"});
    for (int64_t i = 0; i < part->size(); ++i)
      images[part->labels[static_cast<size_t>(i)]] = {part->pixels.begin() + i * 4, part->pixels.begin() + (i + 1) * 4};
  }
  CHECK(images.size() == 20);
  std::vector<uint8_t> joined;
  for (const auto& [label, image] : images) joined.insert(joined.end(), image.begin(), image.end());
  CHECK(joined == counting(20, 1, 2, 2).pixels);
  CHECK(split(1, 0.3).validation.labels == s.validation.labels);
  CHECK(split(2, 0.3).validation.labels != s.validation.labels);
  CHECK(split(1, 0).validation.size() == 0);
  CHECK(split(1, 0.001).validation.size() == 1);
  CHECK(split(1, 0.999).train.size() == 1);
  CHECK(refusal([&] { split(1, 1.0); }) == "validation share 1 is outside [0, 1)");
  CHECK(refusal([&] { split(1, -0.1); }) == "validation share -0.1 is outside [0, 1)");
}

TEST_CASE("hold_out: classes are stratified, and a rare one keeps at least one training image") {
  data::Dataset set = counting(100, 1, 1, 1);
  set.class_names = {"many", "few", "two", "one"};
  for (size_t i = 0; i < 100; ++i) set.labels[i] = i < 77 ? 0 : i < 97 ? 1 : i < 99 ? 2 : 3;
  for (const uint64_t seed : {1, 2, 3}) {
    CHECK(histogram(data::hold_out(set, {}, seed, 0.1).validation) == std::vector<int64_t>{8, 2, 0, 0});
    CHECK(histogram(data::hold_out(set, {}, seed, 0.4).validation) == std::vector<int64_t>{31, 8, 1, 0});
  }
  CHECK(data::hold_out(set, {}, 1, 0.1).validation.pixels != data::hold_out(set, {}, 2, 0.1).validation.pixels);
  std::ranges::fill(set.labels, 0);
  data::Dataset unlabelled = set;
  unlabelled.labels.clear();
  CHECK(data::hold_out(set, {}, 1, 0.1).validation.pixels == data::hold_out(unlabelled, {}, 1, 0.1).validation.pixels);
}

TEST_CASE("cifar10: records become channels-last images with labels and the standard class names") {
  const CifarFolder folder;
  const data::Splits s = folder.read(0);
  CHECK(s.train.size() == 20);
  CHECK(s.test.labels == std::vector<int32_t>{5, 6, 7, 8});
  CHECK(s.train.class_names[9] == "truck");
  for (int64_t i = 0; i < 20; ++i) {
    CHECK(s.train.labels[static_cast<size_t>(i)] == (i / 4 + i % 4) % 10);
    bool same = true;
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t p = 0; p < 1024; ++p)
        same = same && s.train.pixels[static_cast<size_t>(i * 3072 + p * 3 + c)] ==
                           (i / 4 * 50 + i % 4 * 7 + c * 1024 + p) % 256;
    CHECK(same);
  }
  CHECK(folder.read(0.25).validation.size() == 5);
  folder.write("batches.meta.txt", "a\r\nb\nc\nd\ne\nf\ng\nh\ni\nlast one\n\n");
  CHECK(folder.read().test.class_names.front() == "a");
  CHECK(folder.read().validation.class_names.back() == "last one");
}

TEST_CASE("cifar10: every error is one line with the file and what would be right") {
  const CifarFolder folder(2);
  CHECK(refusal([] { data::cifar10("/no/such/folder", 0); }) ==
        "/no/such/folder: no such folder; expected one with data_batch_1..5.bin and test_batch.bin");
  const std::string three = folder.file("data_batch_3.bin");

  folder.write("data_batch_3.bin", std::string(3073 * 2 + 100, '\1'));
  CHECK(folder.complaint() ==
        three + ": 6246 bytes is not a multiple of 3073: the record at offset 6146 has only 100 bytes");
  folder.write("data_batch_3.bin", "");
  CHECK(folder.complaint() == three + ": empty; expected records of 3073 bytes");
  std::string wrong(3073 * 3, '\1');
  wrong[3073] = 37;
  folder.write("data_batch_3.bin", wrong);
  CHECK(folder.complaint() == three + ": label 37 at offset 3073 (record 1): expected 0 to 9");
  wrong[3073] = '\x0a';
  folder.write("data_batch_3.bin", wrong);
  CHECK(folder.complaint() == three + ": label 10 at offset 3073 (record 1): expected 0 to 9");
  fs::remove(three);
  CHECK(folder.complaint() == three + ": no such file; CIFAR-10 has data_batch_1..5.bin and test_batch.bin");
  fs::create_directory(three);
  CHECK(folder.complaint() == three + ": not a file");
  fs::remove(folder.file("test_batch.bin"));
  CHECK(folder.complaint() ==
        folder.file("test_batch.bin") + ": no such file; CIFAR-10 has data_batch_1..5.bin and test_batch.bin");
  folder.write("batches.meta.txt", "a\nb\n");
  CHECK(folder.complaint() == folder.file("batches.meta.txt") + ": 2 class names: expected 10, one per line");
}

TEST_CASE("load: names of data sets, and their default augmentation") {
  const CifarFolder folder(2);
  CHECK(data::load("cifar10:" + folder.path.string(), 3, 0.5).validation.size() == 5);
  for (const std::string spec : {"", "glyph", "glyphs2", "cifar10", "cifar10:", "mnist"}) {
    const std::string expected = "unknown data set '" + spec + "': expected " + data::sources();
    CHECK(refusal([&] { data::load(spec, 0); }) == expected);
    CHECK(refusal([&] { data::source_of(spec); }) == expected);
  }
  const data::Splits few = data::load("glyphs:60", 3, 0.5);
  CHECK(few.train.size() == 30);
  CHECK(few.test.size() == 15);
  CHECK(few.test.pixels == data::glyphs(3, 0.5, {.train = 60, .test = 15}).test.pixels);
  for (const std::string spec :
       {"glyphs:", "glyphs:39", "glyphs:4x", "glyphs:-40", "glyphs:9999999", "glyphs:99999999999999999999"}) {
    CHECK(refusal([&] { data::load(spec, 0); }) ==
          "data: '" + spec + "': expected glyphs:N with 40 to 200000 training images");
  }
  CHECK(data::source_of("cifar10:x") == "cifar10");
  CHECK(data::source_of("glyphs:60") == "glyphs");
  CHECK(data::load("cifar10:" + folder.path.string(), 3).augmentation == data::Augmentation{.flip = true, .crop = 2});
  CHECK(few.augmentation == data::Augmentation{.crop = 2});
  CHECK(data::load("glyphs:60", 3, 0.5, {.image_shape = {64, 1, 1}}).augmentation == data::Augmentation{});
}

TEST_CASE("loader: without shuffling and augmentation, it returns the data set divided by 255") {
  const data::Dataset set = counting(10, 3, 4, 5);
  const data::Loader loader(set, {.batch_size = 4});
  CHECK(loader.batches() == 3);
  CHECK(loader.batch(2).size() == 2);
  CHECK(loader.batch(0).x.shape() == Shape({4, 3, 4, 5}));
  const Epoch epoch = run(loader);
  REQUIRE(epoch.values.size() == set.pixels.size());
  for (size_t i = 0; i < set.pixels.size(); ++i) REQUIRE(epoch.values[i] == static_cast<float>(set.pixels[i]) / 255.0F);
  const std::vector<float> image = loader.batch(1).x.to_vector();
  CHECK(image[1 * 20 + 2 * 5 + 3] == static_cast<float>(set.pixels[4 * 60 + (2 * 5 + 3) * 3 + 1]) / 255.0F);
  CHECK(data::Loader(set, {.batch_size = 4, .drop_last = true}).batches() == 2);
  CHECK(data::Loader(set, {.batch_size = 5, .drop_last = true}).batches() == 2);
  CHECK(data::Loader(set, {.batch_size = 11, .drop_last = true}).batches() == 0);
  CHECK(data::Loader(counting(0, 3, 4, 5), {.batch_size = 4}).batches() == 0);
}

TEST_CASE("loader: an epoch visits every image once, in a different order each epoch") {
  const data::Dataset set = counting(100, 1, 2, 2);
  data::Loader loader(set, {.batch_size = 16, .shuffle = true, .seed = 9});
  const std::vector<int32_t> first = run(loader).labels;
  loader.start(1);
  const std::vector<int32_t> second = run(loader).labels;
  CHECK(first != second);
  for (std::vector<int32_t> labels : {first, second}) {
    CHECK_FALSE(std::is_sorted(labels.begin(), labels.end()));
    std::sort(labels.begin(), labels.end());
    std::vector<int32_t> all(100);
    std::iota(all.begin(), all.end(), 0);
    CHECK(labels == all);
  }
}

TEST_CASE("loader: an epoch's bytes do not depend on earlier calls or on the number of threads") {
  const data::Dataset set = counting(50, 3, 8, 8);
  const data::LoaderOptions options{
      .batch_size = 16, .shuffle = true, .augmentation = {.flip = true, .crop = 2}, .seed = 4};
  data::Loader fresh(set, options), used(set, options);
  fresh.start(3);
  const Epoch expected = with_threads(1, [&] { return run(fresh); });
  run(used);
  used.start(7);
  used.batch(2);
  used.start(3);
  used.batch(3);
  CHECK(with_threads(3, [&] { return run(used); }) == expected);
  used.start(4);
  CHECK_FALSE(run(used) == expected);
  data::Loader other(set, {.batch_size = 16, .shuffle = true, .augmentation = {.flip = true, .crop = 2}, .seed = 5});
  other.start(3);
  CHECK_FALSE(run(other) == expected);
}

TEST_CASE("loader: every augmented image is a shifted or mirrored image, and all variations occur") {
  const int crop = 2;
  const data::Dataset set = counting(1, 3, 6, 5);
  const auto naive = [&](int dy, int dx, bool flip) {
    std::vector<float> image;
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < 6; ++y)
        for (int x = 0; x < 5; ++x) {
          const int from_y = y + dy, from_x = (flip ? 4 - x : x) + dx;
          const bool inside = from_y >= 0 && from_y < 6 && from_x >= 0 && from_x < 5;
          image.push_back(inside ? static_cast<float>(set.pixels[static_cast<size_t>((from_y * 5 + from_x) * 3 + c)]) /
                                       255.0F
                                 : 0.0F);
        }
    return image;
  };
  for (const data::Augmentation augmentation : {data::Augmentation{true, crop}, {false, crop}, {true, 0}}) {
    std::map<std::vector<float>, int> expected;
    for (int dy = -augmentation.crop; dy <= augmentation.crop; ++dy)
      for (int dx = -augmentation.crop; dx <= augmentation.crop; ++dx)
        for (int flip = 0; flip <= (augmentation.flip ? 1 : 0); ++flip) expected[naive(dy, dx, flip == 1)] = 0;
    data::Loader loader(set, {.augmentation = augmentation, .seed = 2});
    const int visits = 100 * static_cast<int>(expected.size());
    for (int epoch = 0; epoch < visits; ++epoch) {
      loader.start(epoch);
      const auto found = expected.find(loader.batch(0).x.to_vector());
      REQUIRE(found != expected.end());
      ++found->second;
    }
    for (const auto& [image, count] : expected) CHECK(std::abs(count - 100) < 50);  // five standard deviations
  }
}

TEST_CASE("loader: invalid options and batches are refused") {
  const data::Dataset set = counting(10, 3, 4, 5);
  const auto make = [&](data::LoaderOptions options) { return refusal([&] { data::Loader(set, options); }); };
  CHECK(make({.batch_size = 0}) == "batch size 0: expected at least 1");
  CHECK(make({.augmentation = {.crop = 4}}) == "crop 4: expected 0 to 3 for images of 4x5");
  CHECK(make({.augmentation = {.crop = -1}}) == "crop -1: expected 0 to 3 for images of 4x5");
  for (const double share : {0.0, 1.5, std::nan("")})
    CHECK(make({.augmentation = {.least_area = share}}).starts_with("least area "));
  const data::Loader loader(set, {.batch_size = 4});
  CHECK(refusal([&] { loader.batch(3); }) == "batch 3: this data set has 3 batches");
  CHECK(refusal([&] { loader.batch(-1); }) == "batch -1: this data set has 3 batches");
  data::Dataset broken = set;
  broken.pixels.pop_back();
  CHECK(refusal([&] { data::Loader(broken, {}); }) ==
        "data set counting: 10 labels and 599 values don't match images of 60 values");
}

TEST_CASE("cifar10: the real set") {
  const fs::path dir = fs::path(test::shared_folder()) / "data/cifar-10-batches-bin";
  if (!fs::exists(dir)) return test::skip("no CIFAR-10: " + dir.string() + " is missing");
  const data::Splits s = data::load("cifar10:" + dir.string(), 1, 0.1);
  CHECK(s.train.size() == 45000);
  CHECK(s.validation.size() == 5000);
  CHECK(histogram(s.test) == std::vector<int64_t>(10, 1000));
  CHECK(s.train.class_names[2] == "bird");
  // Neighbouring pixels of a photograph are similar only if the planes were interleaved in the right order.
  int64_t along = 0, across = 0;
  for (size_t i = 0; i < 3072 - 96; ++i) {
    along += std::abs(s.test.pixels[i] - s.test.pixels[i + 3]);
    across += std::abs(s.test.pixels[i] - s.test.pixels[i + 48]);
  }
  CHECK(along < across);
}
