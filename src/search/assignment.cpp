// SPDX-License-Identifier: Apache-2.0
// Targets: from what the search prefers to a discrete network that costs no more than it may.
#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>

namespace mixgrad {
namespace {

/// One decision of the search: a slot's candidates for one of its columns (an output channel, a layer, a tensor).
struct Choice {
  std::vector<int> bits;           // candidates, ascending
  Tensor alpha;                    // [P] or [P, columns]
  std::vector<size_t> chosen;      // candidate of every column
  std::vector<size_t> nodes;       // that hold the slot
  const ActivationSlot* activation = nullptr;  // none: weights

  size_t columns() const { return chosen.size(); }
  /// How much α of column c prefers candidate `from` to candidate `to`.
  double regret(size_t c, size_t from, size_t to) const {
    const auto at = [&](size_t p) { return static_cast<double>(alpha.data()[p * columns() + c]); };
    return at(from) - at(to);
  }
  bool last_live(size_t c) const {
    return bits[0] == 0 && chosen[c] != 0 && std::ranges::count(chosen, size_t{0}) + 1 == std::ssize(chosen);
  }
};

/// A move of one column from a candidate to another. Columns of one slot and candidate cost the same, so one of them,
/// the one that gives up least of α, stands for all.
struct Move {
  size_t choice = 0, column = 0, from = 0, to = 0;
  double regret = 0;
};

/// Every slot's choices, and the fixed graph that they make.
class Assignment {
 public:
  explicit Assignment(const Graph& searched) : graph_(discretize(searched)) {
    std::map<const void*, size_t> index;
    for (size_t i = 0; i < searched.nodes.size(); ++i) {
      const Node& node = searched.nodes[i];
      if (node.weight_slot && !node.weight_slot->fixed()) {
        const WeightSlot& slot = *node.weight_slot;
        add(index, &slot, {.bits = slot.precisions, .alpha = slot.alpha, .chosen = quant::arg_max(slot.alpha, slot.precisions), .nodes = {}}, i);
      }
      if (node.output_slot && !node.output_slot->fixed()) {
        const ActivationSlot& slot = *node.output_slot;
        add(index, &slot, {.bits = slot.precisions, .alpha = slot.alpha, .chosen = quant::arg_max(slot.alpha, slot.precisions),
                           .nodes = {}, .activation = &slot}, i);
      }
    }
  }

  const Graph& graph() const { return graph_; }
  bool holds_weights(const Move& m) const { return choices_[m.choice].activation == nullptr; }

  void set(const Move& m, size_t candidate) {
    Choice& choice = choices_[m.choice];
    choice.chosen[m.column] = candidate;
    for (size_t n : choice.nodes) {
      Node& node = graph_.nodes[n];
      if (choice.activation == nullptr) {
        std::vector<int>& bits = node.weight_slot->bits;
        if (choice.columns() == 1) {
          std::ranges::fill(bits, choice.bits[candidate]);
        } else {
          bits[m.column] = choice.bits[candidate];
        }
      } else {
        node.output_slot->precisions = {choice.bits[candidate]};
        node.output_slot->clip.data()[0] = choice.activation->clip.data()[candidate];
      }
    }
  }

  /// Every column to its lowest candidate; a slot that prunes keeps one channel.
  void lower_all() {
    for (size_t i = 0; i < choices_.size(); ++i) {
      for (size_t c = 0; c < choices_[i].columns(); ++c) {
        const bool kept = choices_[i].bits[0] == 0 && c + 1 == choices_[i].columns();
        set({.choice = i, .column = c}, kept ? 1 : 0);
      }
    }
  }

