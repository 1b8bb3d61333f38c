// SPDX-License-Identifier: Apache-2.0
// Folders of JPEG and PNG files, one folder per class.
#include "classes.h"
#include "image.h"

#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <kernels/parallel.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

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

/// A file, and what decoding it found.
struct File {
  fs::path path;
  int32_t label;
  std::string fault = {};  // why it can't be read
  bool colour = false, transparent = false, deep = false, cmyk = false, resized = false;
  int64_t stray = 0;  // bytes
};

/// The training or test images.
struct Part {
  std::vector<File> files;
  Dataset set = {};  // of 3 channels
};

std::vector<std::string> class_names(const fs::path& dir) {
  std::vector<std::string> names;
  for (const fs::path& path : listed(dir)) {
    std::error_code error;
    if (!fs::is_directory(path, error)) bad_input("{}: not a folder: expected one folder per class", path.string());
    names.push_back(path.filename().string());
  }
  if (names.empty()) bad_input("{}: no folders: expected one per class", dir.string());
  return names;
}

std::vector<File> files_of(const fs::path& dir, const std::vector<std::string>& classes) {
  std::vector<File> out;
  for (const fs::path& folder : listed(dir)) {
    const auto name = std::ranges::find(classes, folder.filename().string());
    if (name == classes.end()) bad_input("{}: class without a folder of training images", folder.string());
    for (fs::path& file : listed(folder))
      out.push_back({.path = std::move(file), .label = static_cast<int32_t>(name - classes.begin())});
  }
  if (out.empty()) bad_input("{}: no images", dir.string());
  return out;
}

/// Calls use(file, content, i) for every file without a fault, on all threads. Errors become the files' faults.
template <typename Use>
void each(std::vector<File>& files, const Use& use) {
  kernels::parallel_tasks(std::ssize(files), [&](int64_t i) {
    File& file = files[static_cast<size_t>(i)];
    if (!file.fault.empty()) return;
    try {
      const io::Mapped mapped(file.path);
      use(file, mapped.content(), i);
    } catch (const Error& e) {
      file.fault = e.what();
    }
  });
}

/// The size of the images if they all have one; {} if no file can be read.
std::optional<Size> common_size(Part& train, Part& test) {
  std::optional<Size> common;
  std::mutex mutex;
  std::atomic<bool> several = false;
  for (Part* part : {&train, &test}) {
    each(part->files, [&](const File& file, std::string_view content, int64_t) {
      if (several) return;
      const Size size = decode_size(file.path, content);
      const std::scoped_lock lock(mutex);
      several = several || common.value_or(size) != size;
      common = size;
    });
  }
  return several ? std::nullopt : std::optional(common.value_or(Size{}));
}

