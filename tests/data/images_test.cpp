// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG files: written by the tests, read back, then corrupted.
#include "../cli/photos.h"
#include "files.h"

#include <mixgrad/data.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include <jpeglib.h>
#include <png.h>

using namespace mixgrad;
using namespace mixgrad::test;
namespace fs = std::filesystem;

namespace {

/// `colours`: of `pixels`; files of CMYK can hold YCCK.
std::string jpeg(const std::vector<uint8_t>& pixels, unsigned width, unsigned height, J_COLOR_SPACE colours = JCS_RGB,
                 J_COLOR_SPACE stored = JCS_UNKNOWN) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = width;
  info.image_height = height;
  info.input_components = colours == JCS_CMYK ? 4 : 3;
  info.in_color_space = colours;
  jpeg_set_defaults(&info);
  if (stored != JCS_UNKNOWN) jpeg_set_colorspace(&info, stored);
  jpeg_set_quality(&info, 100, TRUE);
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&info, TRUE);
  const size_t row = static_cast<size_t>(width) * static_cast<size_t>(info.input_components);
  while (info.next_scanline < height) {
    JSAMPROW from = const_cast<uint8_t*>(pixels.data() + info.next_scanline * row);
    jpeg_write_scanlines(&info, &from, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string out(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return out;
}

/// Grey that grows by `step` a column.
std::string ramp(unsigned width, unsigned height, int step) {
  std::vector<uint8_t> pixels;
  for (unsigned y = 0; y < height; ++y) {
    for (unsigned x = 0; x < width; ++x) pixels.push_back(static_cast<uint8_t>(static_cast<int>(x) * step));
  }
  return png(pixels, width, height, PNG_FORMAT_GRAY);
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
  folder.write("train/a/1.jpg", jpeg(light_red, 8, 8, JCS_CMYK));
  folder.write("train/b/1.jpg", jpeg(dark_cyan, 8, 8, JCS_CMYK, JCS_YCCK));
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
             webp + ": neither a JPEG nor a PNG image"));
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
  for (size_t length : {size_t{7}, size_t{20}, good.size() - 14}) {
    const std::string cut = folder.write("train/cat/2.png", good.substr(0, length));
    CHECK(says(read(), cut + ": corrupt PNG image"));
  }
  fs::remove(folder.file("train/cat/2.png"));
  const std::string whole = jpeg(std::vector<uint8_t>(18, 7), 3, 2);
  for (size_t length : {size_t{2}, whole.size() / 2, whole.size() - 2}) {
    const std::string cut = folder.write("train/cat/2.jpeg", whole.substr(0, length));
    CHECK(says(read(), cut + ": corrupt or unsupported JPEG image"));
  }
  fs::remove(folder.file("train/cat/2.jpeg"));
  CHECK(says((folder.write("test/cow/1.png", good), read()), "test/cow: class without a folder of training images"));
  fs::remove_all(folder.file("test/cow"));
  const std::string text = folder.write("train/cat/notes.txt", "");
  CHECK(says(read(), text + ": neither a JPEG nor a PNG image"));
}

TEST_CASE("images: several sizes are resized to the network's, one size is kept unless the network is fixed") {
  const DataFolder folder;
  folder.write("train/a/1.png", ramp(12, 4, 10));  // the middle: columns 4 to 8
  folder.write("train/a/2.png", ramp(4, 12, 10));
  folder.write("test/a/1.png", ramp(12, 4, 10));
  const std::string spec = "images:" + folder.path.string();
  data::Splits s = data::load(spec, 0, 0, {.image_shape = {3, 2, 2}});
  CHECK(s.train.image_shape() == Shape{1, 2, 2});
  CHECK(s.train.pixels == std::vector<uint8_t>{45, 65, 45, 65, 7, 23, 7, 23});  // of 4 columns
  CHECK(s.test.pixels == std::vector<uint8_t>{45, 65, 45, 65});
  CHECK(s.notes == std::vector<std::string>{"3 images have another size: resized to 2×2 pixels, with the middle kept"});
  CHECK(s.augmentation == data::Augmentation{});  // too small
  s = data::load(spec, 0, 0, {.image_shape = {3, 4, 6}});
  CHECK(s.augmentation == data::Augmentation{.flip = true, .least_area = data::Augmentation::usual_area});
  CHECK(says(refusal([&] {
               data::load(spec, 0, 0, {.image_shape = {640, 1, 1}});
             }),
             "its images have several sizes: choose the one to resize them to, --image-size H or HxW"));

  fs::remove(folder.file("train/a/2.png"));
  s = data::load(spec, 0, 0, {.image_shape = {3, 2, 2}});
  CHECK(s.train.image_shape() == Shape{1, 4, 12});
  CHECK(s.notes.empty());
  CHECK(s.augmentation == data::Augmentation{.flip = true, .crop = data::Augmentation::usual_crop});
  CHECK(data::load(spec, 0, 0, {.image_shape = {1, 4, 8}, .fixed = true}).train.image_shape() == Shape{1, 4, 8});
  s = data::load(spec, 0, 0, {.image_shape = {3, 4, 12}, .fixed = true});
  CHECK(s.train.image_shape() == Shape{3, 4, 12});
  CHECK(s.train.pixels[3] == 10);
  CHECK(s.train.pixels[5] == 10);
  CHECK(s.notes ==
        std::vector<std::string>{"all images are grey, and read as the three channels that the network takes"});
  CHECK(data::load(spec, 0, 0, {.image_shape = {48, 1, 1}, .fixed = true}).train.image_shape() == Shape{1, 4, 12});
}

