// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/rng.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

namespace mixgrad::data {
namespace {

constexpr std::string_view cifar10_prefix = "cifar10:";

void check_name(const std::string& spec) {
  const bool with_folder = spec.starts_with(cifar10_prefix) && spec.size() > cifar10_prefix.size();
  if (spec != "glyphs" && !with_folder) bad_input("unknown data set '{}': expected glyphs or cifar10:DIR", spec);
}

/// Moves the images at `indices` (ascending) to the front and drops the others.
void keep(Dataset& set, std::span<const int64_t> indices) {
  const int64_t bytes = set.image_bytes();
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto from = static_cast<size_t>(indices[i]);
    set.labels[i] = set.labels[from];
    if (from != i) std::copy_n(&set.pixels[from * bytes], bytes, &set.pixels[i * bytes]);
  }
  set.labels.resize(indices.size());
  set.pixels.resize(indices.size() * static_cast<size_t>(bytes));
}

Dataset copy_of(const Dataset& set, std::span<const int64_t> indices) {
  Dataset chosen{set.name, set.channels, set.height, set.width, {}, {}, set.class_names};
  const int64_t bytes = set.image_bytes();
  chosen.labels.reserve(indices.size());
  chosen.pixels.reserve(indices.size() * static_cast<size_t>(bytes));
  for (int64_t i : indices) {
    chosen.labels.push_back(set.labels[static_cast<size_t>(i)]);
    chosen.pixels.insert(chosen.pixels.end(), set.pixels.begin() + i * bytes, set.pixels.begin() + (i + 1) * bytes);
  }
  return chosen;
}

}  // namespace

Splits hold_out(Dataset train, Dataset test, uint64_t seed, double validation_share) {
  if (!(validation_share >= 0.0 && validation_share < 1.0))
    bad_input("validation share {} is outside [0, 1)", validation_share);
  std::vector<int64_t> order(train.labels.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  Rng rng(seed, "validation-split");
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);

  int64_t held = std::llround(validation_share * static_cast<double>(train.size()));
  if (validation_share > 0.0) held = std::max<int64_t>(held, 1);
  held = std::clamp<int64_t>(held, 0, std::max<int64_t>(train.size() - 1, 0));
  // Both parts keep the set's order, so that neither depends on how the subset was drawn.
  std::sort(order.begin(), order.begin() + held);
  std::sort(order.begin() + held, order.end());
  const std::span<const int64_t> drawn(order);
  Splits splits;
  splits.validation = copy_of(train, drawn.first(static_cast<size_t>(held)));
  keep(train, drawn.subspan(static_cast<size_t>(held)));
  splits.train = std::move(train);
  splits.test = std::move(test);
  return splits;
}

Splits load(const std::string& spec, uint64_t seed, double validation_share) {
  check_name(spec);
  if (spec == "glyphs") return glyphs(seed, validation_share);
  return cifar10(spec.substr(cifar10_prefix.size()), seed, validation_share);
}

std::string absolute(const std::string& spec) {
  if (!spec.starts_with(cifar10_prefix)) return spec;
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::absolute(spec.substr(cifar10_prefix.size()), error);
  return error ? spec : std::string(cifar10_prefix) + folder.lexically_normal().string();
}

Augmentation default_augmentation(const std::string& spec) {
  check_name(spec);
  if (spec == "glyphs") return {.flip = false, .crop = 2};  // a mirrored digit is another shape
  return {.flip = true, .crop = 2};
}

}  // namespace mixgrad::data
