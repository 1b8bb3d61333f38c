// SPDX-License-Identifier: Apache-2.0
// Explains a choice of bits: a layer's candidates over the epochs of a search.
#include <mixgrad/error.h>
#include <mixgrad/inspect.h>
#include <mixgrad/run_folder.h>

#include <src/internal/json.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::inspect {
namespace {

using nlohmann::ordered_json;
using train::AlphaReport;

bool holds(const AlphaReport& a, const std::string& layer) {
  return std::ranges::find(a.nodes, layer) != a.nodes.end();
}

/// Σ of row p of [P] or [P, C].
double sum(const Tensor& t, size_t p) {
  const auto row = static_cast<size_t>(t.size() / t.dim(0));
  double total = 0;
  for (float v : t.data().subspan(p * row, row)) total += v;
  return total;
}

double mean(const Tensor& t, size_t p) {
  return sum(t, p) * static_cast<double>(t.dim(0)) / static_cast<double>(t.size());
}

std::vector<Candidate> candidates(const AlphaReport& a) {
  const std::vector<size_t> best = quant::arg_max(a.alpha, a.bits);
  std::vector<Candidate> out;
  for (size_t p = 0; p < a.bits.size(); ++p) {
    Candidate& c = out.emplace_back(Candidate{.bits = a.bits[p],
                                              .alpha = mean(a.alpha, p),
                                              .theta = mean(a.theta, p),
                                              .chosen = std::ranges::count(best, p)});
    if (a.loss) {
      c.loss = sum(a.loss, p);
    } else {
      c.task_pull = -mean(a.task_gradient, p);
      c.cost_pull = -mean(a.cost_gradient, p);
    }
  }
  return out;
}

/// The history of the layer's α whose name ends with `suffix`.
std::optional<Story> story(const std::vector<HistoryEpoch>& history, const std::string& layer,
                           const std::string& suffix) {
  std::optional<Story> out;
  for (const HistoryEpoch& epoch : history) {
    for (const AlphaReport& a : epoch.alphas) {
      if (!a.name.ends_with(suffix) || !holds(a, layer)) continue;
      if (!out)
        out = Story{.alpha = a.name,
                    .nodes = a.nodes,
                    .channels = a.alpha.shape().rank() == 2 ? a.alpha.dim(1) : 0,
                    .epochs = {}};
      out->epochs.push_back({.epoch = epoch.epoch, .tau = epoch.tau, .candidates = candidates(a)});
    }
  }
  return out;
}

std::vector<std::string> layers_of(const std::vector<HistoryEpoch>& history) {
  std::vector<std::string> out;
  for (const AlphaReport& a : history.empty() ? std::vector<AlphaReport>() : history[0].alphas) {
    for (const std::string& node : a.nodes) {
      if (std::ranges::find(out, node) == out.end()) out.push_back(node);
    }
  }
  return out;
}

/// The layer in the exported network; unset while the run is unfinished.
std::optional<Exported> exported(const std::string& run, const Why& why) {
  const std::optional<Graph> graph = exported_network(run);
  if (!graph) return std::nullopt;
  const auto node = std::ranges::find(graph->nodes, why.layer, &Node::name);
  if (node == graph->nodes.end()) return std::nullopt;
  Exported out;
  if (node->weight_slot) {
    for (int bits : node->weight_slot->bits) ++out.channels[bits];
    const int64_t removed =
        why.weights && why.weights->channels > 0 ? why.weights->channels - node->weight().dim(0) : 0;
    if (removed > 0) out.channels[0] += removed;
  }
  if (node->output_slot) out.output_bits = node->output_slot->precisions[0];
  return out;
}

std::string pull(double value) { return value == 0 ? "0" : fmt::format("{:+.3g}", value); }

bool is_measured(const Story& s) { return s.epochs[0].candidates[0].loss.has_value(); }

/// With a measured α: what every candidate would add to the loss, and who chose it.
std::string measured_table(const Story& s) {
  std::string out = fmt::format("{:>5} {:>6} {:>12}{}\n", "epoch", "bits", "loss", s.channels > 0 ? "  channels" : "");
  for (const Story::Epoch& e : s.epochs) {
    for (const Candidate& c : e.candidates) {
      const std::string epoch = &c == &e.candidates[0] ? std::to_string(e.epoch + 1) : "";
      out += fmt::format("{:>5} {:>6} {:>12}{}\n", epoch, c.bits, pull(*c.loss),
                         s.channels > 0 ? fmt::format("  {:>8}", c.chosen)
                         : c.chosen > 0 ? "  chosen"
                                        : "");
    }
  }
  return out;
}

std::string table(const Story& s) {
  std::string out = fmt::format("{:>5} {:>7} {:>6} {:>7} {:>7} {:>12} {:>12} {:>12}{}\n", "epoch", "tau", "bits",
                                "alpha", "theta", "task pull", "cost pull", "sum", s.channels > 0 ? "  channels" : "");
  for (const Story::Epoch& e : s.epochs) {
    for (const Candidate& c : e.candidates) {
      const bool first = &c == &e.candidates[0];
      out += fmt::format("{:>5} {:>7} {:>6} {:>7.3f} {:>7.3f} {:>12} {:>12} {:>12}",
                         first ? std::to_string(e.epoch + 1) : "", first ? fmt::format("{:.3g}", e.tau) : "", c.bits,
                         c.alpha, c.theta, pull(c.task_pull), pull(c.cost_pull), pull(c.task_pull + c.cost_pull));
      if (s.channels > 0) out += fmt::format("  {:>8}", c.chosen);
      out += "\n";
    }
  }
  return out;
}

std::string in_words(const Story& s) {
  std::string out = fmt::format("\nMean over {} epoch{}:\n", s.epochs.size(), s.epochs.size() == 1 ? "" : "s");
  for (const Candidate& c : s.outcome()) {
    out += fmt::format("  {} bits: task pull {}, cost pull {}, sum {}", c.bits, pull(c.task_pull), pull(c.cost_pull),
                       pull(c.task_pull + c.cost_pull));
    if (s.channels > 0) {
      out += fmt::format("; chosen by {} of {} channels", c.chosen, s.channels);
    } else if (c.chosen > 0) {
      out += fmt::format("; chosen, with theta {:.3f}", c.theta);
    }
    out += "\n";
  }
  return out;
}

std::string text(const std::string& layer, const char* what, const Story& s) {
  std::string out = fmt::format("{}: {}", layer, what);
  if (s.channels > 0)
    out += fmt::format(" of {} channels, each with its own alpha ({} over the channels)", s.channels,
                       is_measured(s) ? "sums" : "means");
  std::vector<std::string> others = s.nodes;
  std::erase(others, layer);
  if (!others.empty()) out += fmt::format("\nshares its alpha with {}", fmt::join(others, ", "));
  if (s.epochs[0].candidates.size() == 1)
    return out + fmt::format("\n{} bits was the only candidate\n", s.epochs[0].candidates[0].bits);
  return out + "\n\n" + (is_measured(s) ? measured_table(s) : table(s) + in_words(s));
}

std::string in_words(const std::map<int, int64_t>& channels) {
  std::vector<std::string> parts;
  for (const auto& [bits, count] : channels) {
    parts.push_back(bits == 0 ? fmt::format("{} channels removed", count) : fmt::format("{} at {} bits", count, bits));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string in_words(const Exported& e) {
  std::string out = e.channels.empty() ? "" : "weights: " + in_words(e.channels);
  if (e.output_bits) out += fmt::format("{}output: {} bits", out.empty() ? "" : "; ", *e.output_bits);
  return "\nAs exported: " + (out.empty() ? "float" : out) + "\n";
}

/// Channels by the final arg max of their α; a per-layer choice counts for all channels.
std::map<int, int64_t> at_arg_max(const Story& s, int64_t channels) {
  std::map<int, int64_t> out;
  for (const Candidate& c : s.outcome()) {
    if (c.chosen > 0) out[c.bits] = s.channels > 0 ? c.chosen : channels;
  }
  return out;
}

int chosen_bits(const Story& s) {
  const std::vector<Candidate> outcome = s.outcome();
  return std::ranges::find(outcome, int64_t{1}, &Candidate::chosen)->bits;
}

/// How the targets moved a layer from the arg max of its α, and from which network.
std::string moved(const Why& why) {
  std::string out;
  int64_t channels = 0;
  for (const auto& [bits, count] : why.exported->channels) channels += count;
  if (why.weights && channels > 0) {
    const auto before = at_arg_max(*why.weights, channels);
    if (before != why.exported->channels) {
      out += fmt::format("Its weights moved from the arg max ({}) to {}.\n", in_words(before),
                         in_words(why.exported->channels));
    }
  }
  if (why.output && why.exported->output_bits && chosen_bits(*why.output) != *why.exported->output_bits) {
    out += fmt::format("Its output moved from the arg max ({} bits) to {} bits.\n", chosen_bits(*why.output),
                       *why.exported->output_bits);
  }
  if (!why.repair) return out;
  if (out.empty()) out = "To meet the targets, this layer did not have to leave its arg max.\n";
  for (const Repair::Cost& c : why.repair->costs) {
    out += fmt::format("Target: {} of at most {:.6g}; {:.6g} at the arg max, {:.6g} as exported.\n", c.name, c.limit,
                       c.arg_max, c.found);
  }
  return out + fmt::format("The network was derived from {}.\n{} of its {} choices moved from their arg max.\n",
                           why.repair->start, why.repair->moved, why.repair->choices);
}

ordered_json to_json(const std::vector<Candidate>& candidates) {
  ordered_json out = ordered_json::array();
  for (const Candidate& c : candidates) {
    out.push_back({{"bits", c.bits},
                   {"alpha", c.alpha},
                   {"theta", c.theta},
                   {"task_pull", c.loss ? ordered_json() : ordered_json(c.task_pull)},
                   {"cost_pull", c.loss ? ordered_json() : ordered_json(c.cost_pull)},
                   {"loss", c.loss ? ordered_json(*c.loss) : ordered_json()},
                   {"chosen", c.chosen}});
  }
  return out;
}

ordered_json to_json(const std::optional<Story>& s) {
  if (!s) return nullptr;
  ordered_json epochs = ordered_json::array();
  for (const Story::Epoch& e : s->epochs)
    epochs.push_back({{"epoch", e.epoch}, {"tau", e.tau}, {"candidates", to_json(e.candidates)}});
  return {{"alpha", s->alpha},
          {"nodes", s->nodes},
          {"channels", s->channels},
          {"epochs", epochs},
          {"outcome", to_json(s->outcome())}};
}

}  // namespace

std::vector<Candidate> Story::outcome() const {
  std::vector<Candidate> out = epochs.back().candidates;
  for (size_t p = 0; p < out.size(); ++p) {
    out[p].task_pull = out[p].cost_pull = 0;
    for (const Epoch& e : epochs) {
      out[p].task_pull += e.candidates[p].task_pull / static_cast<double>(epochs.size());
      out[p].cost_pull += e.candidates[p].cost_pull / static_cast<double>(epochs.size());
    }
  }
  return out;
}

std::vector<std::string> searched_layers(const std::string& run) { return layers_of(read_history(run)); }

Why why(const std::string& run, const std::string& layer) {
  const std::vector<HistoryEpoch> history = read_history(run);
  Why out{.layer = layer,
          .weights = story(history, layer, ".alpha_w"),
          .output = story(history, layer, ".alpha_a"),
          .exported = {},
          .repair = {}};
  if (!out.weights && !out.output) {
    bad_input("why: the search in {} did not choose any bits for a layer '{}': expected one of {}", run, layer,
              fmt::join(layers_of(history), ", "));
  }
  out.exported = exported(run, out);
  if (out.exported) out.repair = repair_of(run);
  return out;
}

std::string text(const Why& why) {
  std::string out;
  if (why.weights) out += text(why.layer, "weights", *why.weights);
  if (why.output) out += (out.empty() ? "" : "\n") + text(why.layer, "output", *why.output);
  if (why.exported) out += in_words(*why.exported) + moved(why);
  if (is_measured(why.weights ? *why.weights : *why.output)) {
    return out +
           "\nThe loss is what a candidate would add to the task's loss: each layer has been tried at it, and the\n"
           "Fisher information (squared gradients) shares the loss among channels. The costs decide with it.\n";
  }
  return out +
         "\nA pull is -gradient, the direction in which it moves alpha, averaged over the steps of an epoch.\n"
         "Adam divides each step by the magnitude of recent gradients: many small ones can outweigh a few\n"
         "large ones, so alpha may move against the sign of a mean pull.\n";
}

std::string json(const Why& why) {
  ordered_json exported = nullptr;
  if (why.exported) {
    exported = {{"channels", ordered_json::object()},
                {"output_bits", why.exported->output_bits ? ordered_json(*why.exported->output_bits) : ordered_json()}};
    for (const auto& [bits, channels] : why.exported->channels) exported["channels"][std::to_string(bits)] = channels;
  }
  const ordered_json all = {{"layer", why.layer},
                            {"weights", to_json(why.weights)},
                            {"output", to_json(why.output)},
                            {"exported", exported},
                            {"repair", why.repair ? parse_ordered_json(to_json(*why.repair)) : ordered_json()}};
  return json_text(all) + "\n";
}

}  // namespace mixgrad::inspect
