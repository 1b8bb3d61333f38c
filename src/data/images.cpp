// SPDX-License-Identifier: Apache-2.0
// Folders of JPEG and PNG files, one folder per class or without classes.
#include "classes.h"
#include "image.h"
#include "images_only.h"

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
  int32_t label = 0;       // means nothing without classes
  std::string fault = {};  // why it can't be read
  bool colour = false, transparent = false, deep = false, cmyk = false, resized = false;
  int64_t stray = 0;  // bytes
};

/// Images that are read together, such as those for training.
struct Part {
  const char* what;  // in messages
  std::vector<File> files;
  Dataset set = {};  // of 3 channels
};
using Parts = std::span<Part>;

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool holds_only_files(const std::vector<fs::path>& entries) {
  return !entries.empty() && std::ranges::none_of(entries, is_folder);
}

/// The names of the folders in `dir`; none if there are only files.
std::vector<std::string> class_names(const fs::path& dir) {
  const std::vector<fs::path> entries = listed(dir);
  std::vector<std::string> names;
  if (holds_only_files(entries)) return names;
  for (const fs::path& path : entries) {
    if (!is_folder(path)) bad_input("{}: not a folder: expected one folder per class", path.string());
    names.push_back(path.filename().string());
  }
  if (names.empty()) bad_input("{}: no folders: expected one per class", dir.string());
  return names;
}

void add_files(const fs::path& dir, int32_t label, std::vector<File>& out) {
  for (fs::path& file : listed(dir)) out.push_back({.path = std::move(file), .label = label});
}

/// The files in the folders of the classes; without classes, those in `dir` itself.
std::vector<File> files_of(const fs::path& dir, const std::vector<std::string>& classes) {
  std::vector<File> out;
  if (classes.empty()) {
    add_files(dir, 0, out);
  } else {
    for (const fs::path& folder : listed(dir)) {
      const auto name = std::ranges::find(classes, folder.filename().string());
      if (name == classes.end()) bad_input("{}: class without a folder of training images", folder.string());
      add_files(folder, static_cast<int32_t>(name - classes.begin()), out);
    }
  }
  if (out.empty()) bad_input("{}: no images", dir.string());
  return out;
}

