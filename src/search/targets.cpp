// SPDX-License-Identifier: Apache-2.0
// Targets: from what the search prefers to a discrete network that costs no more than it may.
#include "reach.h"

#include <mixgrad/error.h>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <tuple>

namespace mixgrad {
namespace {

using Kind = std::tuple<size_t, size_t, size_t, size_t>;
Kind kind(const Move& m) { return {m.choice, m.from, m.to, m.columns.size()}; }

std::vector<Move> joined(std::vector<Move> a, std::vector<Move> b) {
  std::ranges::move(b, std::back_inserter(a));
  return a;
}

/// Moves by what they do for the targets: always the one with the least regret for what it saves, until every target
/// holds. Where no move saves anything by itself (a maximum over the network), the one to fewer bits of least regret that
/// costs nothing; where there is none, groups of columns. Ends without success where none of these saves anything.
class Lowering {
 public:
  Lowering(Assignment& a, Budget& budget) : a_(a), budget_(budget) {}

  bool run() {
    for (now_ = budget_.excess(); now_ > 0; ++step_) {
      std::optional<Move> best = best_single();
      if (!best) best = best_group();
      if (!best) return false;
      a_.apply(*best);
      const double before = now_;
      now_ = known_.at(kind(*best)).excess_after;
      if (now_ < before) all_measured_ = false;
    }
    return true;
  }

 private:
  struct Saving {
    double saved, excess_after;
    size_t step;  // at which it was measured
  };
  enum Rank { SAVES, COSTS_NOTHING, USELESS };
  using Score = std::pair<Rank, double>;

  const Saving& measure(const Move& m) {
    const double excess_after = after(a_, m, [&] { return budget_.excess(); });
    return known_[kind(m)] = {.saved = now_ - excess_after, .excess_after = excess_after, .step = step_};
  }
  const Saving& saving(const Move& m) {
    const auto found = known_.find(kind(m));
    return found == known_.end() ? measure(m) : found->second;
  }
  bool up_to_date(const Move& m) { return saving(m).step == step_; }

  /// Smaller is better. A column that α would rather see elsewhere costs nothing to move; the small constant prefers
  /// larger savings then.
  static Score score(const Move& m, const Saving& s) {
    const double regret = std::max(m.regret, 0.0) + 1e-6;
    if (s.saved > 0) return {SAVES, regret / s.saved};
    return {s.saved == 0 && m.to < m.from ? COSTS_NOTHING : USELESS, regret};
  }

  /// Measures again what looks best until the best is up to date, and everything once where nothing saves any more.
  std::optional<Move> best_single() {
    const std::vector<Move> moves = joined(a_.moves(Direction::DOWN), a_.moves(Direction::UP));
    while (!moves.empty()) {
      const Move* best = nullptr;
      Score least = {USELESS, std::numeric_limits<double>::infinity()};
      for (const Move& m : moves) {
        const Score s = score(m, saving(m));
        if (s < least) best = &m, least = s;
      }
      if (least.first != SAVES && !all_measured_) {
        for (const Move& m : moves) {
          if (score(m, saving(m)).first == USELESS && !up_to_date(m)) measure(m);
        }
        all_measured_ = true;
      } else if (least.first == USELESS) {
        return std::nullopt;
      } else if (up_to_date(*best)) {
        return *best;
      } else {
        measure(*best);
      }
    }
    return std::nullopt;
  }

  std::optional<Move> best_group() {
    std::optional<Move> best;
    Score least = {COSTS_NOTHING, 0};
    for (const Move& m : joined(a_.group_moves(Direction::DOWN), a_.group_moves(Direction::UP))) {
      const Score s = score(m, measure(m));
      if (s < least) best = m, least = s;
    }
    return best;
  }

  Assignment& a_;
  Budget& budget_;
  std::map<Kind, Saving> known_;  // by kind of move: what one does changes little while others are made
  bool all_measured_ = false;     // since a move saved something
  double now_ = 0;
  size_t step_ = 0;
};

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

