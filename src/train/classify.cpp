// SPDX-License-Identifier: Apache-2.0
// The task of classification: cross entropy and, for images, accuracy; for label maps, mean intersection over union.
#include "tasks.h"

#include <mixgrad/confusion.h>
#include <mixgrad/error.h>

#include <algorithm>

namespace mixgrad::train {
namespace {

Decisions decisions(const Tensor& output, const data::Batch& batch) {
  return {.truth = batch.labels, .chosen = largest_scores(output)};
}

Outcome loss_and_metric(const Tensor& output, const data::Batch& batch, double denominator) {
  return {.loss = cross_entropy(score_rows(output), batch.labels, denominator),
          .measured = static_cast<double>(decisions(output, batch).correct())};
}

/// The share of the largest class.
double chance(const data::Dataset& images) { return largest_share(images.labels); }

void refuse_without_labels(const Pairing& p) {
  bad_input("data: '{}' has no labels, which --loss classify needs to train {}{}{}", p.data, p.network,
            p.images.unlabelled.empty() ? "" : ": ", p.images.unlabelled);
}

void check(const Pairing& p) {
  if (p.images.labels.empty()) refuse_without_labels(p);
  if (p.output.rank() == 3 && p.output.size() != p.output[0]) {
    bad_input(
        "data: '{}' has one label per image, but {} returns images {}: for --loss classify, end it with a global pool "
        "or a linear layer",
        p.data, p.network, p.output.str());
  }
  if (p.output.size() != p.images.classes()) {
    const bool returns_images = p.output.size() == p.input.size();
    bad_input("data: '{}' has {} classes, but {} returns {} values: --loss classify expects one value per class{}{}",
              p.data, p.images.classes(), p.network, p.output.size(),
              p.notes.empty() ? "" : fmt::format(" (of the data: {})", p.notes),
              returns_images ? "; --loss reconstruct would train it to return its input" : "");
  }
}

// --- label maps -----------------------------------------------------------------------------------------------

/// The mean over the classes that are true or chosen anywhere; counts: the intersections, then the unions.
double mean_overlap(std::span<const double> counts) {
  const size_t classes = counts.size() / 2;
  double sum = 0;
  int64_t present = 0;
  for (size_t c = 0; c < classes; ++c) {
    if (counts[classes + c] == 0) continue;
    sum += counts[c] / counts[classes + c];
    ++present;
  }
  return present == 0 ? 0 : sum / static_cast<double>(present);
}

std::vector<double> overlaps(const Decisions& d, int64_t classes) {
  std::vector<double> counts(static_cast<size_t>(2 * classes));
  const auto of_union = [&](int32_t c) -> double& { return counts[static_cast<size_t>(classes + c)]; };
  for (size_t i = 0; i < d.truth.size(); ++i) {
    of_union(d.truth[i]) += 1;
    if (d.chosen[i] == d.truth[i])
      counts[static_cast<size_t>(d.truth[i])] += 1;
    else
      of_union(d.chosen[i]) += 1;
  }
  return counts;
}

Outcome loss_and_overlap(const Tensor& output, const data::Batch& batch, double denominator) {
  const auto positions = static_cast<double>(batch.labels.size()) / static_cast<double>(batch.size());
  const Decisions decided = decisions(output, batch);
  return {.loss = cross_entropy(score_rows(output), batch.labels, denominator * positions),
          .measured = static_cast<double>(decided.correct()) / positions,
          .counts = overlaps(decided, output.dim(1))};
}

/// What choosing the largest class everywhere gives.
double chance_on_maps(const data::Dataset& images) {
  std::vector<bool> present(static_cast<size_t>(images.classes()));
  for (const int32_t label : images.labels) present[static_cast<size_t>(label)] = true;
  return largest_share(images.labels) / static_cast<double>(std::ranges::count(present, true));
}

void check_maps(const Pairing& p) {
  const Shape& map = p.images.label_map;
  if (p.images.labels.empty()) refuse_without_labels(p);
  if (p.output.rank() != 3 || p.output[1] != map[0] || p.output[2] != map[1] || p.output[0] != p.images.classes()) {
    bad_input("data: '{}' has label maps {} of {} classes, but {} returns {}: --loss classify expects {}", p.data,
              map.str(), p.images.classes(), p.network, p.output.str(),
              Shape({p.images.classes(), map[0], map[1]}).str());
  }
}

}  // namespace

Task classify() {
  Task task = {.name = "classify",
               .metric = {.name = "accuracy", .label = "acc", .larger_is_better = true, .is_share = true},
               .reads_labels = true,
               .loss_and_metric = loss_and_metric,
               .decisions = decisions,
               .chance = chance,
               .check = check};
  Task maps = task;
  maps.metric = {
      .name = "mean IoU", .label = "IoU", .larger_is_better = true, .is_share = true, .of_counts = mean_overlap};
  maps.loss_and_metric = loss_and_overlap;
  maps.counts = [](const data::Dataset& images) { return 2 * images.classes(); };
  maps.chance = chance_on_maps;
  maps.check = check_maps;
  task.on_maps = std::make_shared<const Task>(std::move(maps));
  return task;
}

}  // namespace mixgrad::train
