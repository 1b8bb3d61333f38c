// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG files: written by the tests, read back, then corrupted.
#include "files.h"

#include <mixgrad/data.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include <png.h>
#include <turbojpeg.h>

using namespace mixgrad;
using namespace mixgrad::test;
namespace fs = std::filesystem;

namespace {

std::string png(const std::vector<uint8_t>& pixels, unsigned width, unsigned height, unsigned format) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  png_alloc_size_t size = 0;
  REQUIRE(png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr) != 0);
  std::string out(size, '\0');
  REQUIRE(png_image_write_to_memory(&image, out.data(), &size, 0, pixels.data(), 0, nullptr) != 0);
  return out;
}

std::string jpeg(const std::vector<uint8_t>& pixels, int width, int height, TJPF format = TJPF_RGB) {
  const std::unique_ptr<void, decltype(&tjDestroy)> encoder(tjInitCompress(), &tjDestroy);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  REQUIRE(tjCompress2(encoder.get(), pixels.data(), width, 0, height, format, &bytes, &size, TJSAMP_444, 100, 0) == 0);
  std::string out(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  return out;
}

}  // namespace

TEST_CASE("images: JPEG and PNG in class folders; images stay grey only if all of them are") {
  const DataFolder folder;
  const std::vector<uint8_t> grey = {0, 50, 100, 150, 200, 250},
                             red = {255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0};
  for (const char* part : {"train", "test"}) {
    folder.write(fmt::format("{}/cat/1.png", part), png(grey, 3, 2, PNG_FORMAT_GRAY));
    folder.write(fmt::format("{}/dog/1.PNG", part), png(grey, 3, 2, PNG_FORMAT_GRAY));
  }
  folder.write("train/cat/.hidden", "");
  data::Splits s = data::load("images:" + folder.path.string(), 0, 0);
  CHECK(s.train.image_shape() == Shape{1, 2, 3});
  CHECK(s.train.class_names == std::vector<std::string>{"cat", "dog"});
  CHECK(s.train.labels == std::vector<int32_t>{0, 1});
  CHECK(std::vector<uint8_t>(s.test.pixels.begin(), s.test.pixels.begin() + 6) == grey);

  folder.write("train/cat/2.jpg", jpeg(red, 3, 2));
  s = data::load("images:" + folder.path.string(), 0, 0);
  CHECK(s.train.image_shape() == Shape{3, 2, 3});
  CHECK(s.test.image_shape() == Shape{3, 2, 3});
  CHECK(s.train.labels == std::vector<int32_t>{0, 0, 1});
  CHECK(s.train.pixels[3] == 50);
  CHECK(s.train.pixels[4] == 50);
  CHECK(s.train.pixels[18] > 240);  // the JPEG's red
  CHECK(s.train.pixels[19] < 15);
}

TEST_CASE("images: CMYK is converted without a colour profile, as in other readers, and a note says so") {
  const DataFolder folder;
  std::vector<uint8_t> light_red, dark_cyan;  // inks as stored in files: 255 is none
  for (int i = 0; i < 64; ++i) {
    light_red.insert(light_red.end(), {255, 60, 80, 255});
    dark_cyan.insert(dark_cyan.end(), {0, 255, 200, 100});
  }
  folder.write("train/a/1.jpg", jpeg(light_red, 8, 8, TJPF_CMYK));
  folder.write("train/b/1.jpg", jpeg(dark_cyan, 8, 8, TJPF_CMYK));
  for (const char* name : {"test/a/1.jpg", "test/b/1.jpg"})
    folder.write(name, jpeg(std::vector<uint8_t>(192, 9), 8, 8));
  const data::Splits s = data::load("images:" + folder.path.string(), 0, 0);
  const int expected[] = {255, 60, 80, 0, 100, 78};
  for (size_t c = 0; c < 6; ++c) CHECK(std::abs(s.train.pixels[c / 3 * 192 + c % 3] - expected[c]) <= 3);
  CHECK(s.notes ==
        std::vector<std::string>{"2 images have CMYK colours, which are converted to RGB without a colour profile"});
}

TEST_CASE("images: the format is detected from the content, not from the name") {
  const DataFolder folder;
  const std::vector<uint8_t> grey = {0, 50, 100, 150, 200, 250};
  for (const char* part : {"train", "test"}) {
    folder.write(fmt::format("{}/a/1.jpg", part), png(grey, 3, 2, PNG_FORMAT_GRAY));
    folder.write(fmt::format("{}/a/2.png", part), jpeg(std::vector<uint8_t>(18, 7), 3, 2));
  }
  const data::Splits s = data::load("images:" + folder.path.string(), 0, 0);
  CHECK(s.train.pixels[3] == 50);
  CHECK(s.train.pixels[18] == 7);
  const std::string webp = folder.write("train/a/3.jpg", "RIFF....WEBP");
  CHECK(says(refusal([&] { data::load("images:" + folder.path.string(), 0, 0); }),
             webp + ": corrupt or unsupported JPEG"));
}

