// SPDX-License-Identifier: Apache-2.0
// A graph as a safetensors file: tensors named after their nodes, the structure as JSON in the metadata.
#include "parameters.h"

#include <mixgrad/error.h>
#include <mixgrad/graph.h>
#include <mixgrad/io.h>

#include <src/internal/json.h>
#include <src/internal/memory.h>

#include <algorithm>
#include <map>
#include <optional>

namespace mixgrad {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Conv2dAttrs, stride, padding, dilation, groups)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ConvTranspose2dAttrs, stride, padding, output_padding, dilation, groups)
/// Two padding values stand for both sides, and defaults are omitted, so that files stay as they were.
void to_json(nlohmann::json& j, const Pool2dAttrs& a) {
  const auto [top, left, bottom, right] = a.padding;
  j = {{"kernel", a.kernel}, {"stride", a.stride}, {"padding", {top, left}}};
  if (top != bottom || left != right) j["padding"] = a.padding;
  if (a.dilation != Pool2dAttrs().dilation) j["dilation"] = a.dilation;
  if (a.ceil) j["ceil"] = true;
  if (!a.count_padding) j["count_padding"] = false;
}
void from_json(const nlohmann::json& j, Pool2dAttrs& a) {
  j.at("kernel").get_to(a.kernel);
  j.at("stride").get_to(a.stride);
  const auto padding = j.at("padding").get<std::vector<int64_t>>();
  if (padding.size() == 2) {
    a.padding = {padding[0], padding[1], padding[0], padding[1]};
  } else {
    j.at("padding").get_to(a.padding);
  }
  a.dilation = j.value("dilation", Pool2dAttrs().dilation);
  a.ceil = j.value("ceil", false);
  a.count_padding = j.value("count_padding", true);
}
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SelectAttrs, channels)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Pad2dAttrs, padding)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Upsample2dAttrs, factor)
/// The operator's name is the kind.
void to_json(nlohmann::json& j, const FunctionAttrs& f) { j = {{"a", f.a}, {"b", f.b}}; }
void from_json(const nlohmann::json& j, FunctionAttrs& f) {
  j.at("a").get_to(f.a);
  j.at("b").get_to(f.b);
}
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(BatchNormAttrs, eps, momentum, training)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OutputsAttrs, names)

namespace {

using nlohmann::json;

constexpr const char *metadata_key = "mixgrad", *task_key = "task";
constexpr int format_version = 1;
// The quantizers of slots that name none: files omit min-max, and older ones every name.
constexpr const char *unnamed_weights = "minmax", *unnamed_activations = "pact";

json attributes(const Operator& op) {
  return std::visit(
      [](const auto& o) {
        if constexpr (requires { o.attrs; }) return json(o.attrs);
        return json(nullptr);
      },
      op);
}

/// No value if there is no operator of this name.
std::optional<Operator> operator_from(const std::string& name, const json& attributes) {
  for (Operator op : op::all()) {
    if (name_of(op) != name) continue;
    std::visit(
        [&](auto& o) {
          if constexpr (requires { o.attrs; }) attributes.get_to(o.attrs);
        },
        op);
    return op;
  }
  return std::nullopt;
}

std::vector<const char*> parameter_names(const Operator& op) {
  return std::visit([](const auto& o) { return std::vector<const char*>(o.parameters.begin(), o.parameters.end()); },
                    op);
}

template <typename Slot>
json index_of(const std::vector<std::shared_ptr<Slot>>& slots, const std::shared_ptr<Slot>& slot) {
  if (!slot) return nullptr;
  return std::ranges::find(slots, slot) - slots.begin();
}

json structure(const Graph& graph) {
  const auto weight_slots = graph.weight_slots();
  const auto activation_slots = graph.activation_slots();
  json j = {{"format", format_version}, {"output", graph.output}};
  if (!graph.normalization.empty()) j["normalize"] = to_string(graph.normalization);
  for (const Node& node : graph.nodes) {
    const auto dims = node.shape.dims();
    j["nodes"].push_back({{"name", node.name},
                          {"op", node.op_name()},
                          {"attrs", attributes(node.op)},
                          {"inputs", node.inputs},
                          {"shape", std::vector<int64_t>(dims.begin(), dims.end())},
                          {"relu", node.activation != Activation::none},
                          {"relu6", node.activation == Activation::relu6},
                          {"weight_slot", index_of(weight_slots, node.weight_slot)},
                          {"output_slot", index_of(activation_slots, node.output_slot)}});
  }
  j["weight_slots"] = json::array();
  for (const auto& slot : weight_slots) {
    json& own = j["weight_slots"].emplace_back(json{{"precisions", slot->precisions}, {"bits", slot->bits}});
    if (!slot->kept.empty()) own["kept"] = slot->kept;
    if (slot->quantizer->name != unnamed_weights) own["quantizer"] = slot->quantizer->name;
  }
  j["activation_slots"] = json::array();
  for (const auto& slot : activation_slots) {
    j["activation_slots"].push_back({{"precisions", slot->precisions},
                                     {"signed", slot->is_signed},
                                     {"learn_clip", slot->learn_clip},
                                     {"quantizer", slot->quantizer->name}});
  }
  return j;
}

class Reader {
 public:
  Reader(io::Safetensors file, const FindActivation& find_activation, const FindWeight& find_weight)
      : file_(std::move(file)), find_activation_(find_activation), find_weight_(find_weight) {}

