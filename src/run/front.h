// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/front_run.h>

namespace mixgrad {

/// Throws bad_input unless the settings of a run that picks from a front agree with the front's.
void check_settings_of_front(const RunConfig& config, const TrainedFront& trained);

/// Picks as a run does, comparing networks on some validation images.
MetTargets pick_for_run(const TrainedFront& trained, const RunConfig& config, const data::Splits& splits,
                        const train::Task& task, std::span<const Target> targets);

}  // namespace mixgrad
