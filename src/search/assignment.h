// SPDX-License-Identifier: Apache-2.0
// The discrete networks among which targets choose: every slot's candidates, and what is chosen of them.
#pragma once

#include <mixgrad/search.h>

#include <map>

namespace mixgrad {

/// A slot of the search: one candidate for each of its columns (an output channel, a layer, a tensor).
struct Choice {
  std::vector<int> bits;                       ///< candidates, ascending
  Tensor alpha;                                ///< [P] or [P, columns]
  std::vector<size_t> chosen;                  ///< candidate of every column
  std::vector<size_t> nodes = {};              ///< that hold the slot
  const ActivationSlot* activation = nullptr;  ///< none: weights

  size_t columns() const { return chosen.size(); }
  bool prunes() const { return bits[0] == 0; }
  /// How much α of column c prefers candidate `from` to candidate `to`.
  double regret(size_t c, size_t from, size_t to) const;
  /// Columns that may leave `from` for `to`: those at `from`, but one channel of a slot stays alive.
  size_t movable(size_t from, size_t to) const;
};

/// Columns of one choice that go from one candidate to another. A cost depends on how many columns of a choice are at
/// each candidate, not on which: so those that give up least of α stand for all.
struct Move {
  size_t choice = 0, from = 0, to = 0;
  std::vector<size_t> columns = {};
  double regret = 0;  ///< of all columns
};

enum class Direction { DOWN, UP };

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
  Chosen chosen() const;
  void restore(const Chosen& chosen);

  /// Every kind of move to fewer (or more) bits, with as many columns as asked for, or fewer where there are no more.
  std::vector<Move> moves(Direction direction, size_t columns = 1) const;
  /// The same of 2, 4, 8 … columns, up to all: what pays only together, where costs count whole tiles.
  std::vector<Move> group_moves(Direction direction) const;

 private:
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

/// What `measure` gives after a move.
template <typename Measure>
auto after(Assignment& a, const Move& move, const Measure& measure) {
  a.apply(move);
  const auto value = measure();
  a.undo(move);
  return value;
}

}  // namespace mixgrad
