// SPDX-License-Identifier: Apache-2.0
#include "filling.h"

#include <algorithm>
#include <optional>
#include <set>

namespace mixgrad {
namespace {

bool any_less(const std::vector<double>& a, const std::vector<double>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] < b[i]) return true;
  }
  return false;
}

/// Makes moves, least regret first, while every target still holds. Groups of columns where no single one fits. A kind
/// of move that did not fit is tried again only when some cost has fallen.
class Filling {
 public:
  Filling(Assignment& a, Budget& budget) : a_(a), budget_(budget) {}

  /// All moves that are `wanted`.
  template <typename Wanted>
  void run(Direction direction, const Wanted& wanted) {
    while (step(a_.moves(direction), wanted) || step(a_.group_moves(direction), wanted)) {
    }
  }

 private:
  template <typename Wanted>
  bool step(std::vector<Move> moves, const Wanted& wanted) {
    std::ranges::stable_sort(moves, {}, &Move::regret);
    const std::vector<double> now = budget_.costs();
    for (const Move& m : moves) {
      if (!wanted(m) || refused_.contains(kind(m))) continue;
      const std::vector<double> then = after(a_, m, [&] { return budget_.costs(); });
      if (!budget_.holds(then)) {
        refused_.insert(kind(m));
        continue;
      }
      a_.apply(m);
      if (any_less(then, now)) refused_.clear();
      return true;
    }
    return false;
  }

  Assignment& a_;
  Budget& budget_;
  std::set<Kind> refused_;
};

/// A move down that makes room for one up.
struct Exchange {
  Move down, up;
};

/// Every pair of moves of which the first makes nothing dearer, least regret first.
std::vector<Exchange> exchanges(Assignment& a, Budget& budget) {
  std::vector<Exchange> out;
  const std::vector<double> now = budget.costs();
  for (const Move& down : a.moves(Direction::DOWN)) {
    if (any_less(now, after(a, down, [&] { return budget.costs(); }))) continue;
    a.apply(down);
    for (const Move& up : a.moves(Direction::UP)) {
      if (up.choice != down.choice || up.columns != down.columns) out.push_back({down, up});
    }
    a.undo(down);
  }
  std::ranges::stable_sort(out, {}, [](const Exchange& e) { return e.down.regret + e.up.regret; });
  return out;
}

}  // namespace

void raise(Assignment& a, Budget& budget) {
  Filling(a, budget).run(Direction::UP, [](const Move&) { return true; });
}

void raise_weights(Assignment& a, Budget& budget) {
  Filling(a, budget).run(Direction::UP, [&](const Move& m) { return a.choices()[m.choice].activation == nullptr; });
}

void raise_activations(Assignment& a, Budget& budget) {
  Filling(a, budget).run(Direction::UP, [&](const Move& m) { return a.choices()[m.choice].activation != nullptr; });
}

void follow_alpha(Assignment& a, Budget& budget) {
  Filling(a, budget).run(Direction::BOTH, [](const Move& m) { return m.regret < 0; });
}

/// Takes the first exchange by regret that reaches `enough`, otherwise the one that uses most.
void fill_up(Assignment& a, Budget& budget) {
  constexpr double enough = 0.95;
  for (double use = budget.used(); use < enough;) {
    const double before = use;
    std::optional<Exchange> best;
    for (const Exchange& e : exchanges(a, budget)) {
      a.apply(e.down);
      const double exchanged = after(a, e.up, [&] { return budget.excess() > 0 ? 0.0 : budget.used(); });
      a.undo(e.down);
      if (exchanged <= use) continue;
      use = exchanged;
      best = e;
      if (use >= enough) break;
    }
    if (!best) return;
    a.apply(best->down);
    a.apply(best->up);
    raise(a, budget);
    use = budget.used();
    if (use <= before) return;  // more bits were cheaper: not what there is to fill up
  }
}

}  // namespace mixgrad
