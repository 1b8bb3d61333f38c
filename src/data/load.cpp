// SPDX-License-Identifier: Apache-2.0
#include "images_only.h"

#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/rng.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

namespace mixgrad::data {
namespace {

/// A data set read from files: "prefix:PATH".
struct Source {
  std::string_view prefix, path;  // path: its placeholder in the help
  Splits (*read)(const std::string& path, uint64_t seed, double validation_share, const ReadOptions& options);
};

/// A reader of files that leave nothing open.
template <Splits (*read)(const std::string& path, uint64_t seed, double validation_share)>
Splits plain(const std::string& path, uint64_t seed, double validation_share, const ReadOptions&) {
  return read(path, seed, validation_share);
}

constexpr Source file_sources[] = {
    {"cifar10", "DIR", plain<cifar10>},
    {"images", "DIR", image_folder},
    {"idx", "DIR", plain<idx>},
    {"npy", "DIR", numpy},
    {"npz", "FILE", numpy},
};

/// The counts for "glyphs:N", or the defaults without N: one test image for four training images.
GlyphCounts glyph_counts(const std::string& spec) {
  GlyphCounts counts;
  if (spec == "glyphs") return counts;
  constexpr int64_t least = 40, most = 200'000;
  const char *begin = spec.data() + spec.find(':') + 1, *end = spec.data() + spec.size();
  const auto parsed = std::from_chars(begin, end, counts.train);
  if (parsed.ec != std::errc() || parsed.ptr != end || counts.train < least || counts.train > most) {
    bad_input("data: '{}': expected glyphs:N with {} to {} training images", spec, least, most);
  }
  counts.test = counts.train / 4;
  return counts;
}

/// The file source in `spec` and its path; null for glyphs. Throws bad_input if unknown.
std::pair<const Source*, std::string> parsed(const std::string& spec) {
  const auto colon = spec.find(':');
  if (spec.substr(0, colon) == "glyphs") {
    glyph_counts(spec);
    return {nullptr, ""};
  }
  for (const Source& s : file_sources) {
    if (colon != std::string::npos && colon + 1 < spec.size() && spec.substr(0, colon) == s.prefix)
      return {&s, spec.substr(colon + 1)};
  }
  bad_input("unknown data set '{}': expected {}", spec, sources());
}

/// Keeps only the elements at `indices` (ascending), each `width` values wide.
template <typename T>
void keep(std::vector<T>& values, size_t width, std::span<const int64_t> indices) {
  if (values.empty()) return;
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto from = static_cast<size_t>(indices[i]);
    if (from != i) std::copy_n(&values[from * width], width, &values[i * width]);
  }
  values.resize(indices.size() * width);
}

template <typename T>
std::vector<T> copy_of(const std::vector<T>& values, size_t width, std::span<const int64_t> indices) {
  std::vector<T> chosen;
  if (values.empty()) return chosen;
  chosen.reserve(indices.size() * width);
  for (int64_t i : indices) {
    const auto first = values.begin() + i * static_cast<int64_t>(width);
    chosen.insert(chosen.end(), first, first + static_cast<int64_t>(width));
  }
  return chosen;
}

void keep(Dataset& set, std::span<const int64_t> indices) {
  const auto width = static_cast<size_t>(set.image_values());
  keep(set.pixels, width, indices);
  keep(set.features, width, indices);
  keep(set.labels, static_cast<size_t>(set.label_map.size()), indices);
  keep(set.targets, static_cast<size_t>(set.target_shape.size()), indices);
  keep(set.files, 1, indices);
}

Dataset copy_of(const Dataset& set, std::span<const int64_t> indices) {
  const auto width = static_cast<size_t>(set.image_values());
  return {set.name,
          set.channels,
          set.height,
          set.width,
          copy_of(set.pixels, width, indices),
          copy_of(set.labels, static_cast<size_t>(set.label_map.size()), indices),
          set.class_names,
          copy_of(set.features, width, indices),
          set.normalization,
          set.label_map,
          copy_of(set.targets, static_cast<size_t>(set.target_shape.size()), indices),
          set.target_shape,
          copy_of(set.files, 1, indices),
          set.unlabelled};
}

/// The order in which images are held out, such that every prefix is stratified by class. Within a class the order is
/// random; of n images, the k-th is held out once the share reaches (k - 1/2) / n.
std::vector<int64_t> holding_order(const Dataset& set, Rng& rng) {
  std::vector<int64_t> order(static_cast<size_t>(set.size()));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  if (set.known() != Known::labels) return order;
  std::map<int32_t, int64_t> images, drawn;  // by class
  for (const int32_t label : set.labels) ++images[label];
  std::vector<double> share(order.size());
  for (const int64_t i : order) {
    const int32_t label = set.labels[static_cast<size_t>(i)];
    share[static_cast<size_t>(i)] = (static_cast<double>(drawn[label]++) + 0.5) / static_cast<double>(images[label]);
  }
  std::ranges::stable_sort(order, {}, [&](int64_t i) { return share[static_cast<size_t>(i)]; });
  return order;
}

}  // namespace

