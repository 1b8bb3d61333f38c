// SPDX-License-Identifier: Apache-2.0
// Folders of JPEG and PNG files, one folder per class or without classes.
#include "classes.h"
#include "image.h"
#include "images_only.h"

#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <kernels/parallel.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

std::string extension(const fs::path& file) {
  std::string out = file.extension().string();
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// Chooses the decoder by the first bytes, because extensions are often wrong, and only then by the extension.
Image read_image(const fs::path& file) {
  const std::string content = io::read_file(file);
  const bool jpeg = content.starts_with("\xff\xd8"), png = content.starts_with("\x89PNG");
  return png || (!jpeg && extension(file) == ".png") ? decode_png(file, content) : decode_jpeg(file, content);
}

/// The entries of a folder except hidden ones, sorted by name.
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

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool is_image(const fs::path& file) {
  const std::string kind = extension(file);
  return !is_folder(file) && (kind == ".png" || kind == ".jpg" || kind == ".jpeg");
}

/// The names of the folders in `dir`; none if there are images instead.
std::vector<std::string> class_names(const fs::path& dir) {
  const std::vector<fs::path> all = listed(dir);
  std::vector<std::string> names;
  if (std::ranges::none_of(all, is_folder) && std::ranges::any_of(all, is_image)) return names;
  for (const fs::path& path : all) {
    if (!is_folder(path)) bad_input("{}: not a folder: expected one folder per class", path.string());
    names.push_back(path.filename().string());
  }
  if (names.empty()) bad_input("{}: no folders: expected one per class", dir.string());
  return names;
}

void add_images(const fs::path& dir, int32_t label, std::vector<Labelled>& out) {
  for (const fs::path& file : listed(dir)) {
    if (!is_image(file)) bad_input("{}: expected .jpg, .jpeg or .png files", file.string());
    out.push_back({file, label});
  }
}

/// Without classes, the images are in `dir` itself, and their labels mean nothing.
std::vector<Labelled> images_of(const fs::path& dir, const std::vector<std::string>& classes) {
  std::vector<Labelled> out;
  if (classes.empty()) {
    add_images(dir, 0, out);
  } else {
    for (const fs::path& folder : listed(dir)) {
      const auto name = std::ranges::find(classes, folder.filename().string());
      if (name == classes.end()) bad_input("{}: class without a folder of training images", folder.string());
      add_images(folder, static_cast<int32_t>(name - classes.begin()), out);
    }
  }
  if (out.empty()) bad_input("{}: no images", dir.string());
  return out;
}

/// Copies an image into a data set of 3 channels.
void put(const Image& image, Dataset& set, int64_t index) {
  uint8_t* to = set.pixels.data() + index * set.image_values();
  if (image.channels == 3) {
    std::ranges::copy(image.pixels, to);
  } else {
    for (uint8_t v : image.pixels) to = std::fill_n(to, 3, v);
  }
}

/// What decoding one file found.
struct Seen {
  std::string fault = {};
  bool colour = false, transparent = false, deep = false, cmyk = false;
};

struct Read {
  Dataset set;  // of 3 channels
  std::vector<Seen> seen;
};

/// Decodes on all threads, directly into the data set; of several errors, reports that of the first file.
Read read_set(const fs::path& dir, const std::vector<Labelled>& files, const std::vector<std::string>& classes) {
  const Image first = read_image(files[0].file);
  Read read{.set = {"images", 3, first.height, first.width, {}, {}, classes}, .seen = std::vector<Seen>(files.size())};
  read.set.pixels.resize(files.size() * static_cast<size_t>(read.set.image_values()));
  for (const Labelled& f : files) {
    if (!classes.empty()) read.set.labels.push_back(f.label);
    read.set.files.push_back(f.file.lexically_relative(dir).string());
  }
  kernels::parallel_chunks(std::ssize(files), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const fs::path& file = files[static_cast<size_t>(i)].file;
      Seen& seen = read.seen[static_cast<size_t>(i)];
      try {
        const Image image = read_image(file);
        if (image.height != first.height || image.width != first.width) {
          bad_input("{}: {}×{} pixels, but {} has {}×{}: all images must have one size", file.string(), image.width,
                    image.height, files[0].file.string(), first.width, first.height);
        }
        seen = {
            .colour = image.channels == 3, .transparent = image.transparent, .deep = image.deep, .cmyk = image.cmyk};
        put(image, read.set, i);
      } catch (const Error& e) {
        seen.fault = e.what();
      }
    }
  });
  for (const Seen& seen : read.seen) {
    if (!seen.fault.empty()) bad_input("{}", seen.fault);
  }
  return read;
}