TEST_CASE("images: large JPEG images are reduced while decoding, to the same picture") {
  const DataFolder folder;
  constexpr unsigned width = 203, height = 150;
  std::vector<uint8_t> pixels;
  for (unsigned y = 0; y < height; ++y) {
    for (unsigned x = 0; x < width; ++x)
      pixels.insert(pixels.end(),
                    {static_cast<uint8_t>(x), static_cast<uint8_t>(y), static_cast<uint8_t>((x + y) / 2)});
  }
  for (const char* part : {"train", "test"}) {
    folder.write(fmt::format("{}/a/1.jpg", part), jpeg(pixels, width, height));
    folder.write(fmt::format("{}/a/2.png", part), png(pixels, width, height, PNG_FORMAT_RGB));
  }
  for (const int64_t size : {5, 16, 37, 70}) {
    const data::Splits s =
        data::load("images:" + folder.path.string(), 0, 0, {.image_shape = {3, size, size}, .fixed = true});
    const auto half = static_cast<ptrdiff_t>(s.train.image_values());
    int worst = 0;
    for (ptrdiff_t i = 0; i < half; ++i)
      worst = std::max(
          worst, std::abs(s.train.pixels[static_cast<size_t>(i)] - s.train.pixels[static_cast<size_t>(i + half)]));
    CHECK(worst <= 5);
    CHECK(s.train.pixels[static_cast<size_t>(half)] > 26);  // the crop starts at column 26.5
  }
}

TEST_CASE("images: files that can't be read are listed together, or left out with a note") {
  const DataFolder folder;
  const std::string good = ramp(3, 2, 1), spec = "images:" + folder.path.string();
  for (const char* name : {"train/a/5.png", "train/b/7.png", "test/a/1.png"}) folder.write(name, good);
  for (int i = 10; i < 21; ++i) folder.write(fmt::format("train/a/{}.png", i), good.substr(0, 40));
  folder.write("train/a/2.txt", "text");
  fs::create_directory(folder.path / "test/a/folder");
  std::string said = refusal([&] { data::load(spec, 0, 0); });
  CHECK(said.starts_with(folder.path.string() + ": 13 of 16 files can't be read: " + folder.file("train/a/10.png") +
                         ": corrupt PNG image: it ends too early; "));
  CHECK(says(said,
             "19.png: corrupt PNG image: it ends too early; and 3 more; to go on without them: "
             "--skip-unreadable"));
  CHECK(said.find("20.png") == std::string::npos);
  CHECK(said.find('\n') == std::string::npos);

  const data::Splits s = data::load(spec, 0, 0, {.skip_unreadable = true});
  CHECK(s.train.labels == std::vector<int32_t>{0, 1});
  CHECK(s.train.pixels == std::vector<uint8_t>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2});
  CHECK(s.test.size() == 1);
  REQUIRE(s.notes.size() == 2);
  CHECK(says(s.notes[0], "13 of 16 files can't be read: "));
  CHECK(says(s.notes[0], "and 3 more; they are left out"));
  CHECK(s.notes[1] == "1 of 2 classes has no test images: b");

  fs::remove(folder.file("test/a/1.png"));
  CHECK(
      says(refusal([&] { data::load(spec, 0, 0, {.skip_unreadable = true}); }), "none of the test images can be read"));
}

