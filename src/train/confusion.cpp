// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/confusion.h>
#include <mixgrad/error.h>

#include <src/internal/json.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace mixgrad::train {
namespace {

double share(int64_t part, int64_t whole) {
  return whole == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(part) / static_cast<double>(whole);
}

std::vector<std::string> names_of_classes(int64_t classes, const data::Dataset& images) {
  if (images.classes() == classes) return images.class_names;
  std::vector<std::string> names;
  for (int64_t c = 0; c < classes; ++c) names.push_back(std::to_string(c));
  return names;
}

}  // namespace

Confusion::Confusion(std::vector<std::string> class_names, bool of_positions)
    : names_(std::move(class_names)), counts_(names_.size() * names_.size()), of_positions_(of_positions) {}

Confusion::Confusion(std::vector<std::string> class_names, bool of_positions, std::vector<int64_t> counts)
    : names_(std::move(class_names)), counts_(std::move(counts)), of_positions_(of_positions) {
  if (counts_.size() != names_.size() * names_.size())
    bad_input("[confusion] {} counts of {} classes: expected one for each pair", counts_.size(), names_.size());
}

Confusion::Confusion(const Shape& output, const data::Dataset& images)
    : Confusion(names_of_classes(output[0], images), output.size() > output[0]) {}

void Confusion::add(const Decisions& decisions) {
  if (empty()) return;
  for (size_t i = 0; i < decisions.truth.size(); ++i) {
    const int64_t truth = decisions.truth[i], chosen = decisions.chosen[i];
    if (truth < 0 || truth >= classes() || chosen < 0 || chosen >= classes())
      bad_input("[confusion] classes {} and {}: expected 0 to {}", truth, chosen, classes() - 1);
    ++counts_[static_cast<size_t>(truth * classes() + chosen)];
  }
}

int64_t Confusion::count(int64_t truth, int64_t chosen) const {
  return counts_[static_cast<size_t>(truth * classes() + chosen)];
}

int64_t Confusion::truths(int64_t c) const {
  const auto row = counts_.begin() + c * classes();
  return std::accumulate(row, row + classes(), int64_t{0});
}

int64_t Confusion::choices(int64_t c) const {
  int64_t sum = 0;
  for (int64_t truth = 0; truth < classes(); ++truth) sum += count(truth, c);
  return sum;
}

int64_t Confusion::total() const { return std::accumulate(counts_.begin(), counts_.end(), int64_t{0}); }

double Confusion::accuracy() const {
  int64_t sum = 0;
  for (int64_t c = 0; c < classes(); ++c) sum += correct(c);
  return share(sum, total());
}

double Confusion::accuracy(int64_t c) const { return share(correct(c), truths(c)); }

double Confusion::overlap(int64_t c) const { return share(correct(c), truths(c) + choices(c) - correct(c)); }

std::vector<int32_t> largest_scores(const Tensor& scores) {
  const int64_t classes = scores.dim(1), rows = classes == 0 ? 0 : scores.size() / classes;
  std::vector<int32_t> out;
  out.reserve(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) {  // channels are last in memory
    const auto row = scores.data().subspan(static_cast<size_t>(i * classes), static_cast<size_t>(classes));
    out.push_back(static_cast<int32_t>(std::ranges::max_element(row) - row.begin()));
  }
  return out;
}

std::string to_json(const Confusion& confusion) {
  using nlohmann::ordered_json;
  ordered_json classes = ordered_json::array(), rows = ordered_json::array();
  const char* counted = confusion.of_positions() ? "pixels" : "images";
  for (int64_t c = 0; c < confusion.classes(); ++c) {
    ordered_json row = ordered_json::array();
    for (int64_t chosen = 0; chosen < confusion.classes(); ++chosen) row.push_back(confusion.count(c, chosen));
    rows.push_back(std::move(row));
    classes.push_back({{"name", confusion.name(c)},
                       {counted, confusion.truths(c)},
                       {"correct", confusion.correct(c)},
                       {"predicted", confusion.choices(c)},
                       {"accuracy", confusion.accuracy(c)}});
    if (confusion.of_positions()) classes.back()["iou"] = confusion.overlap(c);
  }
  return json_text(ordered_json{{"classes", std::move(classes)}, {"confusion", std::move(rows)}});
}

Confusion confusion_from_json(const std::string& text, const std::string& where) {
  try {
    const auto all = parse_json(text);
    std::vector<std::string> names;
    bool of_positions = false;
    for (const auto& c : all.at("classes")) {
      names.push_back(c.at("name").get<std::string>());
      of_positions = c.contains("pixels");
    }
    std::vector<int64_t> counts;
    for (const auto& row : all.at("confusion")) {
      for (const auto& count : row) counts.push_back(count.get<int64_t>());
    }
    return {std::move(names), of_positions, std::move(counts)};
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: corrupt: expected the confusion of classes", where);
  }
}

}  // namespace mixgrad::train
