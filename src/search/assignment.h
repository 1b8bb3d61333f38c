// SPDX-License-Identifier: Apache-2.0
// The discrete networks among which targets choose: every slot's candidates, and what is chosen of them.
#pragma once

#include <mixgrad/search.h>

#include <map>
#include <tuple>

namespace mixgrad {

/// A slot of the search: one candidate for each of its columns (an output channel, a layer, a tensor).
struct Choice {
  std::vector<int> bits;                       ///< candidates, ascending
  Tensor alpha;                                ///< [P] or [P, columns]
  std::vector<size_t> chosen;                  ///< candidate of every column
  std::vector<size_t> nodes = {};              ///< that hold the slot
  const ActivationSlot* activation = nullptr;  ///< none: weights
  std::vector<Tensor> scales = {};             ///< of weights, by node: those of the candidates, where they are learned

  size_t columns() const { return chosen.size(); }
  bool prunes() const { return bits[0] == 0; }
  /// How much α of column c prefers candidate `from` to candidate `to`.
  double regret(size_t c, size_t from, size_t to) const;
  /// Columns that may leave `from` for `to`: those at `from`, but one channel of a slot stays alive.
  size_t movable(size_t from, size_t to) const;
  /// All columns at one candidate; at 0 bits but for one, which has candidate `live`.
  std::vector<size_t> filled(size_t candidate, size_t live = 1) const;
};

/// Columns of one choice that go from one candidate to another. A cost depends on how many columns of a choice are at
/// each candidate, not on which: so those that give up least of α stand for all.
struct Move {
  size_t choice = 0, from = 0, to = 0;
  std::vector<size_t> columns = {};
  double regret = 0;  ///< of all columns
};

/// Tells moves of one kind apart by how many columns they take.
using Kind = std::tuple<size_t, size_t, size_t, size_t>;
inline Kind kind(const Move& m) { return {m.choice, m.from, m.to, m.columns.size()}; }

enum class Direction { DOWN, UP, BOTH };

/// Every choice of a search, and the fixed graph that they make: at first the arg max of α.
class Assignment {
 public:
  using Chosen = std::vector<std::vector<size_t>>;  // candidates, by choice and column

  explicit Assignment(const Graph& searched);

  const Graph& graph() const { return graph_; }
  const std::vector<Choice>& choices() const { return choices_; }

  void apply(const Move& m) { put(m, m.to); }
  void undo(const Move& m) { put(m, m.from); }
  /// All columns of a choice.
  void set(size_t choice, const std::vector<size_t>& chosen);
  /// Every choice at its largest candidate.
  void set_all_largest();
  /// Another α for a choice, shaped like its own, and its arg max.
  void prefer(size_t choice, const Tensor& alpha);
  Chosen chosen() const;
  void restore(const Chosen& chosen);

  /// Every kind of move to fewer (or more) bits, with as many columns as asked for, or fewer where there are no more.
  std::vector<Move> moves(Direction direction, size_t columns = 1) const;
  /// The same of several columns, for what pays only together where costs count whole tiles: 2, 4, 8 … columns, those
  /// that leave `from` or fill `to` with a multiple of 2, 4, 8 …, and all.
  std::vector<Move> group_moves(Direction direction) const;
  /// Of one choice and two candidates alone.
  std::vector<Move> group_moves(size_t choice, size_t from, size_t to) const;

 private:
  /// Calls `visit` with every choice, from, to of this direction.
  template <typename Visit>
  void visit_kinds(Direction direction, const Visit& visit) const;
  void add(std::map<const void*, size_t>& index, const void* slot, Choice choice, size_t node);
  void put(const Move& m, size_t candidate);
  void write(size_t choice, size_t column);

  Graph graph_;
  std::vector<Choice> choices_;
};

/// An assignment's costs, however it changes, against their targets. The assignment must stay where it is.
class Budget {
 public:
  Budget(const Assignment& a, std::span<const Target> targets);

  std::span<const Target> targets() const { return targets_; }
  /// What each target counts.
  std::vector<double> costs();
  bool holds(const std::vector<double>& costs) const;
  /// Σ of how far each target is exceeded, relative to its limit.
  double excess();
  /// Share of the budget in use: of the target that is nearest to its limit.
  double used();

 private:
  std::span<const Target> targets_;
  std::vector<cost::Meter> meters_;
};

/// A network with weights at one bit-width and activations at one.
struct Uniform {
  int weight_bits, activation_bits;  ///< 0 where none of a kind choose
  Assignment::Chosen chosen;
};
/// Every uniform network of the candidates, fewest bits first, each choice at its largest candidate that is not above,
/// or its smallest. Without 0 bits.
std::vector<Uniform> uniform_networks(const Assignment& a);

/// What `measure` gives after a move.
template <typename Measure>
auto after(Assignment& a, const Move& move, const Measure& measure) {
  a.apply(move);
  const auto value = measure();
  a.undo(move);
  return value;
}

}  // namespace mixgrad