  /// Every kind of move down (or up), each by its column of least regret.
  std::vector<Move> moves(bool down) const {
    std::vector<Move> out;
    for (size_t i = 0; i < choices_.size(); ++i) {
      const Choice& choice = choices_[i];
      const size_t count = choice.bits.size();
      std::vector<Move> best(count * count, Move{.regret = std::numeric_limits<double>::infinity()});
      for (size_t c = 0; c < choice.columns(); ++c) {
        const size_t from = choice.chosen[c];
        for (size_t to = down ? 0 : from + 1; to < (down ? from : count); ++to) {
          if (choice.bits[to] == 0 && choice.last_live(c)) continue;
          Move& move = best[from * count + to];
          const double regret = choice.regret(c, from, to);
          if (regret < move.regret) move = {.choice = i, .column = c, .from = from, .to = to, .regret = regret};
        }
      }
      std::ranges::copy_if(best, std::back_inserter(out), [](const Move& m) { return std::isfinite(m.regret); });
    }
    return out;
  }

 private:
  void add(std::map<const void*, size_t>& index, const void* slot, Choice choice, size_t node) {
    const auto [found, is_new] = index.try_emplace(slot, choices_.size());
    if (is_new) choices_.push_back(std::move(choice));
    choices_[found->second].nodes.push_back(node);
  }

  Graph graph_;
  std::vector<Choice> choices_;
};

std::vector<double> costs(const Graph& graph, std::span<const Target> targets) {
  std::vector<double> out;
  for (const Target& t : targets) out.push_back(cost::discrete(graph, t.model));
  return out;
}

/// Σ of how far each target is exceeded, relative to its limit.
double excess(const Graph& graph, std::span<const Target> targets) {
  double total = 0;
  for (const Target& t : targets) total += std::max(0.0, cost::discrete(graph, t.model) / t.limit - 1);
  return total;
}

/// What `measure` gives of the graph after a move.
template <typename Measure>
auto after(Assignment& a, const Move& move, const Measure& measure) {
  a.set(move, move.to);
  const auto value = measure(a.graph());
  a.set(move, move.from);
  return value;
}

/// Lowers, always by the move with the least regret for what it saves, until every target holds. Where no move saves
/// anything by itself (a maximum over the network), the one of least regret. False when all is at its lowest before.
class Lowering {
 public:
  Lowering(Assignment& a, std::span<const Target> targets) : a_(a), targets_(targets) {}

  bool run() {
    for (now_ = excess(a_.graph(), targets_); now_ > 0; ++step_) {
      const std::vector<Move> moves = a_.moves(true);
      if (moves.empty()) return false;
      const Move best = best_of(moves);
      a_.set(best, best.to);
      now_ = savings_.at(key(best)).excess_after;
    }
    return true;
  }

 private:
  struct Saving {
    double saved, excess_after;
    size_t step;  // at which it was measured
  };
  using Key = std::tuple<size_t, size_t, size_t>;
  static Key key(const Move& m) { return {m.choice, m.from, m.to}; }

  Saving measured(const Move& m) {
    const double excess_after = after(a_, m, [&](const Graph& g) { return excess(g, targets_); });
    return savings_[key(m)] = {.saved = now_ - excess_after, .excess_after = excess_after, .step = step_};
  }

  /// Smaller is better: first whether it saves anything, then regret for what is saved. A column that α would rather see
  /// elsewhere costs nothing to move; the small constant prefers larger savings then.
  static std::pair<bool, double> score(const Move& m, const Saving& s) {
    const double regret = std::max(m.regret, 0.0) + 1e-6;
    return {s.saved <= 0, s.saved > 0 ? regret / s.saved : regret};
  }

  /// Of one or more. Measures again what looks best until the best is up to date.
  Move best_of(const std::vector<Move>& moves) {
    while (true) {
      const Move* best = &moves.front();
      std::pair<bool, double> least = {true, std::numeric_limits<double>::infinity()};
      for (const Move& m : moves) {
        const auto known = savings_.find(key(m));
        const auto s = score(m, known == savings_.end() ? measured(m) : known->second);
        if (s < least) best = &m, least = s;
      }
      if (savings_.at(key(*best)).step == step_) return *best;
      measured(*best);
    }
  }

