// SPDX-License-Identifier: Apache-2.0
// A network's nodes and the quantizers that they share.
#include "dot.h"

#include <mixgrad/inspect.h>
#include <mixgrad/models.h>

#include <src/internal/json.h>
#include <src/internal/text.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>

namespace mixgrad::inspect {
namespace {

using nlohmann::ordered_json;
using report::grouped;
using report::listed;
using report::shortened;

constexpr size_t longest_name = 24;

Quantizer described(const WeightSlot& slot, std::string id) {
  Quantizer q{.id = std::move(id), .bits = slot.precisions, .fixed = slot.fixed(), .nodes = {}};
  if (q.fixed) q.bits = quant::checked_precisions("weight bits", slot.bits, 0);
  if (q.fixed) q.channels = q.bits.size() > 1 ? std::ssize(slot.bits) : 0;
  if (!q.fixed && slot.alpha.shape().rank() == 2) q.channels = slot.alpha.dim(1);
  return q;
}

Quantizer described(const ActivationSlot& slot, std::string id) {
  return {
      .id = std::move(id), .bits = slot.precisions, .fixed = slot.fixed(), .is_signed = slot.is_signed, .nodes = {}};
}

/// Adds a quantizer for every slot, and its id to `ids`.
template <typename Slot>
void add_quantizers(const Graph& graph, std::shared_ptr<Slot> Node::*member, char kind, GraphView& view,
                    std::map<const void*, std::string>& ids) {
  int count = 0;
  for (const Node& node : graph.nodes) {
    const Slot* slot = (node.*member).get();
    if (slot == nullptr) continue;
    if (!ids.contains(slot)) {
      ids[slot] = fmt::format("{}{}", kind, ++count);
      view.quantizers.push_back(described(*slot, ids[slot]));
    }
    std::ranges::find(view.quantizers, ids[slot], &Quantizer::id)->nodes.push_back(node.name);
  }
}

NodeView described(const Node& node) {
  NodeView out{.name = node.name,
               .op = std::string(node.op_name()),
               .inputs = node.inputs,
               .shape = node.shape,
               .weight_quantizer = {},
               .output_quantizer = {}};
  if (node.activation != Activation::none) out.op += fmt::format(" + {}", op::Activate{node.activation}.name());
  if (node.is_layer()) {
    out.weights = node.weight().size();
    out.macs = node.macs();
  }
  return out;
}

std::string or_dot(const std::string& text) { return text.empty() ? "." : text; }
std::string count(int64_t value) { return value == 0 ? "." : grouped(static_cast<double>(value)); }

std::string kind_of(const Quantizer& q) {
  std::string out = fmt::format("{} bits", fmt::join(q.bits, ","));
  if (q.channels > 0) out += fmt::format(", {} channels", q.channels);
  if (q.is_signed) out += ", signed";
  return out;
}

std::string quantizer_lines(const GraphView& view) {
  if (view.quantizers.empty()) return "";
  size_t width = 10;
  for (const Quantizer& q : view.quantizers) width = std::max(width, kind_of(q).size());
  std::string out =
      fmt::format("\nquantizer  {:<{}}  nodes that share it, with one alpha (and clip)\n", "candidates", width);
  for (const Quantizer& q : view.quantizers) {
    out += fmt::format("{:<9}  {:<{}}  {}\n", q.id, kind_of(q), width, listed(q.nodes, 13 + width));
  }
  return out;
}

/// A light colour for every activation quantizer shared by several nodes, white for the others.
std::map<std::string, std::string> colours(const GraphView& view) {
  constexpr std::array palette = {"#cfe8ff", "#ffe0b8", "#d5f2cf", "#f4cfe6",
                                  "#fff3b0", "#d9d4f5", "#c9f0ee", "#f8d0cc"};
  std::map<std::string, std::string> out;
  size_t next = 0;
  for (const Quantizer& q : view.quantizers) {
    const bool coloured = q.id[0] == 'a' && q.nodes.size() > 1;
    out[q.id] = coloured ? palette[next++ % palette.size()] : "white";
  }
  return out;
}

std::string label(const GraphView& view, const NodeView& node) {
  std::string out = fmt::format("{}\n{}  {}", node.name, node.op, node.shape.str());
  if (node.weights > 0)
    out += fmt::format("\n{} weights, {} MACs", grouped(static_cast<double>(node.weights)),
                       grouped(static_cast<double>(node.macs)));
  for (const auto& [id, what] :
       {std::pair(node.weight_quantizer, "weights"), std::pair(node.output_quantizer, "output")}) {
    if (!id.empty())
      out += fmt::format("\n{} {}: {}", what, id, kind_of(*std::ranges::find(view.quantizers, id, &Quantizer::id)));
  }
  return out;
}

/// What the network takes of pixels; empty if neither its file nor a flag says it.
std::string input_of(const RunConfig& config, const models::Model& model) {
  if (model.asks_input_scale && image_normalization(config, model.input_shape[0]).empty())
    return "its file doesn't say what range of pixels it takes: see --input-scale";
  const Normalization n = input_normalization(config, model, true);
  if (n.empty()) return model.trained ? "pixels from 0 to 1" : "";
  const ValueRange range = range_of_bytes(n);
  const auto all_equal = [](const std::vector<float>& v) { return std::ranges::count(v, v[0]) == std::ssize(v); };
  const std::string formula = all_equal(n.mean) && all_equal(n.std)
                                  ? ""
                                  : fmt::format(", (v - {:.4g}) / {:.4g} for v from 0 to 1 by channel",
                                                fmt::join(n.mean, "/"), fmt::join(n.std, "/"));
  return fmt::format("pixels from {:.4g} to {:.4g}{}", range.low, range.high, formula);
}

ordered_json or_null(const std::string& id) { return id.empty() ? ordered_json(nullptr) : ordered_json(id); }

}  // namespace

Network network(const RunConfig& config, int64_t classes, bool as_traced) {
  config.validate();
  const models::Model model = make_model(config, classes);
  const std::string input = input_of(config, model);
  if (as_traced) return {.graph = trace(*model.net, model.input_shape), .input = input};
  Graph graph = simplified(*model.net, model.input_shape);
  place_quantizers(graph, mix_prec_options(config));
  return {.graph = std::move(graph), .input = input};
}

GraphView view(const Network& network) {
  GraphView out = view(network.graph);
  out.input = network.input;
  return out;
}

GraphView view(const Graph& graph) {
  GraphView out;
  std::map<const void*, std::string> ids;
  add_quantizers(graph, &Node::weight_slot, 'w', out, ids);
  add_quantizers(graph, &Node::output_slot, 'a', out, ids);
  for (const Node& node : graph.nodes) {
    out.nodes.push_back(described(node));
    if (node.weight_slot) out.nodes.back().weight_quantizer = ids.at(node.weight_slot.get());
    if (node.output_slot) out.nodes.back().output_quantizer = ids.at(node.output_slot.get());
  }
  return out;
}

std::string text(const GraphView& view) {
  size_t width = 4;
  int64_t weights = 0, macs = 0;
  for (const NodeView& n : view.nodes) width = std::max(width, shortened(n.name, longest_name).size());
  const auto line = [&](const auto&... cells) {
    return fmt::format("{:>3} {:<{}} {:<14} {:>7} {:<13} {:>9} {:>12} {:>4} {:>4}\n", cells...);
  };
  std::string out = line("#", "node", width, "op", "from", "output", "weights", "MACs", "w", "out");
  for (size_t i = 0; i < view.nodes.size(); ++i) {
    const NodeView& n = view.nodes[i];
    out += line(i, shortened(n.name, longest_name), width, n.op, fmt::format("{}", fmt::join(n.inputs, ",")),
                fmt::format("{}", fmt::join(n.shape.dims(), "x")), count(n.weights), count(n.macs),
                or_dot(n.weight_quantizer), or_dot(n.output_quantizer));
    weights += n.weights;
    macs += n.macs;
  }
  out += fmt::format("    {:<{}} {:>36} {:>9} {:>12}\n", "all", width, "", grouped(static_cast<double>(weights)),
                     grouped(static_cast<double>(macs)));
  if (!view.input.empty()) out += fmt::format("\ninput: {}\n", view.input);
  return out + quantizer_lines(view);
}

std::string json(const GraphView& view) {
  ordered_json nodes = ordered_json::array(), quantizers = ordered_json::array();
  for (const NodeView& n : view.nodes) {
    const auto dims = n.shape.dims();
    nodes.push_back({{"name", n.name},
                     {"op", n.op},
                     {"inputs", n.inputs},
                     {"shape", std::vector<int64_t>(dims.begin(), dims.end())},
                     {"weights", n.weights},
                     {"macs", n.macs},
                     {"weight_quantizer", or_null(n.weight_quantizer)},
                     {"output_quantizer", or_null(n.output_quantizer)}});
  }
  for (const Quantizer& q : view.quantizers) {
    quantizers.push_back({{"id", q.id},
                          {"bits", q.bits},
                          {"channels", q.channels},
                          {"fixed", q.fixed},
                          {"signed", q.is_signed},
                          {"nodes", q.nodes}});
  }
  return json_text(ordered_json{{"nodes", nodes}, {"quantizers", quantizers}, {"input", or_null(view.input)}}) + "\n";
}

std::string dot(const GraphView& view) {
  const std::map<std::string, std::string> colour = colours(view);
  std::string body;
  for (size_t i = 0; i < view.nodes.size(); ++i) {
    const NodeView& n = view.nodes[i];
    const std::string fill = n.output_quantizer.empty() ? "white" : colour.at(n.output_quantizer);
    body += fmt::format("  n{} [label={}, fillcolor={}]\n", i, quoted(label(view, n)), quoted(fill));
    for (int input : n.inputs) body += fmt::format("  n{} -> n{}\n", input, i);
  }
  for (const Quantizer& q : view.quantizers) {
    for (size_t k = 1; k < q.nodes.size(); ++k) {
      const auto index = [&](size_t n) {
        return std::ranges::find(view.nodes, q.nodes[n], &NodeView::name) - view.nodes.begin();
      };
      body += fmt::format("  n{} -> n{} [label={}, style=dashed, dir=none, constraint=false]\n", index(k - 1), index(k),
                          quoted(q.id));
    }
  }
  return digraph(body);
}

}  // namespace mixgrad::inspect
