// SPDX-License-Identifier: Apache-2.0
#include "reach.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <set>

namespace mixgrad {
namespace {

using Chosen = Assignment::Chosen;
using Fillings = std::vector<std::vector<size_t>>;  // candidates by column
using Goal = std::function<double()>;

/// A choice with all columns at one candidate (0 bits: once for every candidate of the channel that stays).
Fillings whole_fillings(const SlotChoice& choice) {
  Fillings out;
  for (size_t p = 0; p < choice.bits.size(); ++p) {
    if (choice.bits[p] != 0) out.push_back(choice.filled(p));
  }
  for (size_t live = 1; choice.prunes() && live < choice.bits.size(); ++live) out.push_back(choice.filled(0, live));
  return out;
}

/// Every way to fill a choice that costs can tell apart: by how many columns are at each candidate. The columns that
/// never get 0 bits come last: those kept, or else one.
Fillings all_fillings(const SlotChoice& choice) {
  std::vector<size_t> order(choice.columns());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_partition(order.begin(), order.end(), [&](size_t c) { return !choice.is_kept(c); });
  const size_t first_kept = choice.columns() - std::max<size_t>(choice.kept.size(), 1);
  Fillings out;
  std::vector<size_t> filling(choice.columns(), 0);
  while (true) {
    if (!choice.prunes() || filling[first_kept] != 0) {
      out.emplace_back(filling.size());
      for (size_t i = 0; i < order.size(); ++i) out.back()[order[i]] = filling[i];
    }
    // The next ascending sequence: the last column that can grow does, and those behind it follow.
    size_t grows = filling.size();
    while (grows > 0 && filling[grows - 1] + 1 == choice.bits.size()) --grows;
    if (grows == 0) return out;
    std::fill(filling.begin() + static_cast<std::ptrdiff_t>(grows) - 1, filling.end(), filling[grows - 1] + 1);
  }
}

/// How many fillings there are: with repetition, `columns` out of the candidates.
double number_of_fillings(const SlotChoice& choice) {
  double count = 1;
  for (size_t p = 1; p < choice.bits.size(); ++p)
    count *= static_cast<double>(choice.columns() + p) / static_cast<double>(p);
  return count;
}

/// Where searches begin: all at the lowest candidate, every uniform network, what `a` holds.
std::vector<Chosen> starts(const Assignment& a) {
  std::vector<Chosen> out(1);
  for (const SlotChoice& choice : a.choices()) out[0].push_back(choice.filled(0));
  for (const Uniform& u : uniform_networks(a)) out.push_back(u.chosen);
  out.push_back(a.chosen());
  return out;
}

/// By choice: those that a layer's cost couples with it, the bits of a layer's weights with those of its input, and the
/// channels that its producer keeps with both.
std::vector<std::vector<size_t>> coupled_choices(const Assignment& a) {
  const Graph& graph = a.graph();
  std::vector<std::set<size_t>> of_node(graph.nodes.size());
  for (size_t i = 0; i < a.choices().size(); ++i) {
    for (size_t n : a.choices()[i].nodes) of_node[n].insert(i);
  }
  std::vector<std::set<size_t>> coupled(a.choices().size());
  for (size_t n = 1; n < graph.nodes.size(); ++n) {
    if (!graph.nodes[n].is_layer()) continue;
    std::set<size_t> together;
    for (const int maker : graph.makers_of(graph.nodes[n].inputs[0])) {
      const std::set<size_t>& own = of_node[static_cast<size_t>(maker)];
      together.insert(own.begin(), own.end());
    }
    for (size_t i : of_node[n]) {
      if (a.choices()[i].activation == nullptr) together.insert(i);
    }
    for (size_t i : together) coupled[i].insert(together.begin(), together.end());
  }
  std::vector<std::vector<size_t>> out;
  for (size_t i = 0; i < coupled.size(); ++i) {
    coupled[i].erase(i);
    out.emplace_back(coupled[i].begin(), coupled[i].end());
  }
  return out;
}

/// Makes a goal smaller, step by step: by whole choices; where none helps, by whole choices each together with the best
/// answers of those coupled with it; then by groups of columns. Ends where nothing helps, or at 0.
class Descent {
 public:
  Descent(Assignment& a, Goal goal) : a_(a), goal_(std::move(goal)), coupled_(coupled_choices(a)) {}

  double run() {
    now_ = goal_();
    while (now_ > 0) {
      const double before = now_;
      for (size_t i = 0; i < a_.choices().size(); ++i) now_ = best_answer(i, now_);
      for (size_t i = 0; now_ == before && i < a_.choices().size(); ++i) improve_with_answers(i);
      if (now_ == before) move_groups();
      if (now_ == before) break;
    }
    return now_;
  }

 private:
  /// The best filling of choice i as all others stand.
  double best_answer(size_t i, double best) {
    std::vector<size_t> kept = a_.choices()[i].chosen;
    for (const std::vector<size_t>& filling : whole_fillings(a_.choices()[i])) {
      a_.set(i, filling);
      const double value = goal_();
      if (value < best) best = value, kept = filling;
    }
    a_.set(i, kept);
    return best;
  }

