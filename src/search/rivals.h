// SPDX-License-Identifier: Apache-2.0
// Networks within the targets from which the best on the validation images is taken.
#pragma once

#include "assignment.h"

namespace mixgrad {

struct Rival {
  std::string start;  ///< as Repair::start
  Assignment::Chosen chosen;
  std::optional<double> quality = {};
};
/// The best of those that `judge` can tell apart, the one from the arg max that `a` holds where there is no judge. `a`
/// is left at any of them. Throws what check_reachable throws.
Rival best_rival(const Graph& searched, Assignment& a, Budget& budget, const Judge& judge);

/// An α for every choice, the same for all its columns: minus the loss where the whole choice is at a candidate and all
/// others are at their largest.
std::vector<Tensor> sensitivities(const Graph& searched, const std::function<double(const Graph&)>& loss);

/// The uniform networks within the budget to which no other of them has more bits in both; those without a cost are
/// passed over.
std::vector<Uniform> largest_uniform(Assignment& a, Budget& budget);
std::string in_words(const Uniform& u);

}  // namespace mixgrad
