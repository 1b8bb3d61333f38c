// SPDX-License-Identifier: Apache-2.0
#include "resize.h"

#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/rng.h>

#include <kernels/parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

namespace mixgrad::data {
namespace {

/// A part of an image, in pixels.
struct Area {
  double y, x, height, width;
};

/// One image's variation: of the enlarged area, if any, position (y, x) comes from (y + dy, x + dx), before mirroring.
struct Variation {
  std::optional<Area> area = {};
  int64_t dy = 0, dx = 0;
  bool flip = false;
};

/// An area of at least this share of the image, with its proportions changed by up to a third.
Area draw_area(const Dataset& set, double least_share, Rng& rng) {
  const double share = least_share + (1 - least_share) * rng.uniform();
  const double longest = std::log(4.0 / 3.0), stretch = std::exp(longest * (2 * rng.uniform() - 1));
  const auto h = static_cast<double>(set.height), w = static_cast<double>(set.width);
  const double height = h * std::min(1.0, std::sqrt(share / stretch)),
               width = w * std::min(1.0, std::sqrt(share * stretch));
  const double y = (h - height) * rng.uniform(), x = (w - width) * rng.uniform();
  return {y, x, height, width};
}

Variation draw(const Dataset& set, const Augmentation& augmentation, Rng& rng) {
  Variation v;
  if (augmentation.least_area < 1) v.area = draw_area(set, augmentation.least_area, rng);
  if (augmentation.crop > 0) {
    const auto choices = static_cast<uint64_t>(2 * augmentation.crop + 1);
    v.dy = static_cast<int64_t>(rng.below(choices)) - augmentation.crop;
    v.dx = static_cast<int64_t>(rng.below(choices)) - augmentation.crop;
  }
  if (augmentation.flip) v.flip = rng.below(2) == 1;
  return v;
}

/// Writes row `y` of the varied image.
template <typename T>
void copy_row(const Dataset& set, const T* image, const Variation& v, int64_t y, T* row) {
  const int64_t c = set.channels, w = set.width, from = y + v.dy;
  std::fill_n(row, w * c, T{0});
  if (from < 0 || from >= set.height) return;
  const int64_t begin = std::max<int64_t>(0, -v.dx), end = std::min(w, w - v.dx);
  std::copy_n(image + (from * w + begin + v.dx) * c, (end - begin) * c, row + begin * c);
  if (!v.flip) return;
  for (int64_t left = 0, right = w - 1; left < right; ++left, --right)
    std::swap_ranges(row + left * c, row + (left + 1) * c, row + right * c);
}

MIXGRAD_CLONES void to_floats(const uint8_t* bytes, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(bytes[i]) / 255.0F;
}

void to_floats(const float* values, int64_t n, float* out) { std::copy_n(values, n, out); }

/// Enlarges an area of the image to its full size.
template <typename T>
std::vector<T> enlarged(const Dataset& set, const T* image, const Area& area) {
  const std::vector<Taps> ys = taps(set.height, area.y, area.height, set.height),
                          xs = taps(set.width, area.x, area.width, set.width);
  std::vector<T> out;
  out.reserve(static_cast<size_t>(set.image_values()));
  for (const Taps& y : ys) {
    for (const Taps& x : xs) {
      for (int64_t c = 0; c < set.channels; ++c) {
        const float v = weighted(y, x, [&](int64_t row, int64_t column) {
          return static_cast<float>(image[(row * set.width + column) * set.channels + c]);
        });
        if constexpr (std::is_same_v<T, uint8_t>)
          out.push_back(to_byte(v));
        else
          out.push_back(v);
      }
    }
  }
  return out;
}

template <typename T>
void convert(const Dataset& set, const T* image, Variation v, float* out) {
  if (v.area) {
    const std::vector<T> part = enlarged(set, image, *std::exchange(v.area, std::nullopt));
    return convert(set, part.data(), v, out);
  }
  if (v.dy == 0 && v.dx == 0 && !v.flip) return to_floats(image, set.image_values(), out);
  const int64_t row_values = set.width * set.channels;
  std::vector<T> row(static_cast<size_t>(row_values));
  for (int64_t y = 0; y < set.height; ++y) {
    copy_row(set, image, v, y, row.data());
    to_floats(row.data(), row_values, out + y * row_values);
  }
}

void normalize(const Dataset& set, float* image) {
  const Normalization& n = set.normalization;
  if (n.empty()) return;
  const auto channels = static_cast<size_t>(set.channels);
  for (int64_t p = 0; p < set.height * set.width; ++p, image += channels) {
    for (size_t c = 0; c < channels; ++c) image[c] = (image[c] - n.mean[c]) / n.std[c];
  }
}

void convert(const Dataset& set, int64_t index, const Variation& v, float* out) {
  const int64_t first = index * set.image_values();
  if (set.features.empty()) {
    convert(set, set.pixels.data() + first, v, out);
  } else {
    convert(set, set.features.data() + first, v, out);
  }
  normalize(set, out);
}

/// Copies entry `index` of `from`, `width` values, to entry `to_index` of `to`.
template <typename T, typename To>
void copy_entry(const std::vector<T>& from, int64_t index, int64_t width, To&& to, int64_t to_index) {
  std::copy_n(from.begin() + index * width, width, to.begin() + to_index * width);
}

}  // namespace

Loader::Loader(const Dataset& dataset, LoaderOptions options) : dataset_(&dataset), options_(options) {
  const auto values = static_cast<int64_t>(dataset.pixels.size() + dataset.features.size());
  const auto labels = static_cast<int64_t>(dataset.labels.size()),
             targets = static_cast<int64_t>(dataset.targets.size());
  if (values != dataset.size() * dataset.image_values() ||
      (labels != 0 && labels != dataset.size() * dataset.label_map.size())) {
    bad_input("data set {}: {} labels and {} values don't match images of {} values", dataset.name, labels, values,
              dataset.image_values());
  }
  if (targets != 0 && targets != dataset.size() * dataset.target_shape.size()) {
    bad_input("data set {}: {} targets don't match {} images of {} each", dataset.name, targets, dataset.size(),
              dataset.target_shape.str());
  }
  for (const std::vector<float>* n : {&dataset.normalization.mean, &dataset.normalization.std}) {
    if (!dataset.normalization.empty() && std::ssize(*n) != dataset.channels) {
      bad_input("data set {}: its normalization has {} numbers: expected one per channel, {}", dataset.name, n->size(),
                dataset.channels);
    }
  }
  if (options.batch_size < 1) bad_input("batch size {}: expected at least 1", options.batch_size);
  if (options.augmentation != Augmentation{} && dataset.known() != Known::labels && dataset.known() != Known::nothing)
    bad_input("data set {}: label maps and targets don't move with their images: expected --augment none",
              dataset.name);
  const int64_t most = std::min(dataset.height, dataset.width);
  if (options.augmentation.crop < 0 || (options.augmentation.crop > 0 && options.augmentation.crop >= most))
    bad_input("crop {}: expected 0 to {} for images of {}x{}", options.augmentation.crop, most - 1, dataset.height,
              dataset.width);
  if (!(options.augmentation.least_area > 0 && options.augmentation.least_area <= 1))
    bad_input("least area {}: expected a share above 0, at most 1", options.augmentation.least_area);
  start(0);
}

int64_t Loader::batches() const {
  const int64_t n = dataset_->size();
  return n / options_.batch_size + (!options_.drop_last && n % options_.batch_size != 0 ? 1 : 0);
}

void Loader::start(int64_t epoch) {
  epoch_ = epoch;
  order_.resize(static_cast<size_t>(dataset_->size()));
  std::iota(order_.begin(), order_.end(), int64_t{0});
  if (!options_.shuffle) return;
  Rng rng(options_.seed, "shuffle", static_cast<uint64_t>(epoch));
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
}

Batch Batch::part(int64_t begin, int64_t count) const {
  Batch out{.x = x.rows(begin, count), .labels = {}};
  const int64_t each = std::ssize(labels) / std::max<int64_t>(size(), 1);
  if (!labels.empty()) out.labels.assign(labels.begin() + begin * each, labels.begin() + (begin + count) * each);
  if (targets) out.targets = targets.rows(begin, count);
  return out;
}

Known Batch::known() const {
  if (labels.empty()) return targets ? Known::values : Known::nothing;
  return std::ssize(labels) == size() ? Known::labels : Known::label_maps;
}

Batch Loader::batch(int64_t index) const {
  if (index < 0 || index >= batches()) bad_input("batch {}: this data set has {} batches", index, batches());
  const Dataset& set = *dataset_;
  const int64_t first = index * options_.batch_size;
  const int64_t n = std::min(options_.batch_size, set.size() - first);
  Batch batch{Tensor::empty({n, set.channels, set.height, set.width}),
              std::vector<int32_t>(set.labels.empty() ? 0 : static_cast<size_t>(n * set.label_map.size()))};
  if (!set.targets.empty()) batch.targets = Tensor::empty({n, set.target_shape.size()});
  float* x = batch.x.data().data();
  kernels::parallel_chunks(n, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t position = first + i;
      Rng rng(options_.seed, "augment", static_cast<uint64_t>(epoch_ * set.size() + position));
      const int64_t image = order_[static_cast<size_t>(position)];
      convert(set, image, draw(set, options_.augmentation, rng), x + i * set.image_values());
      if (!set.labels.empty()) copy_entry(set.labels, image, set.label_map.size(), batch.labels, i);
      if (batch.targets) copy_entry(set.targets, image, set.target_shape.size(), batch.targets.data(), i);
    }
  });
  return batch;
}

}  // namespace mixgrad::data