  void improve_with_answers(size_t i) {
    Chosen best = a_.chosen();
    for (const std::vector<size_t>& filling : whole_fillings(a_.choices()[i])) {
      a_.set(i, filling);
      double value = goal_();
      for (size_t other : coupled_[i]) value = best_answer(other, value);
      if (value < now_) now_ = value, best = a_.chosen();
      a_.restore(best);
    }
  }

  void move_groups() {
    for (const Direction direction : {Direction::DOWN, Direction::UP}) {
      std::vector<Move> moves = a_.moves(direction);
      std::ranges::move(a_.group_moves(direction), std::back_inserter(moves));
      const Move* best = nullptr;
      for (const Move& m : moves) {
        const double value = after(a_, m, goal_);
        if (value < now_) now_ = value, best = &m;
      }
      if (best != nullptr) a_.apply(*best);
    }
  }

  Assignment& a_;
  Goal goal_;
  std::vector<std::vector<size_t>> coupled_;
  double now_ = 0;
};

/// A search for networks within a budget, and the best of what it comes by.
class Search {
 public:
  Search(Assignment& a, Budget& budget) : a_(a), budget_(budget), starts_(starts(a)) {}

  bool run() {
    const bool found =
        try_starts() || (budget_.targets().size() > 1 && balance()) || descend_from_starts() || enumerate();
    a_.restore(best_);
    return found;
  }

 private:
  /// True where the network at hand is within the budget.
  bool take() {
    const double value = budget_.excess();
    if (value < excess_) excess_ = value, best_ = a_.chosen();
    return excess_ == 0;
  }

  bool try_starts() {
    return std::ranges::any_of(starts_, [&](const Chosen& start) {
      a_.restore(start);
      return take();
    });
  }

  bool descend() {
    Descent(a_, [&] { return budget_.excess(); }).run();
    return take();
  }

  bool descend_from_starts() {
    return std::ranges::any_of(starts_, [&](const Chosen& start) {
      a_.restore(start);
      return descend();
    });
  }

  bool balance();
  bool enumerate();
  bool enumerate(const std::vector<Fillings>& fillings, size_t i);

  Assignment& a_;
  Budget& budget_;
  std::vector<Chosen> starts_;
  double excess_ = std::numeric_limits<double>::infinity();
  Chosen best_;
};

/// Targets that pull apart: the cheapest network of Σ λ_t cost_t / limit_t, where λ_t grows while target t is exceeded
/// and shrinks while it is held; from each, what a descent of the excess makes of it. Ends where that sum is above Σ
/// λ_t, as in no network within the budget.
bool Search::balance() {
  constexpr int rounds = 24;
  const std::span<const Target> targets = budget_.targets();
  std::vector<double> lambda(targets.size(), 1);
  // Σ λ_t (cost_t / limit_t - 1): at most 0 within the budget.
  const auto weighted = [&](const std::vector<double>& costs) {
    double total = 0;
    for (size_t t = 0; t < targets.size(); ++t) total += lambda[t] * (costs[t] / targets[t].limit - 1);
    return total;
  };
  Chosen now = starts_.front();
  for (int round = 0; round < rounds; ++round) {
    a_.restore(now);
    const double least = Descent(a_, [&] { return weighted(budget_.costs()); }).run();
    now = a_.chosen();
    const std::vector<double> reached = budget_.costs();
    if (descend()) return true;
    if (least > 0) return false;
    for (size_t t = 0; t < targets.size(); ++t) {
      lambda[t] *= std::exp(std::clamp(2 * (reached[t] / targets[t].limit - 1), -1.0, 1.0));
    }
  }
  return false;
}

/// Every network of these fillings, from choice i on.
bool Search::enumerate(const std::vector<Fillings>& fillings, size_t i) {
  if (i == fillings.size()) return take();
  return std::ranges::any_of(fillings[i], [&](const std::vector<size_t>& filling) {
    a_.set(i, filling);
    return enumerate(fillings, i + 1);
  });
}

/// Every network where there are few, or else every one of whole choices where these are few.
bool Search::enumerate() {
  constexpr double most = 10'000;
  double all = 1, whole = 1;
  for (const SlotChoice& choice : a_.choices()) {
    all *= number_of_fillings(choice);
    whole *= static_cast<double>(whole_fillings(choice).size());
  }
  if (all > most && whole > most) return false;
  std::vector<Fillings> fillings;
  for (const SlotChoice& choice : a_.choices())
    fillings.push_back(all <= most ? all_fillings(choice) : whole_fillings(choice));
  return enumerate(fillings, 0);
}

}  // namespace

bool reach(Assignment& a, std::span<const Target> targets) {
  Budget budget(a, targets);
  return Search(a, budget).run();
}

}  // namespace mixgrad
