// SPDX-License-Identifier: Apache-2.0
// Networks that meet the targets, and the choice of the best on the validation images.
#pragma once

#include "assignment.h"

namespace mixgrad {

struct Rival {
  std::string start;  ///< as Repair::start
  Assignment::Chosen chosen;
  std::optional<double> quality = {};
};
/// The best by `judge`; without a judge, the one from the arg max that `a` holds. Leaves `a` at any of them. Throws
/// like check_reachable.
Rival best_rival(const Graph& searched, Assignment& a, Budget& budget, const Judge& judge);

/// The network found, which `a` is set to, and how it came about; `start`: the choices at first.
MetTargets met(Assignment& a, Budget& budget, const Assignment::Chosen& start, const Rival& found);

/// An α for every choice, the same for all its columns: minus the loss with the whole choice at a candidate and all
/// others at their largest.
std::vector<Tensor> sensitivities(const Graph& searched, const std::function<double(const Graph&)>& loss);

/// Sets every α of `searched` to these.
void prefer_by_sensitivity(const Graph& searched, const std::function<double(const Graph&)>& loss);

/// The uniform networks within the budget that are not dominated by one with more bits in both. Skips networks without
/// a cost.
std::vector<Uniform> largest_uniform(Assignment& a, Budget& budget);
std::string in_words(const Uniform& u);

}  // namespace mixgrad
