// SPDX-License-Identifier: Apache-2.0
// The discrete networks that a search can choose from: every slot's candidates and the choice among them.
#pragma once

#include <mixgrad/search.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace mixgrad {

/// A slot of the search: a candidate for each of its columns (an output channel, a layer or a tensor).
struct SlotChoice {
  std::vector<int> bits;                       ///< candidates, ascending
  Tensor alpha;                                ///< [P] or [P, columns]
  std::vector<size_t> chosen;                  ///< candidate of every column
  std::vector<size_t> nodes = {};              ///< that hold the slot
  const ActivationSlot* activation = nullptr;  ///< none: weights
  std::vector<Tensor> scales = {};             ///< of weights, by node: those of the candidates, where they are learned
  std::vector<int64_t> kept = {};              ///< columns that never get 0 bits

  size_t columns() const { return chosen.size(); }
  bool prunes() const { return bits[0] == 0; }
  /// How much α prefers candidate `from` to candidate `to` in column c.
  double regret(size_t c, size_t from, size_t to) const;
  bool is_kept(size_t c) const { return std::ranges::find(kept, static_cast<int64_t>(c)) != kept.end(); }
  /// Number of columns that may go from `from` to `to`: those at `from`; to 0 bits, none that is kept and all but one.
  size_t movable(size_t from, size_t to) const;
  /// All columns at one candidate; for 0 bits, those kept, or else the last, stay at candidate `live`.
  std::vector<size_t> filled(size_t candidate, size_t live = 1) const;
};

/// Moves columns of a choice from one candidate to another. A cost depends only on how many columns of a choice are at
/// each candidate, so a move takes those that give up the least α.
struct Move {
  size_t choice = 0, from = 0, to = 0;
  std::vector<size_t> columns = {};
  double regret = 0;  ///< of all columns
};

/// Identifies moves by choice, candidates and number of columns.
using Kind = std::tuple<size_t, size_t, size_t, size_t>;
inline Kind kind(const Move& m) { return {m.choice, m.from, m.to, m.columns.size()}; }

enum class Direction { DOWN, UP, BOTH };

/// Every choice of a search and the discrete graph that they make, initially at the arg max of α.
class Assignment {
 public:
  using Chosen = std::vector<std::vector<size_t>>;  // candidates, by choice and column

  explicit Assignment(const Graph& searched);

  const Graph& graph() const { return graph_; }
  const std::vector<SlotChoice>& choices() const { return choices_; }

  void apply(const Move& m) { put(m, m.to); }
  void undo(const Move& m) { put(m, m.from); }
  /// Sets all columns of a choice.
  void set(size_t choice, const std::vector<size_t>& chosen);
  /// Sets every choice to its largest candidate.
  void set_all_largest();
  /// Gives a choice another α of the same shape, and sets it to the arg max.
  void prefer(size_t choice, const Tensor& alpha);
  Chosen chosen() const;
  void restore(const Chosen& chosen);

  /// Every kind of move in this direction, with up to `columns` columns.
  std::vector<Move> moves(Direction direction, size_t columns = 1) const;
  /// Only for one choice.
  std::vector<Move> moves(size_t choice, Direction direction, size_t columns) const;
  /// The same with several columns, which only pay together if costs count whole tiles: 2, 4, 8 … columns, numbers that
  /// leave `from` or fill `to` with a multiple of 2, 4, 8 …, and all columns.
  std::vector<Move> group_moves(Direction direction) const;
  /// Only for one choice and two candidates.
  std::vector<Move> group_moves(size_t choice, size_t from, size_t to) const;

 private:
  /// Calls `visit` with every from, to of this direction.
  template <typename Visit>
  void visit_kinds(size_t choice, Direction direction, const Visit& visit) const;
  void add(std::map<const void*, size_t>& index, const void* slot, SlotChoice choice, size_t node);
  void put(const Move& m, size_t candidate);
  void write(size_t choice, size_t column);

  Graph graph_;
  std::vector<SlotChoice> choices_;
};

/// Keeps the costs of an assignment as it changes, and compares them with the targets. The assignment must outlive it.
class Budget {
 public:
  Budget(const Assignment& a, std::span<const Target> targets);

  std::span<const Target> targets() const { return targets_; }
  /// The cost of each target.
  std::vector<double> costs();
  bool holds(const std::vector<double>& costs) const;
  /// Σ of how far each target is exceeded, relative to its limit.
  double excess();
  /// The targets with the present costs as their limits.
  std::vector<Target> at_present();
  /// Share of the budget in use, for the target nearest to its limit.
  double used();

 private:
  std::span<const Target> targets_;
  std::vector<cost::Meter> meters_;
};

/// A network with weights at one bit-width and activations at one.
struct Uniform {
  int weight_bits, activation_bits;  ///< 0 if no weights, or no activations, have a choice
  Assignment::Chosen chosen;
};
/// Every uniform network of the candidates above 0 bits, fewest bits first. Each choice takes its largest candidate
/// that is not above the uniform bit-width, or its smallest.
std::vector<Uniform> uniform_networks(const Assignment& a);

/// The result of `measure` after a move, which is undone.
template <typename Measure>
auto after(Assignment& a, const Move& move, const Measure& measure) {
  a.apply(move);
  const auto value = measure();
  a.undo(move);
  return value;
}

}  // namespace mixgrad