TEST_CASE("images: a note reports classes without images") {
  const DataFolder folder;
  const std::string grey = png(std::vector<uint8_t>(6, 9), 3, 2, PNG_FORMAT_GRAY);
  for (const char* name : {"train/cat/1.png", "train/dog/1.png", "test/cat/1.png"}) folder.write(name, grey);
  fs::create_directories(folder.path / "train" / "cow");
  const data::Splits s = data::load("images:" + folder.path.string(), 0, 0);
  CHECK(s.train.class_names == std::vector<std::string>{"cat", "cow", "dog"});
  CHECK(s.notes == std::vector<std::string>{"1 of 3 classes has no training images: cow",
                                            "1 of 3 classes has no test images: dog"});
}

TEST_CASE("images: every error names its file") {
  const DataFolder folder;
  const std::vector<uint8_t> grey(6, 9);
  const auto read = [&] { return refusal([&] { data::load("images:" + folder.path.string(), 0, 0); }); };
  CHECK(says(read(), "train"));
  const std::string good = png(grey, 3, 2, PNG_FORMAT_GRAY);
  folder.write("train/cat/1.png", good);
  CHECK(says(read(), "test"));
  folder.write("test/cat/1.png", good);
  CHECK(read() == "accepted");
  for (size_t length : {size_t{0}, size_t{7}, size_t{20}, good.size() - 14}) {
    const std::string cut = folder.write("train/cat/2.png", good.substr(0, length));
    CHECK(says(read(), cut + ": corrupt PNG image"));
  }
  fs::remove(folder.file("train/cat/2.png"));
  const std::string whole = jpeg(std::vector<uint8_t>(18, 7), 3, 2);
  for (size_t length : {size_t{0}, size_t{2}, whole.size() / 2}) {
    const std::string cut = folder.write("train/cat/2.jpeg", whole.substr(0, length));
    CHECK(says(read(), cut + ": corrupt or unsupported JPEG image"));
  }
  fs::remove(folder.file("train/cat/2.jpeg"));
  const std::string large = folder.write("train/cat/3.png", png(std::vector<uint8_t>(12, 1), 4, 3, PNG_FORMAT_GRAY));
  CHECK(says(read(), large + ": 4×3 pixels"));
  fs::remove(large);
  CHECK(says((folder.write("test/cow/1.png", good), read()), "test/cow: class without a folder of training images"));
  fs::remove_all(folder.file("test/cow"));
  const std::string text = folder.write("train/cat/notes.txt", "");
  CHECK(says(read(), text + ": expected .jpg, .jpeg or .png"));
}

TEST_CASE("images: folders without classes have no labels; one that is not divided is, and an image names its file") {
  const DataFolder folder;
  const auto grey = [&](uint8_t value) { return png(std::vector<uint8_t>(6, value), 3, 2, PNG_FORMAT_GRAY); };
  for (uint8_t i = 0; i < 10; ++i) folder.write(fmt::format("flat/{}.png", i), grey(i));
  const std::string flat = folder.file("flat");
  const data::Splits s = data::load("images:" + flat, 0, 0);
  CHECK(s.train.known() == data::Known::nothing);
  CHECK(s.train.classes() == 0);
  CHECK(s.test.files == std::vector<std::string>{"4.png", "9.png"});
  CHECK(s.test.pixels[6] == 9);
  CHECK(s.notes == std::vector<std::string>{"no folders train and test: every fifth image is for testing, 2 of 10"});
  CHECK(data::load("images:" + flat, 0, 0.25).validation.files.size() == 2);

  const data::Dataset all = data::images_only(flat);
  CHECK(all.size() == 10);
  CHECK(all.image_shape() == Shape{1, 2, 3});
  CHECK(all.files[3] == "3.png");
  CHECK(data::images_only(folder.file("flat/7.png")).pixels == std::vector<uint8_t>(6, 7));

  fs::create_directory(folder.path / "divided");
  for (const char* part : {"train", "test"})
    fs::copy(flat, folder.path / "divided" / part, fs::copy_options::recursive);
  const data::Splits divided = data::load("images:" + folder.file("divided"), 0, 0);
  CHECK(divided.train.size() == 10);
  CHECK(divided.train.known() == data::Known::nothing);
  CHECK(divided.test.files[0] == "test/0.png");
  CHECK(data::images_only(folder.file("divided")).size() == 20);

  folder.write("divided/train/cat/1.png", grey(1));
  CHECK(says(refusal([&] { data::load("images:" + folder.file("divided"), 0, 0); }), "expected one folder per class"));
}
