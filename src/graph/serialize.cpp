// SPDX-License-Identifier: Apache-2.0
// A graph as a safetensors file: tensors by the names of their nodes, the structure as JSON in the metadata.
#include <mixgrad/error.h>
#include <mixgrad/graph.h>
#include <mixgrad/io.h>

#include <src/internal/memory.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>

namespace mixgrad {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Conv2dAttrs, stride, padding, dilation, groups)
/// Two numbers of padding stand for both sides; what has its default is left out, so that files stay as they were.
void to_json(nlohmann::json& j, const Pool2dAttrs& a) {
  const auto [top, left, bottom, right] = a.padding;
  j = {{"kernel", a.kernel}, {"stride", a.stride}, {"padding", {top, left}}};
  if (top != bottom || left != right) j["padding"] = a.padding;
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
  a.ceil = j.value("ceil", false);
  a.count_padding = j.value("count_padding", true);
}
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(BatchNormAttrs, eps, momentum, training)

namespace {

using nlohmann::json;

constexpr const char *metadata_key = "mixgrad", *task_key = "task";
constexpr int format_version = 1;

json attributes(const Operator& op) {
  return std::visit(
      [](const auto& o) {
        if constexpr (requires { o.attrs; }) return json(o.attrs);
        return json(nullptr);
      },
      op);
}

/// None: there is no operator of this name.
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
  for (const auto& slot : weight_slots)
    j["weight_slots"].push_back({{"precisions", slot->precisions}, {"bits", slot->bits}});
  j["activation_slots"] = json::array();
  for (const auto& slot : activation_slots) {
    j["activation_slots"].push_back({{"precisions", slot->precisions},
                                     {"signed", slot->is_signed},
                                     {"learn_clip", slot->learn_clip},
                                     {"quantizer", slot->quantizer ? slot->quantizer->name : "pact"}});
  }
  return j;
}

class Reader {
 public:
  Reader(io::Safetensors file, const FindActivation& find) : file_(std::move(file)), find_(find) {}

  Graph read() {
    const auto found = file_.metadata.find(metadata_key);
    if (found == file_.metadata.end()) fail("it holds tensors but no network structure");
    std::string normalize;
    try {
      const json j = json::parse(found->second);
      if (j.at("format").get<int>() != format_version)
        fail(fmt::format("format {} is not {}", j.at("format").dump(), format_version));
      for (const json& slot : j.at("weight_slots")) read_weight_slot(slot);
      for (const json& slot : j.at("activation_slots")) read_activation_slot(slot);
      for (const json& node : j.at("nodes")) read_node(node);
      graph_.output = j.at("output").get<int>();
      normalize = j.value("normalize", "");
    } catch (const json::exception&) {
      fail("its structure is damaged");
    }
    if (graph_.nodes.empty() || graph_.output < 0 || graph_.output >= std::ssize(graph_.nodes))
      fail("it has no output node");
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
  [[noreturn]] void fail(const std::string& why) const {
    bad_input("{}: not a network of mixgrad: {}", file_.path, why);
  }

  Tensor optional_tensor(const std::string& name) const {
    if (!file_.contains(name)) return {};
    file_.check_finite(name);
    return file_.at(name).detach().requires_grad();
  }

  void read_weight_slot(const json& j) {
    auto slot = std::make_shared<WeightSlot>();
    slot->precisions = j.at("precisions").get<std::vector<int>>();
    if (!slot->precisions.empty()) slot->precisions = quant::checked_precisions("weight slot", slot->precisions, 0);
    slot->bits = j.at("bits").get<std::vector<int>>();
    slot->alpha = optional_tensor(fmt::format("weight_slot.{}.alpha", weight_slots_.size()));
    const std::string magnitude = fmt::format("weight_slot.{}.magnitude", weight_slots_.size());
    if (file_.contains(magnitude)) slot->magnitude = optional_tensor(magnitude).detach();
    if (slot->magnitude && slot->magnitude.shape() != Shape{std::ssize(slot->bits)})
      fail(magnitude + " does not fit its bit-widths");
    const bool known = std::ranges::all_of(slot->bits, [](int b) { return b == 0 || (b >= 2 && b <= 8); });
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
    slot->quantizer = find_(j.value("quantizer", "pact"));
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
    if (node.weight_slot && node.weight_slot->fixed() && std::ssize(node.weight_slot->bits) != node.weight().dim(0)) {
      fail(fmt::format("'{}' has {} output channels but {} bit-widths", node.name, node.weight().dim(0),
                       node.weight_slot->bits.size()));
    }
    graph_.nodes.push_back(std::move(node));
  }

  void check_inputs(const Node& node) const {
    const bool first = graph_.nodes.empty();
    if (first != (node.as<op::Input>() != nullptr)) fail("node 0, and no other, must be the input");
    const int wanted = std::visit([](const auto& o) { return o.inputs; }, node.op);
    const bool earlier =
        std::ranges::all_of(node.inputs, [&](int i) { return i >= 0 && i < std::ssize(graph_.nodes); });
    if (std::ssize(node.inputs) != wanted || !earlier)
      fail(fmt::format("'{}' must have {} inputs among earlier nodes", node.name, wanted));
  }

  io::Safetensors file_;
  Graph graph_;
  std::vector<std::shared_ptr<WeightSlot>> weight_slots_;
  std::vector<std::shared_ptr<ActivationSlot>> activation_slots_;
  const FindActivation& find_;
};

/// Shapes that don't fit each other, or not what the nodes say, show when the network runs once, on zeros.
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
      if (is != node.shape) bad_input("'{}' has the shape {}, but makes {}", node.name, node.shape.str(), is.str());
    }
  } catch (const Error& e) {
    bad_input("{}: its layers don't fit each other: {}", path, e.what());
  }
}

}  // namespace

void save(const Graph& graph, const std::string& path) { io::write_safetensors(path, to_safetensors(graph)); }

io::Safetensors to_safetensors(const Graph& graph) {
  io::Safetensors file;
  file.metadata[metadata_key] = structure(graph).dump(-1, ' ', false, json::error_handler_t::replace);
  if (!graph.task.empty()) file.metadata[task_key] = graph.task;
  const auto add = [&](const std::string& name, const Tensor& t) {
    if (t) file.tensors.emplace_back(name, t);
  };
  for (const Node& node : graph.nodes) {
    const std::vector<const char*> names = parameter_names(node.op);
    for (size_t i = 0; i < names.size(); ++i) add(node.name + "." + names[i], node.params[i]);
  }
  const auto weight_slots = graph.weight_slots();
  for (size_t i = 0; i < weight_slots.size(); ++i) {
    add(fmt::format("weight_slot.{}.alpha", i), weight_slots[i]->alpha);
    add(fmt::format("weight_slot.{}.magnitude", i), weight_slots[i]->magnitude);
  }
  const auto activation_slots = graph.activation_slots();
  for (size_t i = 0; i < activation_slots.size(); ++i) {
    add(fmt::format("activation_slot.{}.alpha", i), activation_slots[i]->alpha);
    add(fmt::format("activation_slot.{}.clip", i), activation_slots[i]->clip);
  }
  return file;
}

std::string checksum(const Graph& graph) {
  io::Safetensors content = to_safetensors(graph);
  content.metadata.erase(task_key);
  return io::checksum(content);
}

Graph load_graph(const std::string& path, const FindActivation& find) {
  return graph_from(io::read_safetensors(path), find);
}

Graph graph_from(io::Safetensors content, const FindActivation& find) {
  const std::string path = content.path;
  Graph graph = Reader(std::move(content), find).read();
  check_runs(graph, path);
  return graph;
}

}  // namespace mixgrad