Known Dataset::known() const {
  if (labels.empty()) return targets.empty() ? Known::nothing : Known::values;
  return label_map.rank() == 0 ? Known::labels : Known::label_maps;
}

Splits hold_out(Dataset train, Dataset test, uint64_t seed, double validation_share, std::vector<std::string> notes) {
  if (!(validation_share >= 0.0 && validation_share < 1.0))
    bad_input("validation share {} is outside [0, 1)", validation_share);
  Rng rng(seed, "validation-split");
  std::vector<int64_t> order = holding_order(train, rng);
  int64_t held = std::llround(validation_share * static_cast<double>(train.size()));
  if (validation_share > 0.0) held = std::max<int64_t>(held, 1);
  held = std::clamp<int64_t>(held, 0, std::max<int64_t>(train.size() - 1, 0));
  // Both parts keep the data set's order, so that it does not depend on the order of the draw.
  std::sort(order.begin(), order.begin() + held);
  std::sort(order.begin() + held, order.end());
  const std::span<const int64_t> drawn(order);
  Splits splits;
  splits.validation = copy_of(train, drawn.first(static_cast<size_t>(held)));
  keep(train, drawn.subspan(static_cast<size_t>(held)));
  splits.train = std::move(train);
  splits.test = std::move(test);
  splits.notes = std::move(notes);
  return splits;
}

std::string checksum(const Splits& splits) {
  io::Checksum sum;
  for (const Dataset* set : {&splits.train, &splits.validation, &splits.test}) {
    sum.add(set->image_shape().str());
    sum.add(std::span<const uint8_t>(set->pixels));
    sum.add(std::span<const float>(set->features));
    sum.add(std::span<const int32_t>(set->labels));
    if (!set->targets.empty()) sum.add(set->target_shape.str());
    sum.add(std::span<const float>(set->targets));
  }
  return sum.str();
}

Splits load(const std::string& spec, uint64_t seed, double validation_share, const ReadOptions& options) {
  const auto [source, path] = parsed(spec);
  Splits splits = source != nullptr ? source->read(path, seed, validation_share, options)
                                    : resized(glyphs(seed, validation_share, glyph_counts(spec)), options.image_shape);
  if (std::min(splits.train.height, splits.train.width) <= 2) splits.augmentation = {};
  return splits;
}

std::string kind_of(const std::string& path) { return path.ends_with(".npy") ? "npy" : "images"; }

Splits images_only(const std::string& path, const ReadOptions& options) {
  return kind_of(path) == "npy" ? numpy_images(path, options) : files_of_images(path, options);
}

std::string sources() {
  std::string out = "glyphs, glyphs:N";
  for (const Source& s : file_sources) out += fmt::format(", {}:{}", s.prefix, s.path);
  return out;
}

std::string absolute(const std::string& spec) {
  const auto [source, path] = parsed(spec);
  if (source == nullptr) return spec;
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return error ? spec : fmt::format("{}:{}", source->prefix, whole.lexically_normal().string());
}

std::string source_of(const std::string& spec) {
  const Source* source = parsed(spec).first;
  return source == nullptr ? "glyphs" : std::string(source->prefix);
}

}  // namespace mixgrad::data
