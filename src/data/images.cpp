// SPDX-License-Identifier: Apache-2.0
// Folders of JPEG and PNG files, a folder a class.
#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <kernels/parallel.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <filesystem>
#include <memory>

#include <png.h>
#include <turbojpeg.h>

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

struct Image {
  int64_t channels = 0, height = 0, width = 0;
  std::vector<uint8_t> pixels;
};

/// What a file says of its size must be possible before memory is asked for it.
void check_pixels(const std::string& file, const char* format, int64_t width, int64_t height, size_t bytes, int64_t most_per_byte) {
  if (width * height > static_cast<int64_t>(bytes) * most_per_byte) bad_input("{}: not a whole {} image: {}×{} pixels in {} bytes", file, format, width, height, bytes);
}

/// Throws bad_input with the reason that the decoder gives.
Image decode_jpeg(const std::string& file, const std::string& content) {
  const std::unique_ptr<void, decltype(&tjDestroy)> decoder(tjInitDecompress(), &tjDestroy);
  const auto* bytes = reinterpret_cast<const unsigned char*>(content.data());
  int width = 0, height = 0, subsampling = 0, colours = 0;
  const auto check = [&](int result) {
    if (result != 0) bad_input("{}: not a whole JPEG image: {}", file, tjGetErrorStr2(decoder.get()));
  };
  check(tjDecompressHeader3(decoder.get(), bytes, content.size(), &width, &height, &subsampling, &colours));
  check_pixels(file, "JPEG", width, height, content.size(), 64 * 8);  // a block of 8×8 pixels takes a bit at least
  const bool grey = colours == TJCS_GRAY;
  Image image{.channels = grey ? 1 : 3, .height = height, .width = width, .pixels = {}};
  image.pixels.resize(static_cast<size_t>(image.channels * height * width));
  check(tjDecompress2(decoder.get(), bytes, content.size(), image.pixels.data(), width, 0, height, grey ? TJPF_GRAY : TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS));
  return image;
}

/// Transparency is laid over black.
Image decode_png(const std::string& file, const std::string& content) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, decltype(&png_image_free)> owner(&png, &png_image_free);
  const auto check = [&](int good) {
    if (good == 0 || png.warning_or_error != 0) bad_input("{}: not a whole PNG image: {}", file, png.message);
  };
  check(png_image_begin_read_from_memory(&png, content.data(), content.size()));
  check_pixels(file, "PNG", png.width, png.height, content.size(), 8 * 1032);  // pixels of a bit, and zlib's highest ratio
  const bool grey = (png.format & PNG_FORMAT_FLAG_COLOR) == 0;
  png.format = grey ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  Image image{.channels = grey ? 1 : 3, .height = png.height, .width = png.width, .pixels = {}};
  image.pixels.resize(PNG_IMAGE_SIZE(png));
  const png_color black{};
  check(png_image_finish_read(&png, &black, image.pixels.data(), 0, nullptr));
  return image;
}

std::string extension(const fs::path& file) {
  std::string out = file.extension().string();
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

Image read_image(const fs::path& file) {
  const std::string content = io::read_file(file);
  return extension(file) == ".png" ? decode_png(file, content) : decode_jpeg(file, content);
}

/// What a folder holds, hidden files aside, in the order of the names.
std::vector<fs::path> listed(const fs::path& dir) {
  std::error_code error;
  std::vector<fs::path> out;
  for (fs::directory_iterator i(dir, error), end; !error && i != end; i.increment(error)) {
    if (!i->path().filename().string().starts_with('.')) out.push_back(i->path());
  }
  if (error) bad_input("{}: {}", dir.string(), error.message());
  std::ranges::sort(out);
  return out;
}

struct Labelled {
  fs::path file;
  int32_t label;
};

std::vector<std::string> class_names(const fs::path& dir) {
  std::vector<std::string> names;
  for (const fs::path& path : listed(dir)) {
    std::error_code error;
    if (!fs::is_directory(path, error)) bad_input("{}: expected only folders here, one a class", path.string());
    names.push_back(path.filename().string());
  }
  if (names.empty()) bad_input("{}: expected folders here, one a class", dir.string());
  return names;
}

std::vector<Labelled> images_of(const fs::path& dir, const std::vector<std::string>& classes) {
  std::vector<Labelled> out;
  for (const fs::path& folder : listed(dir)) {
    const auto name = std::ranges::find(classes, folder.filename().string());
    if (name == classes.end()) bad_input("{}: no such class among the training images", folder.string());
    for (const fs::path& file : listed(folder)) {
      const std::string kind = extension(file);
      if (kind != ".png" && kind != ".jpg" && kind != ".jpeg") bad_input("{}: expected .jpg, .jpeg or .png files", file.string());
      out.push_back({file, static_cast<int32_t>(name - classes.begin())});
    }
  }
  if (out.empty()) bad_input("{}: no images", dir.string());
  return out;
}

/// Copies an image to its place in a set of 3 channels.
void put(const Image& image, Dataset& set, int64_t index) {
  uint8_t* to = set.pixels.data() + index * set.image_values();
  if (image.channels == 3) {
    std::ranges::copy(image.pixels, to);
  } else {
    for (uint8_t v : image.pixels) to = std::fill_n(to, 3, v);
  }
}

struct Read {
  Dataset set;       // of 3 channels
  bool grey = true;  // all images
};

/// Decodes on all threads, straight into the set; of several faults the first file's is told.
Read read_set(const fs::path& dir, const std::vector<std::string>& classes) {
  const std::vector<Labelled> files = images_of(dir, classes);
  const Image first = read_image(files[0].file);
  Read read{.set = {"images", 3, first.height, first.width, {}, {}, classes}};
  read.set.pixels.resize(files.size() * static_cast<size_t>(read.set.image_values()));
  for (const Labelled& f : files) read.set.labels.push_back(f.label);
  std::vector<std::string> faults(files.size());
  std::atomic<bool> grey = true;
  kernels::parallel_chunks(std::ssize(files), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const fs::path& file = files[static_cast<size_t>(i)].file;
      try {
        const Image image = read_image(file);
        if (image.height != first.height || image.width != first.width) {
          bad_input("{}: {}×{} pixels, but {} has {}×{}: all images must have one size", file.string(), image.width, image.height,
                    files[0].file.string(), first.width, first.height);
        }
        if (image.channels == 3) grey = false;
        put(image, read.set, i);
      } catch (const Error& e) {
        faults[static_cast<size_t>(i)] = e.what();
      }
    }
  });
  for (const std::string& fault : faults) {
    if (!fault.empty()) bad_input("{}", fault);
  }
  read.grey = grey;
  return read;
}

/// The first of three equal channels.
void make_grey(Dataset& set) {
  for (size_t i = 0; 3 * i < set.pixels.size(); ++i) set.pixels[i] = set.pixels[3 * i];
  set.pixels.resize(set.pixels.size() / 3);
  set.channels = 1;
}

}  // namespace

Splits image_folder(const std::string& dir, uint64_t seed, double validation_share) {
  const fs::path root(dir);
  const std::vector<std::string> classes = class_names(root / "train");
  Read test = read_set(root / "test", classes), train = read_set(root / "train", classes);
  if (test.set.image_shape() != train.set.image_shape()) {
    bad_input("{}: training images are {}, test images {}", dir, train.set.image_shape().str(), test.set.image_shape().str());
  }
  if (train.grey && test.grey) {
    make_grey(train.set);
    make_grey(test.set);
  }
  return hold_out(std::move(train.set), std::move(test.set), seed, validation_share);
}

}  // namespace mixgrad::data
