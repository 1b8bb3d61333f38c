// SPDX-License-Identifier: Apache-2.0
#include "assignment.h"

#include <algorithm>
#include <limits>
#include <set>

namespace mixgrad {

double SlotChoice::regret(size_t c, size_t from, size_t to) const {
  const auto at = [&](size_t p) { return static_cast<double>(alpha.data()[p * columns() + c]); };
  return at(from) - at(to);
}

size_t SlotChoice::movable(size_t from, size_t to) const {
  const auto at = [&](size_t p) { return static_cast<size_t>(std::ranges::count(chosen, p)); };
  if (bits[to] != 0) return at(from);
  const auto stays = [&](int64_t c) { return chosen[static_cast<size_t>(c)] == from; };
  return std::min(at(from) - static_cast<size_t>(std::ranges::count_if(kept, stays)), columns() - at(to) - 1);
}

std::vector<size_t> SlotChoice::filled(size_t candidate, size_t live) const {
  std::vector<size_t> out(columns(), candidate);
  if (bits[candidate] != 0) return out;
  for (const int64_t c : kept) out[static_cast<size_t>(c)] = live;
  if (kept.empty()) out.back() = live;
  return out;
}

Assignment::Assignment(const Graph& searched) : graph_(discretize(searched)) {
  std::map<const void*, size_t> index;
  const auto choice_of = [](const auto& slot) {
    return SlotChoice{.bits = slot.precisions, .alpha = slot.alpha, .chosen = quant::arg_max(slot)};
  };
  for (size_t i = 0; i < searched.nodes.size(); ++i) {
    const Node& node = searched.nodes[i];
    if (node.weight_slot && !node.weight_slot->fixed()) {
      SlotChoice choice = choice_of(*node.weight_slot);
      choice.kept = node.weight_slot->kept;
      add(index, node.weight_slot.get(), std::move(choice), i);
      choices_[index.at(node.weight_slot.get())].scales.push_back(node.weight_scales);
    }
    if (node.output_slot && !node.output_slot->fixed()) {
      SlotChoice choice = choice_of(*node.output_slot);
      choice.activation = node.output_slot.get();
      add(index, node.output_slot.get(), std::move(choice), i);
    }
  }
}

void Assignment::add(std::map<const void*, size_t>& index, const void* slot, SlotChoice choice, size_t node) {
  const auto [found, is_new] = index.try_emplace(slot, choices_.size());
  if (is_new) choices_.push_back(std::move(choice));
  choices_[found->second].nodes.push_back(node);
}

namespace {

/// One channel of a layer at a candidate.
void write_channel(Node& node, size_t channel, int bits, const Tensor& candidate_scales, size_t candidate) {
  node.weight_slot->bits[channel] = bits;
  if (!candidate_scales) return;
  const auto channels = static_cast<size_t>(candidate_scales.dim(1));
  node.weight_scales.data()[channel] = candidate_scales.data()[candidate * channels + channel];
}

}  // namespace

/// Brings the graph's slots up to date with one column.
void Assignment::write(size_t choice, size_t column) {
  const SlotChoice& c = choices_[choice];
  const size_t candidate = c.chosen[column];
  for (size_t i = 0; i < c.nodes.size(); ++i) {
    Node& node = graph_.nodes[c.nodes[i]];
    if (c.activation != nullptr) {
      node.output_slot->precisions = {c.bits[candidate]};
      node.output_slot->clip.data()[0] = c.activation->clip.data()[candidate];
      continue;
    }
    const bool per_layer = c.columns() == 1;
    const size_t first = per_layer ? 0 : column, last = per_layer ? node.weight_slot->bits.size() : column + 1;
    for (size_t channel = first; channel < last; ++channel)
      write_channel(node, channel, c.bits[candidate], c.scales[i], candidate);
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

void Assignment::set_all_largest() {
  for (size_t i = 0; i < choices_.size(); ++i) set(i, choices_[i].filled(choices_[i].bits.size() - 1));
}

void Assignment::prefer(size_t choice, const Tensor& alpha) {
  choices_[choice].alpha = alpha;
  set(choice, quant::arg_max(alpha, choices_[choice].bits, choices_[choice].kept));
}

Assignment::Chosen Assignment::chosen() const {
  Chosen out;
  for (const SlotChoice& choice : choices_) out.push_back(choice.chosen);
  return out;
}

void Assignment::restore(const Chosen& chosen) {
  for (size_t i = 0; i < chosen.size(); ++i) set(i, chosen[i]);
}

namespace {

/// A column of a choice, and what it gives up of α by a move.
struct Column {
  double regret;
  size_t index;
};

/// The columns of a choice at candidate `from`, those that give up least of α on the way to `to` first.
std::vector<Column> by_regret(const SlotChoice& choice, size_t from, size_t to, size_t count) {
  std::vector<Column> out;
  for (size_t c = 0; c < choice.columns(); ++c) {
    if (choice.chosen[c] == from && (choice.bits[to] != 0 || !choice.is_kept(c)))
      out.push_back({.regret = choice.regret(c, from, to), .index = c});
  }
  count = std::min(count, choice.movable(from, to));
  std::ranges::partial_sort(out, out.begin() + static_cast<std::ptrdiff_t>(count), {},
                            [](const Column& c) { return std::pair(c.regret, c.index); });
  out.resize(count);
  return out;
}

Move move_of(size_t choice, size_t from, size_t to, std::span<const Column> columns) {
  Move move{.choice = choice, .from = from, .to = to};
  for (const Column& c : columns) {
    move.columns.push_back(c.index);
    move.regret += c.regret;
  }
  return move;
}

}  // namespace

template <typename Visit>
void Assignment::visit_kinds(size_t choice, Direction direction, const Visit& visit) const {
  const size_t count = choices_[choice].bits.size();
  for (size_t from = 0; from < count; ++from) {
    const size_t first = direction == Direction::UP ? from + 1 : 0, end = direction == Direction::DOWN ? from : count;
    for (size_t to = first; to < end; ++to) {
      if (to != from) visit(from, to);
    }
  }
}

std::vector<Move> Assignment::moves(size_t choice, Direction direction, size_t columns) const {
  std::vector<Move> out;
  visit_kinds(choice, direction, [&](size_t from, size_t to) {
    const std::vector<Column> order = by_regret(choices_[choice], from, to, columns);
    if (!order.empty()) out.push_back(move_of(choice, from, to, order));
  });
  return out;
}

std::vector<Move> Assignment::moves(Direction direction, size_t columns) const {
  std::vector<Move> out;
  for (size_t i = 0; i < choices_.size(); ++i) std::ranges::move(moves(i, direction, columns), std::back_inserter(out));
  return out;
}

std::vector<Move> Assignment::group_moves(Direction direction) const {
  std::vector<Move> out;
  for (size_t i = 0; i < choices_.size(); ++i) {
    visit_kinds(i, direction,
                [&](size_t from, size_t to) { std::ranges::move(group_moves(i, from, to), std::back_inserter(out)); });
  }
  return out;
}

std::vector<Move> Assignment::group_moves(size_t choice, size_t from, size_t to) const {
  const SlotChoice& c = choices_[choice];
  const std::vector<Column> order = by_regret(c, from, to, c.columns());
  const auto at = [&](size_t p) { return static_cast<size_t>(std::ranges::count(c.chosen, p)); };
  std::set<size_t> counts = {order.size()};
  for (size_t tile = 2; tile < 2 * c.columns(); tile *= 2) counts.insert({tile, at(from) % tile, tile - at(to) % tile});
  std::vector<Move> out;
  for (const size_t count : counts) {
    if (count >= 2 && count <= order.size()) out.push_back(move_of(choice, from, to, std::span(order).first(count)));
  }
  return out;
}

namespace {

/// The largest candidate that is not above `bits`, or the smallest.
size_t nearest(const SlotChoice& choice, int bits) {
  const auto above = std::ranges::upper_bound(choice.bits, bits);
  return above == choice.bits.begin() ? 0 : static_cast<size_t>(above - choice.bits.begin()) - 1;
}

/// Candidates above 0 bits that occur in choices of weights, or of activations.
std::set<int> occurring_bits(const Assignment& a, bool of_activations) {
  std::set<int> out;
  for (const SlotChoice& choice : a.choices()) {
    if ((choice.activation != nullptr) == of_activations) out.insert(choice.bits.begin(), choice.bits.end());
  }
  out.erase(0);
  if (out.empty()) out.insert(0);
  return out;
}

}  // namespace

std::vector<Uniform> uniform_networks(const Assignment& a) {
  std::vector<Uniform> out;
  for (const int weight_bits : occurring_bits(a, false)) {
    for (const int activation_bits : occurring_bits(a, true)) {
      Uniform& u =
          out.emplace_back(Uniform{.weight_bits = weight_bits, .activation_bits = activation_bits, .chosen = {}});
      for (const SlotChoice& choice : a.choices()) {
        const int bits = choice.activation == nullptr ? weight_bits : activation_bits;
        u.chosen.push_back(choice.filled(std::max(nearest(choice, bits), size_t{choice.prunes()})));
      }
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

std::vector<Target> Budget::at_present() {
  std::vector<Target> out(targets_.begin(), targets_.end());
  for (size_t t = 0; t < out.size(); ++t) out[t].limit = meters_[t]();
  return out;
}

double Budget::used() {
  double most = 0;
  for (size_t t = 0; t < targets_.size(); ++t) most = std::max(most, meters_[t]() / targets_[t].limit);
  return most;
}

}  // namespace mixgrad
