// SPDX-License-Identifier: Apache-2.0
#include "lower_bits.h"

#include "filling.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>

namespace mixgrad {
namespace {

/// Remembers by kind what moves save, since a move hardly changes what others save, and measures again before deciding.
class BitLowering {
 public:
  BitLowering(Assignment& a, Budget& budget, Step step, double most_regret = std::numeric_limits<double>::infinity())
      : a_(a), budget_(budget), step_(step), most_regret_(most_regret) {}

  bool run() {
    for (now_ = budget_.excess(); now_ > 0;) {
      std::optional<Move> best = best_of(candidates());
      if (!best) best = best_of_all(a_.group_moves(Direction::BOTH));
      if (!best || score(*best, saving(*best)) >= Score(SAVES, most_regret_)) return false;
      const double before = now_;
      now_ = saving(*best).excess_after;
      a_.apply(*best);
      moves_[best->choice].reset();
      if (now_ < before) all_measured_ = false;
      forget(best->choice);
      ++turn_;
    }
    return true;
  }

 private:
  struct KindHash {
    size_t operator()(const Kind& k) const {
      const auto& [choice, from, to, columns] = k;
      return ((choice * 16 + from) * 16 + to) * 4096 + columns;
    }
  };
  struct Saving {
    double saved = 0, excess_after = 0;
    size_t turn = 0;  // of the measurement
  };
  enum Rank { SAVES, COSTS_NOTHING, USELESS };
  using Score = std::pair<Rank, double>;
  static constexpr Score worst = {USELESS, std::numeric_limits<double>::infinity()};

  const Saving& measure(const Move& m) {
    const double excess_after = after(a_, m, [&] { return budget_.excess(); });
    Saving& s = known_[kind(m)];
    if (m.columns.size() == 1 && now_ - excess_after < s.saved / 2)
      together_.erase({m.choice, m.from, m.to});  // the last of a tile
    return s = {.saved = now_ - excess_after, .excess_after = excess_after, .turn = turn_};
  }
  const Saving& saving(const Move& m) {
    const auto found = known_.find(kind(m));
    return found == known_.end() ? measure(m) : found->second;
  }
  bool up_to_date(const Move& m) { return saving(m).turn == turn_; }

  /// Smaller is better. Moving a column that α prefers elsewhere costs nothing; the small constant then favours larger
  /// savings.
  static Score score(const Move& m, const Saving& s) {
    const double regret = std::max(m.regret, 0.0) + 1e-6;
    if (s.saved > 0) return {SAVES, regret / s.saved};
    return {s.saved == 0 && m.to < m.from ? COSTS_NOTHING : USELESS, regret};
  }

  /// Moves of single columns, or of all columns at a candidate, and of groups that pay together. Of a choice, they
  /// change only when one of its own is applied.
  std::vector<const Move*> candidates() {
    const bool whole = step_ == Step::WHOLE_CHOICES;
    moves_.resize(a_.choices().size());
    groups_.clear();
    std::vector<const Move*> out;
    for (size_t i = 0; i < moves_.size(); ++i) {
      if (!moves_[i]) moves_[i] = a_.moves(i, Direction::BOTH, whole ? std::numeric_limits<size_t>::max() : 1);
      for (const Move& m : *moves_[i]) {
        out.push_back(&m);
        if (!whole && pays_together(m)) std::ranges::move(a_.group_moves(i, m.from, m.to), std::back_inserter(groups_));
      }
    }
    for (const Move& m : groups_) out.push_back(&m);
    return out;
  }

  /// Whether a column saves more in a group (half of the columns that can move, or all) than alone.
  bool pays_together(const Move& one) {
    const double alone = saving(one).saved * (1 + 1e-3);  // first: it may forget the entry
    const auto [found, is_new] = together_.try_emplace({one.choice, one.from, one.to}, false);
    if (!is_new) return found->second;
    const size_t most = a_.choices()[one.choice].movable(one.from, one.to);
    for (const Move& m : a_.group_moves(one.choice, one.from, one.to)) {
      const size_t columns = m.columns.size();
      if (columns != most && columns < most / 2) continue;
      found->second = found->second || measure(m).saved > alone * static_cast<double>(columns);
    }
    return found->second;
  }

  /// If columns pay together, a move changes what all others of its choice save, because tiles fill up or empty.
  void forget(size_t choice) {
    const auto of_choice = [&](const auto& entry) { return std::get<0>(entry.first) == choice; };
    if (std::ranges::none_of(together_, [&](const auto& entry) { return of_choice(entry) && entry.second; })) return;
    std::erase_if(together_, of_choice);
    std::erase_if(known_, of_choice);
  }

  /// Measures what looks best again until the best is up to date, and everything once if nothing seems to save.
  std::optional<Move> best_of(const std::vector<const Move*>& moves) {
    while (true) {
      const Move* best = nullptr;
      Score least = worst;
      for (const Move* m : moves) {
        const Score s = score(*m, saving(*m));
        if (s < least) best = m, least = s;
      }
      if (least.first != SAVES && !all_measured_) {
        for (const Move* m : moves) {
          if (score(*m, saving(*m)).first == USELESS && !up_to_date(*m)) measure(*m);
        }
        all_measured_ = true;
      } else if (best == nullptr || least.first == USELESS) {
        return std::nullopt;
      } else if (up_to_date(*best)) {
        return *best;
      } else {
        measure(*best);
      }
    }
  }

  std::optional<Move> best_of_all(const std::vector<Move>& moves) {
    std::optional<Move> best;
    Score least = {COSTS_NOTHING, 0};
    for (const Move& m : moves) {
      const Score s = score(m, measure(m));
      if (s < least) best = m, least = s;
    }
    return best;
  }

  Assignment& a_;
  Budget& budget_;
  Step step_;
  double most_regret_;                                   // per unit of excess saved
  std::vector<std::optional<std::vector<Move>>> moves_;  // by choice
  std::vector<Move> groups_;
  std::unordered_map<Kind, Saving, KindHash> known_;
  std::map<std::tuple<size_t, size_t, size_t>, bool> together_;  // by choice, from, to
  bool all_measured_ = false;                                    // since the last move that saved something
  double now_ = 0;
  size_t turn_ = 0;
};

}  // namespace

bool lower(Assignment& a, Budget& budget, Step step) { return BitLowering(a, budget, step).run(); }

void lower_for(Assignment& a, const cost::Model& model, double strength) {
  const Target unit{.model = model, .limit = 1};  // out of reach, so that its excess falls with the cost
  Budget budget(a, {&unit, 1});
  BitLowering(a, budget, Step::COLUMNS, strength).run();
  const std::vector<Target> present = budget.at_present();
  Budget spent(a, present);
  raise(a, spent);
}

}  // namespace mixgrad
