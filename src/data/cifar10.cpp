// SPDX-License-Identifier: Apache-2.0
// CIFAR-10 in binary form: records of one label byte and the red, green and blue planes of 32×32 bytes.
#include "classes.h"

#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <kernels/parallel.h>
#include <src/internal/matrix.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t channels = 3, side = 32, plane = side * side;
constexpr int64_t record_bytes = 1 + channels * plane;
constexpr int classes = 10;

/// Number of records in `file`, from its size.
int64_t count_records(const std::string& file) {
  std::error_code error;
  const auto status = fs::status(file, error);
  if (!fs::exists(status)) bad_input("{}: no such file; CIFAR-10 has data_batch_1..5.bin and test_batch.bin", file);
  if (!fs::is_regular_file(status)) bad_input("{}: not a file", file);
  const auto size = static_cast<int64_t>(fs::file_size(file, error));
  if (error) bad_input("{}: {}", file, error.message());
  if (size == 0) bad_input("{}: empty; expected records of {} bytes", file, record_bytes);
  if (size % record_bytes != 0)
    bad_input("{}: {} bytes is not a multiple of {}: the record at offset {} has only {} bytes", file, size,
              record_bytes, size - size % record_bytes, size % record_bytes);
  return size / record_bytes;
}

/// Planes to interleaved channels.
void convert_image(std::span<const char> planes, std::span<uint8_t> pixels) {
  as_rows(pixels, plane) = as_rows(planes, channels).cast<uint8_t>().transpose();
}

/// Appends `count` records of `file`.
void append(Dataset& set, const std::string& file, int64_t count) {
  const std::string content = io::read_file(file);
  if (static_cast<int64_t>(content.size()) != count * record_bytes) bad_input("{}: changed while it was read", file);
  const int64_t first = set.size();
  for (int64_t i = 0; i < count; ++i) {
    const int label = static_cast<uint8_t>(content[static_cast<size_t>(i * record_bytes)]);
    if (label >= classes)
      bad_input("{}: label {} at offset {} (record {}): expected 0 to {}", file, label, i * record_bytes, i,
                classes - 1);
    set.labels.push_back(label);
  }
  set.pixels.resize(set.labels.size() * static_cast<size_t>(set.image_values()));
  constexpr size_t size = channels * plane;
  const std::span pixels = std::span(set.pixels).subspan(static_cast<size_t>(first) * size);
  kernels::parallel_chunks(count, 256, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      convert_image(std::span(content).subspan(i * record_bytes + 1, size), pixels.subspan(i * size, size));
  });
}

/// One name per line; blank lines are skipped (the original file ends with one).
std::vector<std::string> read_class_names(const std::string& file) {
  std::error_code error;
  if (!fs::exists(file, error))
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  const std::string content = io::read_file(file);
  std::vector<std::string> names;
  for (std::string_view rest = content; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty()) names.emplace_back(line);
  }
  if (names.size() != classes) bad_input("{}: {} class names: expected {}, one per line", file, names.size(), classes);
  return names;
}

Dataset read_set(const std::vector<std::string>& files, const std::vector<std::string>& class_names) {
  Dataset set{"cifar10", channels, side, side, {}, {}, class_names};
  std::vector<int64_t> counts;
  int64_t total = 0;
  for (const std::string& file : files) total += counts.emplace_back(count_records(file));
  set.labels.reserve(static_cast<size_t>(total));
  set.pixels.reserve(static_cast<size_t>(total * set.image_values()));
  for (size_t f = 0; f < files.size(); ++f) append(set, files[f], counts[f]);
  return set;
}

}  // namespace

Splits cifar10(const std::string& dir, uint64_t seed, double validation_share) {
  std::error_code error;
  if (!fs::is_directory(dir, error))
    bad_input("{}: {}; expected one with data_batch_1..5.bin and test_batch.bin", dir,
              fs::exists(dir, error) ? "not a folder" : "no such folder");
  const auto path = [&](const std::string& name) { return (fs::path(dir) / name).string(); };
  std::vector<std::string> train;
  for (int batch = 1; batch <= 5; ++batch) train.push_back(path(fmt::format("data_batch_{}.bin", batch)));
  const std::vector<std::string> names = read_class_names(path("batches.meta.txt"));
  Dataset test = read_set({path("test_batch.bin")}, names);  // the smaller part first, so that errors show sooner
  Dataset all = read_set(train, names);
  std::vector<std::string> notes = notes_on_empty_classes(all, test);
  Splits splits = hold_out(std::move(all), std::move(test), seed, validation_share, std::move(notes));
  splits.augmentation = {.flip = true, .crop = Augmentation::usual_crop};
  return splits;
}

}  // namespace mixgrad::data