  Graph read() {
    const auto found = file_.metadata.find(metadata_key);
    if (found == file_.metadata.end()) fail("it contains tensors but no network structure");
    std::string normalize;
    try {
      const json j = parse_json(found->second);
      if (j.at("format").get<int>() != format_version)
        fail(fmt::format("unsupported format {}, expected {}", json_text(j.at("format")), format_version));
      for (const json& slot : j.at("weight_slots")) read_weight_slot(slot);
      for (const json& slot : j.at("activation_slots")) read_activation_slot(slot);
      for (const json& node : j.at("nodes")) read_node(node);
      graph_.output = j.at("output").get<int>();
      normalize = j.value("normalize", "");
    } catch (const json::exception&) {
      fail("its structure is corrupt");
    }
    if (graph_.nodes.empty() || graph_.output < 0 || graph_.output >= std::ssize(graph_.nodes))
      fail("it has no output node");
    for (const Node& node : graph_.nodes) {
      if (node.as<op::Outputs>() && &node != &graph_.nodes[static_cast<size_t>(graph_.output)])
        fail(fmt::format("'{}' must be the output node", node.name));
    }
    try {
      graph_.normalization = parse_normalization(normalize, graph_.input_shape()[0]);
    } catch (const Error& e) {
      fail(e.what());
    }
    const auto task = file_.metadata.find(task_key);
    if (task != file_.metadata.end()) graph_.task = task->second;
    return std::move(graph_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { bad_input("{}: not a mixgrad network: {}", file_.path, why); }

  Tensor optional_tensor(const std::string& name) const {
    if (!file_.contains(name)) return {};
    file_.check_finite(name);
    return file_.at(name).detach().requires_grad();
  }

  template <typename Find>
  auto named(const Find& find, const std::string& name) const {
    try {
      if (const auto quantizer = find(name)) return quantizer;
    } catch (const Error& e) {
      bad_input("{}: {}", file_.path, e.what());
    }
    bad_input("{}: unknown quantizer '{}'", file_.path, name);
  }

  void read_weight_slot(const json& j) {
    auto slot = std::make_shared<WeightSlot>();
    slot->precisions = j.at("precisions").get<std::vector<int>>();
    if (!slot->precisions.empty()) slot->precisions = quant::checked_precisions("weight slot", slot->precisions, 0);
    slot->bits = j.at("bits").get<std::vector<int>>();
    slot->alpha = optional_tensor(fmt::format("weight_slot.{}.alpha", weight_slots_.size()));
    slot->kept = j.value("kept", std::vector<int64_t>());
    slot->quantizer = named(find_weight_, j.value("quantizer", unnamed_weights));
    const int64_t channels = slot->alpha && slot->alpha.shape().rank() == 2 ? slot->alpha.dim(1) : 0;
    if (!std::ranges::all_of(slot->kept, [&](int64_t c) { return c >= 0 && c < channels; }))
      fail(fmt::format("weight slot {} keeps channels that it does not have", weight_slots_.size()));
    const bool known = std::ranges::all_of(slot->bits, [](int b) { return b >= 0 && b <= 8; });
    if (!known || slot->bits.empty() == !slot->alpha)
      fail(fmt::format("weight slot {} is incomplete", weight_slots_.size()));
    weight_slots_.push_back(slot);
  }

  void read_activation_slot(const json& j) {
    auto slot = std::make_shared<ActivationSlot>();
    const std::string name = fmt::format("activation_slot.{}", activation_slots_.size());
    slot->precisions = quant::checked_precisions(name.c_str(), j.at("precisions").get<std::vector<int>>(), 2);
    slot->is_signed = j.at("signed").get<bool>();
    slot->learn_clip = j.at("learn_clip").get<bool>();
    slot->quantizer = named(find_activation_, j.value("quantizer", unnamed_activations));
    slot->alpha = optional_tensor(name + ".alpha");
    slot->clip = optional_tensor(name + ".clip");
    if (slot->clip) slot->clip.requires_grad(slot->learn_clip);
    const Shape per_precision{std::ssize(slot->precisions)};
    if (!slot->clip || slot->clip.shape() != per_precision || (slot->alpha && slot->alpha.shape() != per_precision)) {
      fail(name + " is incomplete");
    }
    if (!std::ranges::all_of(slot->clip.data(), [](float c) { return c > 0; })) fail(name + ".clip must be above 0");
    activation_slots_.push_back(slot);
  }

  template <typename Slot>
  std::shared_ptr<Slot> slot_at(const std::vector<std::shared_ptr<Slot>>& slots, const json& index) const {
    if (index.is_null()) return nullptr;
    const auto i = index.get<size_t>();
    if (i >= slots.size()) fail(fmt::format("slot {} does not exist", i));
    return slots[i];
  }

  void read_node(const json& j) {
    const auto name = j.at("name").get<std::string>(), op_name = j.at("op").get<std::string>();
    const auto op = operator_from(op_name, j.at("attrs"));
    if (!op) fail(fmt::format("'{}' has the unknown op '{}'", name, op_name));
    Node node{.name = name,
              .op = *op,
              .inputs = j.at("inputs").get<std::vector<int>>(),
              .params = {},
              .shape = Shape(j.at("shape").get<std::vector<int64_t>>()),
              .activation = j.value("relu6", false)    ? Activation::relu6
                            : j.at("relu").get<bool>() ? Activation::relu
                                                       : Activation::none,
              .weight_slot = slot_at(weight_slots_, j.at("weight_slot")),
              .output_slot = slot_at(activation_slots_, j.at("output_slot"))};
    if (node.weight_slot && !node.is_layer()) fail(fmt::format("'{}' has no weights to quantize", node.name));
    check_inputs(node);
    for (const std::string_view parameter : parameter_names(node.op)) {
      const Tensor t = optional_tensor(fmt::format("{}.{}", name, parameter));
      if (!t && parameter != "bias") fail(fmt::format("tensor '{}.{}' is missing", name, parameter));
      node.params.push_back(t);
    }
    if (node.weight_slot) read_weights(node, j.at("weight_slot").get<size_t>());
    graph_.nodes.push_back(std::move(node));
  }

  /// Reads the scales of a layer's weight quantizer, if the file has them: learned, or kept from before pruning.
  void read_weights(Node& node, size_t slot_number) const {
    const WeightSlot& slot = *node.weight_slot;
    const int64_t channels = node.weight().dim(0);
    if (slot.fixed() && std::ssize(slot.bits) != channels) {
      fail(fmt::format("'{}' has {} output channels but {} bit-widths", node.name, channels, slot.bits.size()));
    }
    const bool learned = slot.quantizer->learns_scale;
    const std::string name =
        learned ? node.name + ".weight_scale" : fmt::format("weight_slot.{}.magnitude", slot_number);
    node.weight_scales = optional_tensor(name);
    if (node.weight_scales) node.weight_scales.requires_grad(learned);
    if (!node.weight_scales && learned) fail(fmt::format("tensor '{}' is missing", name));
    if (!node.weight_scales) return;
    const Shape expected = slot.fixed() ? Shape{channels} : Shape{std::ssize(slot.precisions), channels};
    if (node.weight_scales.shape() != expected) fail(name + " does not fit its bit-widths");
    if (!std::ranges::all_of(node.weight_scales.data(), [](float s) { return s >= 0; }))
      fail(name + " must not be below 0");
  }

  void check_inputs(const Node& node) const {
    const bool first = graph_.nodes.empty();
    if (first != (node.as<op::Input>() != nullptr)) fail("node 0, and no other, must be the input");
    const int wanted = std::visit([](const auto& o) { return o.inputs; }, node.op);
    const bool earlier =
        std::ranges::all_of(node.inputs, [&](int i) { return i >= 0 && i < std::ssize(graph_.nodes); });
    const bool fits = wanted == op::several ? !node.inputs.empty() : std::ssize(node.inputs) == wanted;
    if (!fits || !earlier) {
      const std::string count = wanted == op::several ? "one or more" : std::to_string(wanted);
      fail(fmt::format("'{}' must have {} inputs, all of them earlier nodes", node.name, count));
    }
  }

  io::Safetensors file_;
  Graph graph_;
  std::vector<std::shared_ptr<WeightSlot>> weight_slots_;
  std::vector<std::shared_ptr<ActivationSlot>> activation_slots_;
  const FindActivation& find_activation_;
  const FindWeight& find_weight_;
};

/// Runs the network once on zeros, which reveals shapes that don't match each other or the nodes.
void check_runs(const Graph& graph, const std::string& path) {
  std::vector<int64_t> dims = {1};
  dims.insert(dims.end(), graph.input_shape().dims().begin(), graph.input_shape().dims().end());
  if (std::ranges::any_of(dims, [](int64_t d) { return d < 1 || d > 1 << 16; }))
    bad_input("{}: input shape {} is out of range", path, graph.input_shape().str());
  try {
    const Binding binding = graph.bind();
    const MemoryAllowance allowance(bytes_of_one_image);
    std::vector<Tensor> values;
    graph.run(binding, Tensor::zeros(Shape(dims)), &values);
    for (size_t i = 0; i < values.size(); ++i) {
      const Node& node = graph.nodes[i];
      const Shape is(values[i].shape().dims().subspan(1));
      if (is != node.shape) bad_input("'{}' declares shape {}, but has {}", node.name, node.shape.str(), is.str());
    }
  } catch (const Error& e) {
    bad_input("{}: its layers don't fit together: {}", path, e.what());
  }
}

}  // namespace

bool holds_graph(const io::Safetensors& content) { return content.metadata.contains(metadata_key); }

void save(const Graph& graph, const std::string& path) { io::write_safetensors(path, to_safetensors(graph)); }

io::Safetensors to_safetensors(const Graph& graph) {
  io::Safetensors file;
  file.metadata[metadata_key] = json_text(structure(graph));
  if (!graph.task.empty()) file.metadata[task_key] = graph.task;
  visit_tensors(graph, [&](const HeldTensor& held, const Tensor& t) { file.tensors.emplace_back(held.file_name, t); });
  return file;
}

std::string checksum(const Graph& graph) {
  io::Safetensors content = to_safetensors(graph);
  content.metadata.erase(task_key);
  return io::checksum(content);
}

Graph load_graph(const std::string& path, const FindActivation& find_activation, const FindWeight& find_weight) {
  return graph_from(io::read_safetensors(path), find_activation, find_weight);
}

Graph graph_from(io::Safetensors content, const FindActivation& find_activation, const FindWeight& find_weight) {
  const std::string path = content.path;
  Graph graph = Reader(std::move(content), find_activation, find_weight).read();
  check_runs(graph, path);
  return graph;
}

}  // namespace mixgrad
