// SPDX-License-Identifier: Apache-2.0
// Class names, and notes on classes without images.
#include "classes.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <span>

namespace mixgrad::data {
namespace {

/// Which labels occur in either part, from 0 to the largest.
std::vector<bool> labels_of(const Dataset& train, const Dataset& test) {
  std::vector<bool> present;
  for (const Dataset* set : {&train, &test}) {
    for (const int32_t label : set->labels) {
      const auto at = static_cast<size_t>(label);
      if (at >= present.size()) present.resize(at + 1);
      present[at] = true;
    }
  }
  return present;
}

std::vector<bool> classes_of(const Dataset& set) {
  std::vector<bool> present(set.class_names.size());
  for (int32_t label : set.labels) present[static_cast<size_t>(label)] = true;
  return present;
}

/// "2 of 10 classes have no … images: 3, 7", naming the first few.
std::string note(const std::vector<std::string>& empty, int64_t classes, const char* images) {
  constexpr size_t most_named = 5;
  const std::span<const std::string> named(empty.data(), std::min(empty.size(), most_named));
  std::string out = fmt::format("{} of {} classes {} no {} images: {}", empty.size(), classes,
                                empty.size() == 1 ? "has" : "have", images, fmt::join(named, ", "));
  if (named.size() < empty.size()) out += fmt::format(" and {} more", empty.size() - named.size());
  return out;
}

}  // namespace

std::vector<std::string> notes_on_empty_classes(const Dataset& train, const Dataset& test) {
  const std::vector<bool> in_train = classes_of(train), in_test = classes_of(test);
  std::vector<std::string> untrained, untested, notes;
  for (size_t c = 0; c < in_train.size(); ++c) {
    if (!in_train[c])
      untrained.push_back(train.class_names[c]);
    else if (!in_test[c])
      untested.push_back(train.class_names[c]);
  }
  if (!untrained.empty()) notes.push_back(note(untrained, train.classes(), "training"));
  if (!untested.empty()) notes.push_back(note(untested, train.classes(), "test"));
  return notes;
}

std::vector<std::string> name_classes(Dataset& train, Dataset& test) {
  std::vector<std::string> notes;
  if (train.class_names.empty()) {
    const std::vector<bool> present = labels_of(train, test);
    const bool from_1 = std::ranges::count(present, false) == 1 && !present[0];
    for (size_t label = from_1 ? 1 : 0; label < present.size(); ++label)
      train.class_names.push_back(std::to_string(label));
    test.class_names = train.class_names;
    if (from_1) {
      for (Dataset* set : {&train, &test}) {
        for (int32_t& label : set->labels) --label;
      }
      notes.push_back(fmt::format("labels start at 1: read as {0} classes named 1 to {0}", train.classes()));
    }
  }
  std::ranges::move(notes_on_empty_classes(train, test), std::back_inserter(notes));
  return notes;
}

}  // namespace mixgrad::data
