// SPDX-License-Identifier: Apache-2.0
// Imitating a float network's outputs: as a task of its own, and mixed into another task's training loss.
#include "tasks.h"

#include <mixgrad/confusion.h>
#include <mixgrad/error.h>

#include <algorithm>
#include <array>

namespace mixgrad::train {
namespace {

constexpr double temperature = 4;  // SPEC §5b

double variance(std::span<const float> values) {
  double sum = 0, squares = 0;
  for (const float v : values) sum += v, squares += static_cast<double>(v) * v;
  const auto n = static_cast<double>(values.size());
  return squares / n - sum / n * (sum / n);
}

Tensor mean(const std::vector<Tensor>& scalars) {
  return scalars.size() == 1 ? scalars[0] : scale(sum(scalars), 1 / static_cast<double>(scalars.size()));
}

/// The number of values of each of a network's outputs.
std::vector<int64_t> sizes_of(const Graph& network) {
  std::vector<int64_t> sizes;
  for (const GraphOutput& o : network.outputs())
    sizes.push_back(network.nodes[static_cast<size_t>(o.node)].shape.size());
  return sizes;
}

/// The outputs of `network` by themselves, from what it returns.
std::vector<Tensor> outputs_of(const Graph& network, const Tensor& returned) {
  const std::vector<int64_t> sizes = sizes_of(network);
  return sizes.size() == 1 ? std::vector{returned} : split_channels(returned, sizes);
}

/// How far class scores are from the teacher's: a mean over the positions of maps, and over outputs.
Tensor scores_difference(const Graph& network, const Tensor& returned, const Tensor& taught, double denominator) {
  const std::vector<Tensor> outputs = outputs_of(network, returned), wanted = outputs_of(network, taught);
  std::vector<Tensor> terms;
  for (size_t k = 0; k < outputs.size(); ++k) {
    const Tensor rows = score_rows(outputs[k]);
    const auto positions = static_cast<double>(rows.dim(0)) / static_cast<double>(outputs[k].dim(0));
    terms.push_back(imitate(rows, score_rows(wanted[k]), temperature, denominator * positions));
  }
  return mean(terms);
}

/// How far values are from the teacher's, relative to their variance: a mean over outputs.
Tensor values_difference(const Teacher& teacher, const Tensor& returned, const Tensor& taught, double denominator) {
  const std::vector<Tensor> outputs = outputs_of(*teacher.network, returned),
                            wanted = outputs_of(*teacher.network, taught);
  std::vector<Tensor> terms;
  for (size_t k = 0; k < outputs.size(); ++k)
    terms.push_back(scale(mse(as_rows(outputs[k]), as_rows(wanted[k]), denominator), 1 / teacher.variances[k]));
  return mean(terms);
}

/// The share of equal decisions: a mean over the positions of maps, and over outputs.
double agreement_of(const Graph& network, const Tensor& returned, const Tensor& taught) {
  const std::vector<Tensor> outputs = outputs_of(network, returned), wanted = outputs_of(network, taught);
  double sum = 0;
  for (size_t k = 0; k < outputs.size(); ++k) {
    const Decisions decided{.truth = largest_scores(wanted[k]), .chosen = largest_scores(outputs[k])};
    sum += static_cast<double>(decided.correct()) / static_cast<double>(decided.truth.size());
  }
  return sum / static_cast<double>(outputs.size());
}

// --- class scores ---------------------------------------------------------------------------------------------

Task taught_scores(Task task, const Teacher& teacher) {
  task.teacher = std::make_shared<const Teacher>(teacher);
  if (teacher.network->outputs().size() == 1) {
    task.decisions = [teacher](const Tensor& output, const data::Batch& batch) {
      return Decisions{.truth = largest_scores(teacher.network->forward(batch.x)), .chosen = largest_scores(output)};
    };
  }
  task.loss_and_metric = [teacher](const Tensor& output, const data::Batch& batch, double denominator) {
    const Tensor taught = teacher.network->forward(batch.x);
    return Outcome{.loss = scores_difference(*teacher.network, output, taught, denominator),
                   .measured = agreement_of(*teacher.network, output, taught) * static_cast<double>(batch.size())};
  };
  task.chance = [teacher](const data::Dataset& images) {
    data::Loader loader(images, {.batch_size = 64});
    std::vector<std::vector<int32_t>> chosen(teacher.network->outputs().size());  // by output
    for (int64_t i = 0; i < loader.batches(); ++i) {
      const Tensor returned = teacher.network->forward(loader.batch(i).x);
      for (size_t k = 0; const Tensor& output : outputs_of(*teacher.network, returned))
        std::ranges::copy(largest_scores(output), std::back_inserter(chosen[k++]));
    }
    double sum = 0;
    for (const std::vector<int32_t>& c : chosen) sum += largest_share(c);
    return sum / static_cast<double>(chosen.size());
  };
  return task;
}

void check_scores(const Pairing& p) {
  if (p.output[0] < 2) {
    bad_input(
        "{} returns {}: --loss imitate-scores expects at least two class scores, --loss imitate-values any values",
        p.network, p.output.str());
  }
}

/// Of several outputs, each must be class scores.
void check_all_scores(const Graph& network) {
  const std::vector<GraphOutput> outputs = network.outputs();
  for (const auto& [node, name] : outputs) {
    const Shape& shape = network.nodes[static_cast<size_t>(node)].shape;
    if (outputs.size() > 1 && (shape.size() != shape[0] || shape[0] < 2))
      bad_input(
          "output '{}' is {}: --loss imitate-scores expects at least two class scores, --loss imitate-values any "
          "values",
          name, shape.str());
  }
}

// --- other values ---------------------------------------------------------------------------------------------

Task taught_values(Task task, const Teacher& teacher) {
  task.teacher = std::make_shared<const Teacher>(teacher);
  task.loss_and_metric = [teacher](const Tensor& output, const data::Batch& batch, double denominator) {
    const Tensor loss = values_difference(teacher, output, teacher.network->forward(batch.x), denominator);
    return Outcome{.loss = loss, .measured = loss.item() * denominator};
  };
  task.chance = [teacher](const data::Dataset& images) {
    const auto rows = [&](const data::Batch& batch) { return as_rows(teacher.network->forward(batch.x)); };
    const std::vector<double> errors = variances_of_values(images, rows);
    std::span<const double> left = errors;
    double sum = 0;
    for (size_t k = 0; const int64_t size : sizes_of(*teacher.network)) {
      sum += mean_of(left.first(static_cast<size_t>(size))) / teacher.variances[k++];
      left = left.subspan(static_cast<size_t>(size));
    }
    return sum / static_cast<double>(teacher.variances.size());
  };
  return task;
}

/// Whether a network's outputs are class scores: known from what it was trained for; else, several values that are no
/// map are.
bool returns_scores(const Graph& network) {
  if (!network.task.empty()) return find_task(network.task).reads_labels;
  if (network.outputs().size() > 1) return false;
  const Shape& output = network.output_shape();
  return output.size() == output[0] && output[0] > 1;
}

/// The members that a task has before its teacher is known.
Task untaught(const char* name, const Metric& metric, std::function<void(const Pairing&)> check) {
  return {.name = name,
          .metric = metric,
          .loss_and_metric = [name](const Tensor&, const data::Batch&, double) -> Outcome {
            bad_input("{}: the float network to imitate is missing: expected Task::taught", name);
          },
          .chance = [name](const data::Dataset&) -> double {
            bad_input("{}: the float network to imitate is missing: expected Task::taught", name);
          },
          .check = std::move(check)};
}

const Metric agreement{.name = "agreement", .label = "agree", .larger_is_better = true, .is_share = true};
const Metric relative_error{.name = "relative error", .label = "error", .larger_is_better = false, .is_share = false};

}  // namespace

Teacher teacher(const Graph& network, const data::Dataset& images) {
  auto copy = std::make_shared<Graph>(network.clone());
  for (const Parameter& p : copy->parameters()) Tensor(p.tensor).requires_grad(false);
  data::Loader loader(images, {.batch_size = std::min<int64_t>(256, images.size())});
  std::vector<double> variances;
  for (const Tensor& output : outputs_of(*copy, copy->forward(loader.batch(0).x)))
    variances.push_back(std::max(variance(output.data()), 1e-12));
  return {.network = std::move(copy), .variances = std::move(variances)};
}

Task imitate_scores() {
  Task task = untaught("imitate-scores", agreement, check_scores);
  task.taught = [task](const Teacher& teacher) {
    check_all_scores(*teacher.network);
    return taught_scores(task, teacher);
  };
  return task;
}

Task imitate_values() {
  Task task = untaught("imitate-values", relative_error, [](const Pairing&) {});
  task.taught = [task](const Teacher& teacher) { return taught_values(task, teacher); };
  return task;
}

Task imitate_task() {
  Task task = untaught("imitate", agreement, [](const Pairing&) {});
  task.taught = [](const Teacher& teacher) {
    return (returns_scores(*teacher.network) ? imitate_scores() : imitate_values()).taught(teacher);
  };
  return task;
}

Task distilled(const Task& task, const Graph& network, double share, const data::Dataset& images, DType dtype) {
  if (!(share >= 0 && share <= 1)) bad_input("distill: {} is not possible: expected a share from 0 to 1", share);
  if (share == 0) return task;
  Task out = task;
  out.training = [own = task.loss_and_metric, from = teacher(network, images), share, scores = task.reads_labels,
                  dtype](const Tensor& output, const data::Batch& batch, double denominator) {
    Outcome outcome = own(output, batch, denominator);
    const Tensor taught = cast(from.network->forward(cast(batch.x, dtype)), DType::float32);
    const Tensor difference = scores ? scores_difference(*from.network, output, taught, denominator)
                                     : values_difference(from, output, taught, denominator);
    outcome.loss = sum(std::array{scale(outcome.loss, 1 - share), scale(difference, share)});
    return outcome;
  };
  return out;
}

}  // namespace mixgrad::train
