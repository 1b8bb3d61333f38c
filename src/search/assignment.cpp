// SPDX-License-Identifier: Apache-2.0
// Targets: from what the search prefers to a discrete network that costs no more than it may.
#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

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

/// Σ of how far each target is exceeded, relative to its limit.
double excess(const Graph& graph, std::span<const Target> targets) {
  double total = 0;
  for (const Target& t : targets) total += std::max(0.0, cost::discrete(graph, t.model) / t.limit - 1);
  return total;
}

/// What `measure` gives of the graph after a move.
template <typename Measure>
double after(Assignment& a, const Move& move, const Measure& measure) {
  a.set(move, move.to);
  const double value = measure(a.graph());
  a.set(move, move.from);
  return value;
}

/// One step down: the move with the least regret for what it saves; where none saves anything by itself (a maximum over
/// the network), the one of least regret. False when every column is at its lowest.
bool lower(Assignment& a, std::span<const Target> targets, double now) {
  Move best;
  double best_score = std::numeric_limits<double>::infinity();
  bool best_saves = false, found = false;
  for (const Move& move : a.moves(true)) {
    const double saved = now - after(a, move, [&](const Graph& g) { return excess(g, targets); });
    const bool saves = saved > 0;
    // A column that α would rather see elsewhere costs nothing to move; the small constant prefers larger savings then.
    const double regret = std::max(move.regret, 0.0) + 1e-6, score = saves ? regret / saved : regret;
    if (found && (best_saves && !saves)) continue;
    if (!found || (saves && !best_saves) || score < best_score) best = move, best_score = score, best_saves = saves;
    found = true;
  }
  if (found) a.set(best, best.to);
  return found;
}

/// One step up that keeps every target: the one of least regret, cheaper ones first. False when nothing fits.
bool raise(Assignment& a, std::span<const Target> targets) {
  std::vector<Move> moves = a.moves(false);
  std::ranges::stable_sort(moves, {}, &Move::regret);
  for (const Move& move : moves) {
    if (after(a, move, [&](const Graph& g) { return excess(g, targets); }) > 0) continue;
    a.set(move, move.to);
    return true;
  }
  return false;
}

double bytes_factor(const std::string& unit) {
  if (unit == "B") return 8;
  if (unit == "KiB") return 8.0 * 1024;
  if (unit == "MiB") return 8.0 * 1024 * 1024;
  return 0;
}

Target parse_target(const std::string& part, const Graph& network) {
  const auto equals = part.find('=');
  char* end = nullptr;
  const double value = equals == std::string::npos ? 0 : std::strtod(part.c_str() + equals + 1, &end);
  if (!(value > 0) || !std::isfinite(value)) {
    bad_input("target: '{}' is not of the form size=40KiB, size=35% or macs=2e8: expected COST=NUMBER with a number above 0", part);
  }
  const std::string name = part.substr(0, equals), unit = end;
  const cost::Model model = cost::find(name);
  if (unit == "%") return {model, value / 100 * cost::uniform(network, model, 8)};
  if (unit.empty()) return {model, value};
  if (name == "size" && bytes_factor(unit) > 0) return {model, value * bytes_factor(unit)};
  if (model.unit == "bytes" && bytes_factor(unit) > 0) return {model, value * bytes_factor(unit) / 8};
  bad_input("target: '{}' has the unknown unit '{}': expected a plain number ({}), or % of uniform 8-bit{}", part, unit, model.unit,
            name == "size" || model.unit == "bytes" ? ", or B, KiB, MiB" : "");
}

}  // namespace

std::vector<Target> parse_targets(const std::string& text, const Graph& network) {
  std::vector<Target> targets;
  for (size_t begin = 0; begin < text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const Target target = parse_target(text.substr(begin, comma - begin), network);
    for (const Target& other : targets) {
      if (other.model.name == target.model.name) bad_input("target: {} is given twice: expected each cost once", target.model.name);
    }
    targets.push_back(target);
    begin = comma + 1;
  }
  return targets;
}

void check_reachable(const Graph& searched, std::span<const Target> targets) {
  Assignment cheapest(searched);
  cheapest.lower_all();
  for (const Target& t : targets) {
    const double least = cost::discrete(cheapest.graph(), t.model);
    if (least > t.limit) {
      bad_input("target: {} of {:.0f} {} can't be met: the smallest that these candidates reach is {:.0f}", t.model.name, t.limit,
                t.model.unit, least);
    }
  }
}

Graph meet_targets(const Graph& searched, std::span<const Target> targets) {
  Assignment a(searched);
  if (targets.empty()) return a.graph();
  for (double now = excess(a.graph(), targets); now > 0; now = excess(a.graph(), targets)) {
    if (lower(a, targets, now)) continue;
    check_reachable(searched, targets);
    failed_run("target: no choice of bit-widths was found that meets all targets at once");
  }
  while (raise(a, targets)) {
  }
  return a.graph();
}

}  // namespace mixgrad