  Assignment& a_;
  std::span<const Target> targets_;
  std::map<Key, Saving> savings_;  // by kind of move: what one does changes little while others are made
  double now_ = 0;
  size_t step_ = 0;
};

/// Raises wherever every target still holds, least regret first. Activations only where a target counts them: for the
/// others α has decided. Costs only grow meanwhile, so a kind of move that did not fit is not tried again.
void raise(Assignment& a, std::span<const Target> targets) {
  std::set<std::tuple<size_t, size_t, size_t>> refused;
  while (true) {
    std::vector<Move> moves = a.moves(false);
    std::ranges::stable_sort(moves, {}, &Move::regret);
    const auto fits = [&](const Move& m) {
      if (refused.contains({m.choice, m.from, m.to})) return false;
      const std::vector<double> before = costs(a.graph(), targets);
      const std::vector<double> raised = after(a, m, [&](const Graph& g) { return costs(g, targets); });
      bool good = a.holds_weights(m) || raised != before;
      for (size_t t = 0; t < targets.size(); ++t) good = good && raised[t] <= targets[t].limit;
      if (!good) refused.insert({m.choice, m.from, m.to});
      return good;
    };
    const auto move = std::ranges::find_if(moves, fits);
    if (move == moves.end()) return;
    a.set(*move, move->to);
  }
}

/// Share of the budget in use: of the target that is nearest to its limit.
double used(const Graph& graph, std::span<const Target> targets) {
  double most = 0;
  for (const Target& t : targets) most = std::max(most, cost::discrete(graph, t.model) / t.limit);
  return most;
}

/// A move down that makes room for one up.
struct Exchange {
  Move down, up;
};

/// Every pair of moves, least regret first.
std::vector<Exchange> exchanges(Assignment& a) {
  std::vector<Exchange> out;
  for (const Move& down : a.moves(true)) {
    a.set(down, down.to);
    for (const Move& up : a.moves(false)) {
      if (up.choice != down.choice || up.column != down.column) out.push_back({down, up});
    }
    a.set(down, down.from);
  }
  std::ranges::stable_sort(out, {}, [](const Exchange& e) { return e.down.regret + e.up.regret; });
  return out;
}

/// Coarse choices (whole layers) can leave much of a budget unused: exchanges choices until `enough` is used or nothing
/// helps. Takes the first exchange by regret that reaches `enough`, otherwise the one that uses most.
void fill_up(Assignment& a, std::span<const Target> targets) {
  constexpr double enough = 0.95;
  for (double use = used(a.graph(), targets); use < enough;) {
    std::optional<Exchange> best;
    for (const Exchange& e : exchanges(a)) {
      a.set(e.down, e.down.to);
      const double exchanged = after(a, e.up, [&](const Graph& g) { return excess(g, targets) > 0 ? 0.0 : used(g, targets); });
      a.set(e.down, e.down.from);
      if (exchanged <= use) continue;
      use = exchanged;
      best = e;
      if (use >= enough) break;
    }
    if (!best) return;
    a.set(best->down, best->down.to);
    a.set(best->up, best->up.to);
    raise(a, targets);
    use = used(a.graph(), targets);
  }
}

}  // namespace

void check_reachable(const Graph& searched, std::span<const Target> targets) {
  Assignment cheapest(searched);
  cheapest.lower_all();
  for (const Target& t : targets) {
    const double least = cost::discrete(cheapest.graph(), t.model);
    if (least > t.limit) {
      bad_input("target: {} of {:.6g} {} can't be met: the smallest that these candidates reach is {:.6g}, {:.1f}% of uniform 8-bit",
                t.model.name, t.limit, t.model.unit, least, 100 * least / cost::uniform(searched, t.model, 8));
    }
  }
}

Graph meet_targets(const Graph& searched, std::span<const Target> targets) {
  Assignment a(searched);
  if (targets.empty()) return a.graph();
  if (!Lowering(a, targets).run()) {
    check_reachable(searched, targets);
    bad_input("target: these candidates can meet each target, but not all at once");
  }
  raise(a, targets);
  fill_up(a, targets);
  return a.graph();
}

Graph refine(const Graph& searched, const cost::Model& model) {
  Assignment a(searched);
  const Target present{.model = model, .limit = cost::discrete(a.graph(), model)};
  raise(a, {&present, 1});
  return a.graph();
}

}  // namespace mixgrad