/// The size to which all images are brought: that of the network, or else their own.
Size size_for(const std::string& dir, Part& train, Part& test, const ReadOptions& options) {
  const Size wanted = {options.image_shape[1], options.image_shape[2]};
  const bool picture = wanted.height * wanted.width > 1;
  if (options.fixed && picture) return wanted;
  const std::optional<Size> common = common_size(train, test);
  if (!common && !picture)
    bad_input("{}: its images have several sizes: choose the one to resize them to, --image-size H or HxW", dir);
  return common.value_or(wanted);
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

/// Counts the images read.
class Progress {
 public:
  Progress(const std::function<void(int64_t done, int64_t images)>& tell, const Part& train, const Part& test)
      : tell_(tell), images_(std::ssize(train.files) + std::ssize(test.files)) {}
  void one_more() const {
    const std::scoped_lock lock(mutex_);
    if (tell_) tell_(++done_, images_);
  }

 private:
  const std::function<void(int64_t done, int64_t images)>& tell_;
  int64_t images_;
  mutable std::mutex mutex_;
  mutable int64_t done_ = 0;
};

/// Decodes a part's images into its data set.
void decode(Part& part, const std::vector<std::string>& classes, Size size, const Progress& progress) {
  part.set = {"images", 3, size.height, size.width, {}, {}, classes};
  part.set.pixels.resize(part.files.size() * static_cast<size_t>(part.set.image_values()));
  each(part.files, [&](File& file, std::string_view content, int64_t i) {
    progress.one_more();
    const Size is = decode_size(file.path, content);
    const Image image = decode_image(file.path, content, is == size ? Size{} : size);
    file.colour = image.channels == 3;
    file.transparent = image.transparent;
    file.deep = image.deep;
    file.cmyk = image.cmyk;
    file.stray = image.stray;
    file.resized = is != size;
    put(fitted(image, size), part.set, i);
  });
}

/// "3 of 10 files can't be read: …", naming the first ones; "" if all can.
std::string unreadable(const Part& train, const Part& test) {
  constexpr size_t most_named = 10;
  std::vector<std::string> faults;
  for (const Part* part : {&train, &test}) {
    for (const File& file : part->files) {
      if (!file.fault.empty()) faults.push_back(file.fault);
    }
  }
  if (faults.empty()) return "";
  const std::span<const std::string> named(faults.data(), std::min(faults.size(), most_named));
  std::string out = fmt::format("{} of {} files can't be read: {}", faults.size(),
                                train.files.size() + test.files.size(), fmt::join(named, "; "));
  if (named.size() < faults.size()) out += fmt::format("; and {} more", faults.size() - named.size());
  return out;
}

/// Removes the files that can't be read, and the places that the data set has for them; labels the others.
void keep_readable(const std::string& dir, Part& part) {
  const int64_t values = part.set.image_values();
  auto from = part.set.pixels.begin(), to = from;
  for (const File& file : part.files) {
    if (file.fault.empty()) to = from == to ? to + values : std::copy_n(from, values, to);
    from += values;
  }
  part.set.pixels.erase(to, part.set.pixels.end());
  std::erase_if(part.files, [](const File& file) { return !file.fault.empty(); });
  if (part.files.empty()) bad_input("{}: none of the training or none of the test images can be read", dir);
  for (const File& file : part.files) part.set.labels.push_back(file.label);
}

/// The number of images of both parts for which `so` holds.
template <typename So>
int64_t count(const Part& train, const Part& test, So so) {
  return std::ranges::count_if(train.files, so) + std::ranges::count_if(test.files, so);
}

/// Notes on values that were changed in reading.
std::vector<std::string> changes(const Part& train, const Part& test) {
  std::vector<std::string> notes;
  const auto note = [&](const auto& so, const std::string& what) {
    const int64_t n = count(train, test, so);
    if (n > 0) notes.push_back(fmt::format("{} {} {}", n, n == 1 ? "image has" : "images have", what));
  };
  note(std::mem_fn(&File::resized),
       fmt::format("another size: resized to {}×{} pixels, with the middle kept", train.set.width, train.set.height));
  note(std::mem_fn(&File::transparent), "transparency, which is ignored");
  note(std::mem_fn(&File::deep), "16 bits per channel, which are rounded to 8");
  note(std::mem_fn(&File::cmyk), "CMYK colours, which are converted to RGB without a colour profile");
  int64_t stray = 0;
  for (const Part* part : {&train, &test}) {
    for (const File& file : part->files) stray += file.stray;
  }
  note([](const File& file) { return file.stray > 0; },
       fmt::format("stray bytes between their parts or after their end, {} in all, which are ignored", stray));
  return notes;
}

/// Keeps the first of three equal channels.
void make_grey(Dataset& set) {
  for (size_t i = 0; 3 * i < set.pixels.size(); ++i) set.pixels[i] = set.pixels[3 * i];
  set.pixels.resize(set.pixels.size() / 3);
  set.channels = 1;
}

}  // namespace

Splits image_folder(const std::string& dir, uint64_t seed, double validation_share, const ReadOptions& options) {
  const fs::path root(dir);
  const std::vector<std::string> classes = class_names(root / "train");
  Part test{.files = files_of(root / "test", classes)}, train{.files = files_of(root / "train", classes)};
  const Size size = size_for(dir, train, test, options);
  const Progress progress(options.progress, train, test);
  for (Part* part : {&train, &test}) decode(*part, classes, size, progress);
  std::vector<std::string> notes;
  if (const std::string faults = unreadable(train, test); !faults.empty()) {
    if (!options.skip_unreadable) bad_input("{}: {}; to go on without them: --skip-unreadable", dir, faults);
    notes.push_back(faults + "; the run goes on without them");
  }
  for (Part* part : {&train, &test}) keep_readable(dir, *part);
  if (count(train, test, std::mem_fn(&File::colour)) == 0) {
    if (options.fixed && options.image_shape[0] == 3) {
      notes.emplace_back("all images are grey, and read as the three channels that the network takes");
    } else {
      make_grey(train.set);
      make_grey(test.set);
    }
  }
  std::ranges::move(changes(train, test), std::back_inserter(notes));
  std::ranges::move(notes_on_empty_classes(train.set, test.set), std::back_inserter(notes));
  const bool resized = count(train, test, std::mem_fn(&File::resized)) > 0;
  Splits splits = hold_out(std::move(train.set), std::move(test.set), seed, validation_share, std::move(notes));
  splits.augmentation = resized ? Augmentation{.flip = true, .least_area = Augmentation::usual_area}
                                : Augmentation{.flip = true, .crop = Augmentation::usual_crop};
  return splits;
}

}  // namespace mixgrad::data