  /// All that go to more bits. Activations only where a target counts them: for the others α has decided.
  void raise() {
    const auto counts = [&](const Move& m, const std::vector<double>& now, const std::vector<double>& then) {
      return a_.choices()[m.choice].activation == nullptr || now != then;
    };
    while (step(a_.moves(Direction::UP), counts) || step(a_.group_moves(Direction::UP), counts)) {
    }
  }

  /// All that α prefers.
  void follow_alpha() {
    const auto preferred = [](const Move& m, const std::vector<double>&, const std::vector<double>&) { return m.regret < 0; };
    while (step(joined(a_.moves(Direction::DOWN), a_.moves(Direction::UP)), preferred) ||
           step(joined(a_.group_moves(Direction::DOWN), a_.group_moves(Direction::UP)), preferred)) {
    }
  }

 private:
  template <typename Wanted>
  bool step(std::vector<Move> moves, const Wanted& wanted) {
    std::ranges::stable_sort(moves, {}, &Move::regret);
    const std::vector<double> now = budget_.costs();
    for (const Move& m : moves) {
      if (refused_.contains(kind(m))) continue;
      const std::vector<double> then = after(a_, m, [&] { return budget_.costs(); });
      if (!budget_.holds(then) || !wanted(m, now, then)) {
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

/// Coarse choices (whole layers) can leave much of a budget unused: exchanges choices until `enough` is used or nothing
/// helps. Takes the first exchange by regret that reaches `enough`, otherwise the one that uses most.
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
    Filling(a, budget).raise();
    use = budget.used();
    if (use <= before) return;  // more bits were cheaper: not what there is to fill up
  }
}

/// Says why there is no network within all targets, `nearest` being the one that exceeds them least.
[[noreturn]] void refuse(const Graph& searched, std::span<const Target> targets, const Graph& nearest) {
  if (targets.size() == 1) refuse_target(targets[0], searched, nearest);
  std::vector<std::string> reached;
  for (const Target& t : targets) {
    const double cost = cost::discrete(nearest, t.model);
    reached.push_back(fmt::format("{} {:.6g} of {:.6g} {}", t.model.name, cost, t.limit, t.model.unit));
  }
  bad_input("target: these candidates can meet each target, but no network that meets all at once was found; the nearest has {}",
            fmt::join(reached, ", "));
}

}  // namespace

void refuse_target(const Target& target, const Graph& network, const Graph& cheapest, const char* how) {
  const cost::Model& model = target.model;
  const double limit = target.limit;
  const double least = cost::discrete(cheapest, model);
  const auto uniform = cost::if_defined([&] { return cost::uniform(network, model, 8); });
  const std::string share = uniform ? fmt::format(", {:.1f}% of uniform 8-bit", 100 * least / *uniform) : "";
  const std::string reason = cost::reason(cheapest, model);
  bad_input("target: {} of {:.6g} {} can't be met{}: the smallest that these candidates reach is {:.6g}{}{}{}", model.name, limit,
            model.unit, how, least, share, reason.empty() ? "" : "; ", reason);
}

void check_reachable(const Graph& searched, std::span<const Target> targets) {
  const auto check = [&](std::span<const Target> together) {
    Assignment a(searched);
    if (!reach(a, together)) refuse(searched, together, a.graph());
  };
  for (const Target& t : targets) check({&t, 1});
  if (targets.size() > 1) check(targets);
}

Graph meet_targets(const Graph& searched, std::span<const Target> targets) {
  Assignment a(searched);
  if (targets.empty()) return a.graph();
  Budget budget(a, targets);
  if (!Lowering(a, budget).run()) {
    // α leads nowhere: a network within the targets, wherever it lies, and from there back towards α.
    for (const Target& t : targets) check_reachable(searched, {&t, 1});
    if (!reach(a, targets)) refuse(searched, targets, a.graph());
    Filling(a, budget).follow_alpha();
  }
  Filling(a, budget).raise();
  fill_up(a, budget);
  return a.graph();
}

Graph refine(const Graph& searched, const cost::Model& model) {
  Assignment a(searched);
  const Target present{.model = model, .limit = cost::discrete(a.graph(), model)};
  Budget budget(a, {&present, 1});
  Filling(a, budget).raise();
  return a.graph();
}

}  // namespace mixgrad
