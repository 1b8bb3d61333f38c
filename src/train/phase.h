// SPDX-License-Identifier: Apache-2.0
// What the phases share besides their loop.
#pragma once

#include <mixgrad/phases.h>
#include <mixgrad/step.h>

namespace mixgrad::train {

/// The task of a phase that trains `graph`, or a module if that is null.
const Task& task_of(const Schedule& s, const Graph* graph, const data::Splits& splits);

/// The quality of a graph on the validation images, also stored in the report, with the graph's parameters.
double validate(const Graph& graph, const data::Splits& splits, const Task& task, EpochReport& report);

/// Batches of the phase with this stream of random numbers.
data::Loader training_loader(const data::Dataset& train, const Schedule& s, uint64_t stream);

/// The learning rate of a discrete network's or a search's step: half a cosine from s.lr to 0, over the epochs of this
/// phase and of those that share its course, unless it stays (s.anneal).
double annealed_lr(const Schedule& s, int64_t step, int64_t steps_per_epoch);

/// The observer of every op of a step.
TapeObserver* observer_of(const Schedule& s);

}  // namespace mixgrad::train
