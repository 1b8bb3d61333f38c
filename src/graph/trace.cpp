// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/graph.h>
#include <mixgrad/tape.h>

#include <src/internal/names.h>

#include <fmt/ranges.h>

#include <map>
#include <set>

namespace mixgrad {

namespace {

/// Puts a module into evaluation mode for a trace.
class EvalScope {
 public:
  explicit EvalScope(nn::Module& root) : modules_(root.modules()) {
    for (const nn::Module* m : modules_) was_training_.push_back(m->training());
    root.eval();
  }
  ~EvalScope() {
    for (size_t i = 0; i < modules_.size(); ++i) modules_[i]->train(was_training_[i]);  // outer modules first
  }

 private:
  std::vector<nn::Module*> modules_;
  std::vector<bool> was_training_;
};

/// The names of the operators that a module may record.
std::string known_operators() {
  std::vector<std::string_view> names;
  for (const Operator& op : op::all()) {
    const bool made_here = std::holds_alternative<op::Input>(op) || std::holds_alternative<op::Affine>(op);
    if (!made_here) names.push_back(name_of(op));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

class Tracer {
 public:
  Tracer(const nn::Module& module, const Tensor& x) {
    for (const nn::NamedTensor& p : module.named_parameters()) parameter_names_[p.tensor.id()] = p.name;
    for (const nn::NamedTensor& b : module.named_buffers()) parameter_names_[b.tensor.id()] = b.name;
    const Shape shape(x.shape().dims().subspan(1));
    graph_.nodes.push_back({.name = "input",
                            .op = op::Input(),
                            .inputs = {},
                            .params = {},
                            .shape = shape,
                            .weight_slot = nullptr,
                            .output_slot = nullptr});
    node_of_[x.id()] = 0;
    names_.insert("input");
  }

  void add(const Record& r) {
    const std::string where = r.module.empty() ? r.op : fmt::format("{} in module '{}'", r.op, r.module);
    if (!r.graph_op) bad_input("cannot convert {}: graphs support {}", where, known_operators());
    Node node{.name = "",
              .op = *r.graph_op,
              .inputs = {},
              .params = {},
              .shape = Shape(r.output.shape().dims().subspan(1)),
              .weight_slot = nullptr,
              .output_slot = nullptr};
    const int read = std::visit([](const auto& o) { return o.inputs; }, node.op);
    for (int i = 0; i < std::ssize(r.inputs); ++i) {
      if (i < read || read == op::several) {
        node.inputs.push_back(input_node(r.inputs[static_cast<size_t>(i)], where));
      } else {
        node.params.push_back(parameter(r.inputs[static_cast<size_t>(i)], where));
      }
    }
    node.name = unique_name(r);
    node_of_[r.output.id()] = static_cast<int>(graph_.nodes.size());
    graph_.nodes.push_back(std::move(node));
  }

  Graph finish(const Tensor& y) {
    const auto found = node_of_.find(y.id());
    if (found == node_of_.end()) bad_input("cannot trace the network: its output is not the result of a mixgrad op");
    graph_.output = found->second;
    drop_unused(graph_);
    for (const Node& node : graph_.nodes) {
      if (node.as<op::Outputs>() && &node != &graph_.nodes[static_cast<size_t>(graph_.output)])
        bad_input("cannot convert {}: outputs end a network, but other ops read them", node.name);
    }
    return std::move(graph_);
  }

 private:
  int input_node(const Tensor& t, const std::string& where) const {
    const auto found = node_of_.find(t.id());
    if (found == node_of_.end()) {
      bad_input("cannot trace {}: one of its inputs is not computed from the network's input by mixgrad ops", where);
    }
    return found->second;
  }

  Tensor parameter(const Tensor& t, const std::string& where) const {
    if (t && !parameter_names_.contains(t.id())) {
      bad_input("cannot convert {}: its weights are not registered parameters (add_parameter)", where);
    }
    return t;
  }

  /// Layers are named after their parameters ("conv1.weight" gives "conv1"), other ops after their module and op.
  std::string unique_name(const Record& r) {
    std::string name;
    if (r.inputs.size() > 1 && parameter_names_.contains(r.inputs[1].id())) {
      name = parameter_names_.at(r.inputs[1].id());
      if (name.ends_with(".weight")) name.resize(name.size() - std::string(".weight").size());
    } else {
      name = r.module.empty() ? r.op : r.module + "." + r.op;
    }
    name = valid_utf8(name);  // required by the file format
    std::string candidate = name;
    for (int n = 2; !names_.insert(candidate).second; ++n) candidate = fmt::format("{}_{}", name, n);
    return candidate;
  }

  Graph graph_;
  std::map<const void*, std::string> parameter_names_;
  std::map<const void*, int> node_of_;
  std::set<std::string> names_;
};

}  // namespace

Graph trace(nn::Module& module, const Shape& input_shape) {
  std::vector<int64_t> dims = {1};
  dims.insert(dims.end(), input_shape.dims().begin(), input_shape.dims().end());
  const Tensor x = Tensor::zeros(Shape(dims));
  const EvalScope eval(module);
  Tape tape(Tape::Mode::trace);
  const Tensor y = module(x);
  Tracer tracer(module, x);
  for (const Record& r : tape.records()) tracer.add(r);
  return tracer.finish(y);
}

}  // namespace mixgrad