/// The number of images with this property.
int64_t count(const std::vector<Seen>& seen, bool Seen::*so) { return std::ranges::count(seen, true, so); }

/// Notes on values that were changed in reading.
std::vector<std::string> changes(const std::vector<Seen>& seen) {
  std::vector<std::string> notes;
  const auto note = [&](bool Seen::*so, const char* what) {
    const int64_t n = count(seen, so);
    if (n > 0) notes.push_back(fmt::format("{} {} {}", n, n == 1 ? "image has" : "images have", what));
  };
  note(&Seen::transparent, "transparency, which is ignored");
  note(&Seen::deep, "16 bits per channel, which are rounded to 8");
  note(&Seen::cmyk, "CMYK colours, which are converted to RGB without a colour profile");
  return notes;
}

/// Keeps the first of three equal channels.
void make_grey(Dataset& set) {
  for (size_t i = 0; 3 * i < set.pixels.size(); ++i) set.pixels[i] = set.pixels[3 * i];
  set.pixels.resize(set.pixels.size() / 3);
  set.channels = 1;
}

/// The data set of two lists of images, those of the folder `dir`.
Splits splits_of(const fs::path& dir, const std::vector<Labelled>& train_files, const std::vector<Labelled>& test_files,
                 const std::vector<std::string>& classes, uint64_t seed, double validation_share,
                 std::vector<std::string> notes) {
  Read test = read_set(dir, test_files, classes), train = read_set(dir, train_files, classes);
  if (test.set.image_shape() != train.set.image_shape()) {
    bad_input("{}: training images are {}, test images {}", dir.string(), train.set.image_shape().str(),
              test.set.image_shape().str());
  }
  std::vector<Seen> seen = std::move(train.seen);
  seen.insert(seen.end(), test.seen.begin(), test.seen.end());
  if (count(seen, &Seen::colour) == 0) {
    make_grey(train.set);
    make_grey(test.set);
  }
  std::ranges::move(changes(seen), std::back_inserter(notes));
  if (!classes.empty()) std::ranges::move(notes_on_empty_classes(train.set, test.set), std::back_inserter(notes));
  return hold_out(std::move(train.set), std::move(test.set), seed, validation_share, std::move(notes));
}

/// The images of a folder that is not divided into training and test images.
Splits undivided(const fs::path& dir, uint64_t seed, double validation_share) {
  constexpr size_t one_in = 5;
  const std::vector<Labelled> files = images_of(dir, {});
  if (files.size() < one_in) bad_input("{}: {} images: expected at least {}", dir.string(), files.size(), one_in);
  std::vector<Labelled> train, test;
  for (size_t i = 0; i < files.size(); ++i) (i % one_in == one_in - 1 ? test : train).push_back(files[i]);
  return splits_of(dir, train, test, {}, seed, validation_share,
                   {fmt::format("no folders train and test: every fifth image is for testing, {} of {}", test.size(),
                                files.size())});
}

/// The images in `dir` and the folders in it, by name.
void add_all(const fs::path& dir, std::vector<Labelled>& out) {
  for (const fs::path& path : listed(dir)) {
    if (is_folder(path))
      add_all(path, out);
    else if (is_image(path))
      out.push_back({path, 0});
    else
      bad_input("{}: expected .jpg, .jpeg or .png files", path.string());
  }
}

}  // namespace

Dataset files_of_images(const std::string& path) {
  std::vector<Labelled> files;
  const fs::path folder = is_folder(path) ? fs::path(path) : fs::path(path).parent_path();
  if (is_folder(path))
    add_all(path, files);
  else
    files.push_back({path, 0});
  if (files.empty()) bad_input("{}: no images", path);
  Read read = read_set(folder, files, {});
  if (count(read.seen, &Seen::colour) == 0) make_grey(read.set);
  return std::move(read.set);
}

Splits image_folder(const std::string& dir, uint64_t seed, double validation_share) {
  const fs::path root(dir);
  const std::vector<fs::path> all = listed(root);
  if (std::ranges::none_of(all, is_folder) && std::ranges::any_of(all, is_image))
    return undivided(root, seed, validation_share);
  const std::vector<std::string> classes = class_names(root / "train");
  return splits_of(root, images_of(root / "train", classes), images_of(root / "test", classes), classes, seed,
                   validation_share, {});
}

}  // namespace mixgrad::data
