// SPDX-License-Identifier: Apache-2.0
#include "assignment.h"

#include <algorithm>
#include <limits>

namespace mixgrad {

double Choice::regret(size_t c, size_t from, size_t to) const {
  const auto at = [&](size_t p) { return static_cast<double>(alpha.data()[p * columns() + c]); };
  return at(from) - at(to);
}

size_t Choice::movable(size_t from, size_t to) const {
  const auto at = [&](size_t p) { return static_cast<size_t>(std::ranges::count(chosen, p)); };
  return bits[to] == 0 ? std::min(at(from), columns() - at(to) - 1) : at(from);
}

Assignment::Assignment(const Graph& searched) : graph_(discretize(searched)) {
  std::map<const void*, size_t> index;
  const auto choice_of = [](const auto& slot) {
    return Choice{.bits = slot.precisions, .alpha = slot.alpha, .chosen = quant::arg_max(slot.alpha, slot.precisions)};
  };
  for (size_t i = 0; i < searched.nodes.size(); ++i) {
    const Node& node = searched.nodes[i];
    if (node.weight_slot && !node.weight_slot->fixed()) {
      add(index, node.weight_slot.get(), choice_of(*node.weight_slot), i);
    }
    if (node.output_slot && !node.output_slot->fixed()) {
      Choice choice = choice_of(*node.output_slot);
      choice.activation = node.output_slot.get();
      add(index, node.output_slot.get(), std::move(choice), i);
    }
  }
}

void Assignment::add(std::map<const void*, size_t>& index, const void* slot, Choice choice, size_t node) {
  const auto [found, is_new] = index.try_emplace(slot, choices_.size());
  if (is_new) choices_.push_back(std::move(choice));
  choices_[found->second].nodes.push_back(node);
}

/// Brings the graph's slots up to date with one column.
void Assignment::write(size_t choice, size_t column) {
  const Choice& c = choices_[choice];
  const size_t candidate = c.chosen[column];
  for (size_t n : c.nodes) {
    Node& node = graph_.nodes[n];
    if (c.activation != nullptr) {
      node.output_slot->precisions = {c.bits[candidate]};
      node.output_slot->clip.data()[0] = c.activation->clip.data()[candidate];
    } else if (c.columns() == 1) {
      std::ranges::fill(node.weight_slot->bits, c.bits[candidate]);
    } else {
      node.weight_slot->bits[column] = c.bits[candidate];
    }
  }
}

void Assignment::put(const Move& m, size_t candidate) {
  for (size_t column : m.columns) {
    choices_[m.choice].chosen[column] = candidate;
    write(m.choice, column);
  }
}

void Assignment::set(size_t choice, const std::vector<size_t>& chosen) {
  choices_[choice].chosen = chosen;
  for (size_t c = 0; c < chosen.size(); ++c) write(choice, c);
}

Assignment::Chosen Assignment::chosen() const {
  Chosen out;
  for (const Choice& choice : choices_) out.push_back(choice.chosen);
  return out;
}

void Assignment::restore(const Chosen& chosen) {
  for (size_t i = 0; i < chosen.size(); ++i) set(i, chosen[i]);
}

namespace {

/// The columns of a choice that give up least of α on the way from one candidate to another, the first ones where equal.
Move cheapest_move(const Choice& choice, size_t index, size_t from, size_t to, size_t count) {
  Move move{.choice = index, .from = from, .to = to};
  for (size_t c = 0; c < choice.columns(); ++c) {
    if (choice.chosen[c] == from) move.columns.push_back(c);
  }
  count = std::min(count, choice.movable(from, to));
  const auto by_regret = [&](size_t c) { return choice.regret(c, from, to); };
  std::ranges::partial_sort(move.columns, move.columns.begin() + static_cast<std::ptrdiff_t>(count), [&](size_t a, size_t b) {
    return std::pair(by_regret(a), a) < std::pair(by_regret(b), b);
  });
  move.columns.resize(count);
  for (size_t c : move.columns) move.regret += by_regret(c);
  return move;
}

}  // namespace

std::vector<Move> Assignment::moves(Direction direction, size_t columns) const {
  std::vector<Move> out;
  for (size_t i = 0; i < choices_.size(); ++i) {
    const size_t count = choices_[i].bits.size();
    for (size_t from = 0; from < count; ++from) {
      const bool down = direction == Direction::DOWN;
      for (size_t to = down ? 0 : from + 1; to < (down ? from : count); ++to) {
        Move move = cheapest_move(choices_[i], i, from, to, columns);
        if (!move.columns.empty()) out.push_back(std::move(move));
      }
    }
  }
  return out;
}

std::vector<Move> Assignment::group_moves(Direction direction) const {
  size_t most = 0;
  for (const Choice& choice : choices_) most = std::max(most, choice.columns());
  std::vector<Move> out;
  for (size_t columns = 2; columns < 2 * most; columns *= 2) {
    for (Move& move : moves(direction, columns)) {
      // More than half of what was asked for: anything less has been a smaller group.
      if (2 * move.columns.size() > columns) out.push_back(std::move(move));
    }
  }
  return out;
}

Budget::Budget(const Assignment& a, std::span<const Target> targets) : targets_(targets) {
  for (const Target& t : targets) meters_.emplace_back(a.graph(), t.model);
}

std::vector<double> Budget::costs() {
  std::vector<double> out;
  for (cost::Meter& meter : meters_) out.push_back(meter());
  return out;
}

bool Budget::holds(const std::vector<double>& costs) const {
  for (size_t t = 0; t < targets_.size(); ++t) {
    if (costs[t] > targets_[t].limit) return false;
  }
  return true;
}

double Budget::excess() {
  double total = 0;
  for (size_t t = 0; t < targets_.size(); ++t) {
    const double cost = meters_[t](), limit = targets_[t].limit;
    if (cost > limit) total += std::max(cost / limit - 1, std::numeric_limits<double>::epsilon());
  }
  return total;
}

double Budget::used() {
  double most = 0;
  for (size_t t = 0; t < targets_.size(); ++t) most = std::max(most, meters_[t]() / targets_[t].limit);
  return most;
}

}  // namespace mixgrad