/// The files in `dir` and the folders in it, by name.
void add_all(const fs::path& dir, std::vector<File>& out) {
  for (fs::path& path : listed(dir)) {
    if (is_folder(path))
      add_all(path, out);
    else
      out.push_back({.path = std::move(path)});
  }
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
std::optional<Size> common_size(Parts parts) {
  std::optional<Size> common;
  std::mutex mutex;
  std::atomic<bool> several = false;
  for (Part& part : parts) {
    each(part.files, [&](const File& file, std::string_view content, int64_t) {
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
Size size_for(const fs::path& dir, Parts parts, const ReadOptions& options) {
  const Size wanted = {options.image_shape[1], options.image_shape[2]};
  const bool picture = wanted.height * wanted.width > 1;
  if (options.fixed && picture) return wanted;
  const std::optional<Size> common = common_size(parts);
  if (!common && !picture)
    bad_input("{}: its images have several sizes: choose the one to resize them to, --image-size H or HxW",
              dir.string());
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
  Progress(const std::function<void(int64_t done, int64_t images)>& tell, int64_t images)
      : tell_(tell), images_(images) {}
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

/// The number of files for which `so` holds.
template <typename So>
int64_t count(Parts parts, So so) {
  int64_t n = 0;
  for (const Part& part : parts) n += std::ranges::count_if(part.files, so);
  return n;
}

int64_t count(Parts parts) {
  return count(parts, [](const File&) { return true; });
}

/// Decodes a part's images into its data set.
void decode(Part& part, Size size, const Progress& progress) {
  part.set.name = "images";
  part.set.channels = 3;
  part.set.height = size.height;
  part.set.width = size.width;
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
std::string unreadable(Parts parts) {
  constexpr size_t most_named = 10;
  std::vector<std::string> faults;
  for (const Part& part : parts) {
    for (const File& file : part.files) {
      if (!file.fault.empty()) faults.push_back(file.fault);
    }
  }
  if (faults.empty()) return "";
  const std::span<const std::string> named(faults.data(), std::min(faults.size(), most_named));
  std::string out =
      fmt::format("{} of {} files can't be read: {}", faults.size(), count(parts), fmt::join(named, "; "));
  if (named.size() < faults.size()) out += fmt::format("; and {} more", faults.size() - named.size());
  return out;
}

/// Removes the files that can't be read, and the places that the data set has for them; names and labels the others.
void keep_readable(const fs::path& dir, Part& part) {
  const int64_t values = part.set.image_values();
  auto from = part.set.pixels.begin(), to = from;
  for (const File& file : part.files) {
    if (file.fault.empty()) to = from == to ? to + values : std::copy_n(from, values, to);
    from += values;
  }
  part.set.pixels.erase(to, part.set.pixels.end());
  std::erase_if(part.files, [](const File& file) { return !file.fault.empty(); });
  if (part.files.empty()) bad_input("{}: none of the {} can be read", dir.string(), part.what);
  for (const File& file : part.files) {
    if (part.set.classes() > 0) part.set.labels.push_back(file.label);
    part.set.files.push_back(file.path.lexically_relative(dir).string());
  }
}

/// Notes on values that were changed in reading.
std::vector<std::string> changes(Parts parts) {
  std::vector<std::string> notes;
  const auto note = [&](const auto& so, const std::string& what) {
    const int64_t n = count(parts, so);
    if (n > 0) notes.push_back(fmt::format("{} {} {}", n, n == 1 ? "image has" : "images have", what));
  };
  note(std::mem_fn(&File::resized), fmt::format("another size: resized to {}×{} pixels, with the middle kept",
                                                parts[0].set.width, parts[0].set.height));
  note(std::mem_fn(&File::transparent), "transparency, which is ignored");
  note(std::mem_fn(&File::deep), "16 bits per channel, which are rounded to 8");
  note(std::mem_fn(&File::cmyk), "CMYK colours, which are converted to RGB without a colour profile");
  int64_t stray = 0;
  for (const Part& part : parts) {
    for (const File& file : part.files) stray += file.stray;
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

/// Decodes all parts at one size, grey if all of them are. Returns notes on what the user should know.
std::vector<std::string> read_parts(const fs::path& dir, Parts parts, const ReadOptions& options) {
  const Size size = size_for(dir, parts, options);
  const Progress progress(options.progress, count(parts));
  for (Part& part : parts) decode(part, size, progress);
  std::vector<std::string> notes;
  if (const std::string faults = unreadable(parts); !faults.empty()) {
    if (!options.skip_unreadable) bad_input("{}: {}; to go on without them: --skip-unreadable", dir.string(), faults);
    notes.push_back(faults + "; they are left out");
  }
  for (Part& part : parts) keep_readable(dir, part);
  if (count(parts, std::mem_fn(&File::colour)) == 0) {
    if (options.fixed && options.image_shape[0] == 3) {
      notes.emplace_back("all images are grey, and read as the three channels that the network takes");
    } else {
      for (Part& part : parts) make_grey(part.set);
    }
  }
  std::ranges::move(changes(parts), std::back_inserter(notes));
  return notes;
}

/// The data set of two lists of files, those of the folder `dir`.
Splits splits_of(const fs::path& dir, std::vector<File> train_files, std::vector<File> test_files,
                 const std::vector<std::string>& classes, uint64_t seed, double validation_share,
                 const ReadOptions& options) {
  Part parts[] = {{.what = "training images", .files = std::move(train_files)},
                  {.what = "test images", .files = std::move(test_files)}};
  for (Part& part : parts) part.set.class_names = classes;
  std::vector<std::string> notes = read_parts(dir, parts, options);
  auto& [train, test] = parts;
  if (!classes.empty()) std::ranges::move(notes_on_empty_classes(train.set, test.set), std::back_inserter(notes));
  const bool resized = count(parts, std::mem_fn(&File::resized)) > 0;
  Splits splits = hold_out(std::move(train.set), std::move(test.set), seed, validation_share, std::move(notes));
  splits.augmentation = resized ? Augmentation{.flip = true, .least_area = Augmentation::usual_area}
                                : Augmentation{.flip = true, .crop = Augmentation::usual_crop};
  return splits;
}

/// The images of a folder that is not divided into training and test images.
Splits undivided(const fs::path& dir, uint64_t seed, double validation_share, const ReadOptions& options) {
  constexpr size_t one_in = 5;
  std::vector<File> files = files_of(dir, {}), train, test;
  if (files.size() < one_in) bad_input("{}: {} images: expected at least {}", dir.string(), files.size(), one_in);
  for (size_t i = 0; i < files.size(); ++i) (i % one_in == one_in - 1 ? test : train).push_back(std::move(files[i]));
  const std::string note =
      fmt::format("no folders train and test: every fifth image is for testing, {} of {}", test.size(), files.size());
  Splits splits = splits_of(dir, std::move(train), std::move(test), {}, seed, validation_share, options);
  splits.notes.insert(splits.notes.begin(), note);
  return splits;
}

}  // namespace

bool reads_images() { return true; }

Splits files_of_images(const std::string& path, const ReadOptions& options) {
  Part part{.what = "images", .files = {}};
  const fs::path folder = is_folder(path) ? fs::path(path) : fs::path(path).parent_path();
  if (is_folder(path))
    add_all(path, part.files);
  else
    part.files.push_back({.path = path});
  if (part.files.empty()) bad_input("{}: no images", path);
  std::vector<std::string> notes = read_parts(folder, {&part, 1}, options);
  return {.train = {}, .validation = {}, .test = std::move(part.set), .notes = std::move(notes)};
}

Splits image_folder(const std::string& dir, uint64_t seed, double validation_share, const ReadOptions& options) {
  const fs::path root(dir);
  if (holds_only_files(listed(root))) return undivided(root, seed, validation_share, options);
  const std::vector<std::string> classes = class_names(root / "train");
  return splits_of(root, files_of(root / "train", classes), files_of(root / "test", classes), classes, seed,
                   validation_share, options);
}

}  // namespace mixgrad::data