TEST_CASE("images: stray bytes before a marker or after the end are ignored and counted; damage is not ignored") {
  const DataFolder folder;
  std::vector<uint8_t> pixels;
  for (int i = 0; i < 16 * 16 * 3; ++i) pixels.push_back(static_cast<uint8_t>(i * 37 % 251));
  const std::string whole = jpeg(pixels, 16, 16), picture = png(pixels, 16, 16, PNG_FORMAT_RGB);
  const size_t tables = whole.find("\xff\xdb");
  REQUIRE(tables != std::string::npos);
  std::string between = whole;
  between.insert(tables, std::string(17, 'x'));
  folder.write("train/a/1.jpg", between);
  folder.write("train/a/2.jpg", whole);
  folder.write("train/a/3.jpg", whole + "rest");
  folder.write("train/a/4.png", picture + std::string(5, '\0'));
  folder.write("test/a/1.png", picture);
  const std::string spec = "images:" + folder.path.string();
  const data::Splits s = data::load(spec, 0, 0);
  const auto image = [&](int64_t i) {
    const auto from = s.train.pixels.begin() + i * s.train.image_values();
    return std::vector<uint8_t>(from, from + s.train.image_values());
  };
  CHECK(image(0) == image(1));
  CHECK(image(2) == image(1));
  CHECK(image(3) == pixels);
  CHECK(s.notes ==
        std::vector<std::string>{
            "3 images have stray bytes between their parts or after their end, 26 in all, which are ignored"});
  std::string damaged = whole;  // a marker within the coded values
  damaged.replace(damaged.size() - 40, 2, "\xff\xd3");
  folder.write("train/a/1.jpg", damaged);
  CHECK(says(refusal([&] { data::load(spec, 0, 0); }), "1.jpg: corrupt or unsupported JPEG image"));
}

TEST_CASE("images: the reader tells how far it is") {
  const DataFolder folder;
  for (const char* name : {"train/a/1.png", "train/a/2.png", "train/b/1.png", "test/a/1.png"})
    folder.write(name, ramp(3, 2, 1));
  std::vector<int64_t> told;
  data::load("images:" + folder.path.string(), 0, 0, {.progress = [&](int64_t done, int64_t images) {
               CHECK(images == 4);
               told.push_back(done);
             }});
  CHECK(told == std::vector<int64_t>{1, 2, 3, 4});
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

  const data::Dataset all = data::images_only(flat).test;
  CHECK(all.size() == 10);
  CHECK(all.image_shape() == Shape{1, 2, 3});
  CHECK(all.files[3] == "3.png");
  CHECK(data::images_only(folder.file("flat/7.png")).test.pixels == std::vector<uint8_t>(6, 7));

  fs::create_directory(folder.path / "divided");
  for (const char* part : {"train", "test"})
    fs::copy(flat, folder.path / "divided" / part, fs::copy_options::recursive);
  const data::Splits divided = data::load("images:" + folder.file("divided"), 0, 0);
  CHECK(divided.train.size() == 10);
  CHECK(divided.train.known() == data::Known::nothing);
  CHECK(divided.test.files[0] == "test/0.png");
  CHECK(data::images_only(folder.file("divided")).test.size() == 20);

  folder.write("divided/train/cat/1.png", grey(1));
  CHECK(says(refusal([&] { data::load("images:" + folder.file("divided"), 0, 0); }), "expected one folder per class"));
}

TEST_CASE("images: those of a folder without classes are resized, counted and left out like those of classes") {
  const DataFolder folder;
  for (unsigned i = 0; i < 10; ++i) folder.write(fmt::format("flat/{}.jpeg", i), ramp(4 + i, 4, 10));
  folder.write("flat/4.txt", "text");
  const std::string flat = folder.file("flat");
  int64_t told = 0;
  const data::ReadOptions options = {
      .image_shape = {3, 2, 2}, .fixed = true, .skip_unreadable = true, .progress = [&](int64_t done, int64_t) {
        told = done;
      }};
  const std::string fault = "1 of 11 files can't be read: " + flat + "/4.txt: neither a JPEG nor a PNG image";
  CHECK(says(refusal([&] { data::images_only(flat, {.image_shape = {3, 2, 2}}); }), fault));
  for (const bool alone : {false, true}) {
    const data::Splits s = alone ? data::images_only(flat, options) : data::load("images:" + flat, 0, 0, options);
    CHECK(told == 11);
    CHECK(s.train.size() + s.test.size() == 10);
    CHECK(s.test.image_shape() == Shape{3, 2, 2});
    CHECK(s.test.known() == data::Known::nothing);
    CHECK(s.test.files == (alone ? std::vector<std::string>{"0.jpeg", "1.jpeg", "2.jpeg", "3.jpeg", "4.jpeg", "5.jpeg",
                                                            "6.jpeg", "7.jpeg", "8.jpeg", "9.jpeg"}
                                 : std::vector<std::string>{"4.jpeg", "8.jpeg"}));
    REQUIRE(s.notes.size() == (alone ? 3 : 4));
    CHECK(s.notes[alone ? 0 : 1] == fault + "; they are left out");
    CHECK(s.notes.back() == "10 images have another size: resized to 2×2 pixels, with the middle kept");
  }
  for (unsigned i = 0; i < 10; ++i) folder.write(fmt::format("flat/{}.jpeg", i), "text");
  CHECK(says(refusal([&] { data::images_only(flat, options); }), flat + ": none of the images can be read"));
}
