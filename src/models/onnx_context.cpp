// SPDX-License-Identifier: Apache-2.0
#include "onnx_context.h"

#include <src/internal/names.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::Constant;
using onnx_file::Node;

bool ScaleShift::shifts() const {
  return std::ranges::any_of(shift, [](double v) { return v != 0; });
}

bool ScaleShift::is_identity() const {
  return !shifts() && std::ranges::all_of(scale, [](double v) { return v == 1; });
}

bool ScaleShift::is_finite() const {
  const auto finite = [](double v) { return std::isfinite(v); };
  return std::ranges::all_of(scale, finite) && std::ranges::all_of(shift, finite);
}

bool ScaleShift::then(const std::string& op, const std::vector<float>& constant, bool constant_first) {
  if (op == "Div" && constant_first) return false;
  for (size_t c = 0; c < scale.size(); ++c) {
    const auto by = static_cast<double>(constant[c]);
    if (op == "Mul" || op == "Div") {
      scale[c] = op == "Mul" ? scale[c] * by : scale[c] / by;
      shift[c] = op == "Mul" ? shift[c] * by : shift[c] / by;
    } else if (op == "Sub" && constant_first) {
      scale[c] = -scale[c];
      shift[c] = by - shift[c];
    } else {
      shift[c] += op == "Sub" ? -by : by;
    }
  }
  return true;
}

void ScaleShift::then(const ScaleShift& next) {
  for (size_t c = 0; c < scale.size(); ++c) {
    scale[c] *= next.scale[c];
    shift[c] = shift[c] * next.scale[c] + next.shift[c];
  }
}

size_t Imported::add(Function function, std::vector<size_t> inputs) {
  steps_.push_back({std::move(function), std::move(inputs)});
  return steps_.size();
}

void Imported::adopt(const std::string& name, std::unique_ptr<nn::Module> module) {
  std::string free = name.empty() ? "layer" : name;
  for (int n = 2; !names_.insert(free).second; ++n) free = fmt::format("{}_{}", name, n);
  add_module(free, *module);
  layers_.push_back(std::move(module));
}

Tensor Imported::forward(const Tensor& x) {
  std::vector<Tensor> values = {x};
  for (const Step& step : steps_) {
    std::vector<Tensor> inputs;
    for (const size_t i : step.inputs) inputs.push_back(values[i]);
    values.push_back(step.function(inputs));
  }
  return values[output_];
}

bool Context::at_head(const Node& n) const { return file.only_consumer(head) == &n; }

void Context::refuse(const Node& n, const std::string& why) const {
  file.fail(on_one_line(fmt::format("{}: {}", n.called(), why)));
}

const Value& Context::value(const std::string& name, const std::string& where) const {
  const auto found = values.find(name);
  if (found == values.end()) {
    file.fail(fmt::format("{} needs '{}', which is neither the input nor the output of an earlier node", where,
                          on_one_line(name)));
  }
  return found->second;
}

const Value& Context::padded_input(const Node& n, size_t i) const {
  if (i >= n.inputs.size()) refuse(n, fmt::format("too few inputs: {}", n.inputs.size()));
  return value(n.inputs[i], n.called());
}

const Value& Context::input(const Node& n, size_t i) {
  const Value& x = padded_input(n, i);
  if (x.padding.empty()) return x;
  return values[n.inputs[i]] = with_padding(x, fmt::format("{} '{}': its input '{}'", n.op, n.name, n.inputs[i]));
}

Value Context::with_padding(const Value& x, const std::string& name) {
  if (x.padding.empty()) return x;
  if (x.padding.value != 0)
    file.fail(fmt::format("{} is padded with {}: expected zeros, or a pool that ignores it", name, x.padding.value));
  const std::vector<int> permutation = x.layout.permutation();
  if (permutation.empty()) file.fail(name + " is padded, and its axes permuted: expected images");
  const Pad2dAttrs attrs{.padding = x.padding.sides};
  std::vector<int64_t> extents = x.layout.extents;
  for (size_t d = 0; d < 2; ++d) extents[d + 1] += x.padding.sides[d] + x.padding.sides[d + 2];
  Value y = step([attrs](const std::vector<Tensor>& in) { return pad2d(in[0], attrs); }, {&x},
                 Layout::image(extents, permutation));
  y.nonnegative = x.nonnegative;
  return y;
}

const Value& Context::image(const Node& n) const {
  const Value& x = padded_input(n, 0);
  if (!x.layout.is({0, 1, 2}) && !x.layout.signal_axis()) {
    refuse(n, fmt::format("its input is [N, {}]: expected images [N, C, H, W] or signals [N, C, L], channels first",
                          fmt::join(x.layout.dims(), ", ")));
  }
  return x;
}

const Value& Context::image_with_padding(const Node& n) {
  image(n);  // refuses any other
  return input(n, 0);
}

std::array<int64_t, 2> Context::per_axis(const Node& n, const Layout& layout, const char* attribute, int64_t otherwise,
                                         int64_t neutral) const {
  const Attributes a(file, n);
  const std::optional<size_t> signal = layout.signal_axis();
  if (!signal) return a.fixed<2>(attribute, {otherwise, otherwise});
  std::array<int64_t, 2> out{neutral, neutral};
  out[*signal - 1] = a.fixed<1>(attribute, {otherwise})[0];
  return out;
}

const Constant* Context::constant(const Node& n, size_t i) const {
  if (i >= n.inputs.size() || n.inputs[i].empty()) return nullptr;
  const Constant* c = file.constant(n.inputs[i]);
  if (c == nullptr) refuse(n, fmt::format("its input '{}' must be a constant in the file", n.inputs[i]));
  return c;
}

const Constant& Context::needed(const Node& n, size_t i) const {
  const Constant* c = constant(n, i);
  if (c == nullptr) refuse(n, fmt::format("too few inputs: {}", n.inputs.size()));
  return *c;
}

std::vector<int64_t> Context::numbers(const Node& n, size_t i, const char* attribute) const {
  const Constant* c = constant(n, i);
  if (c == nullptr) return Attributes(file, n).list(attribute);
  if (!c->floats.empty()) refuse(n, fmt::format("'{}' has type {}, expected integers", c->name, c->type));
  return c->integers;
}

size_t Context::axis(const Node& n, int64_t a, size_t rank) const {
  const int64_t from_start = a < 0 ? a + static_cast<int64_t>(rank) : a;
  if (from_start < 0 || from_start >= static_cast<int64_t>(rank)) {
    refuse(n, fmt::format("axis {} is out of range for {} dimensions", a, rank));
  }
  return static_cast<size_t>(from_start);
}

const std::vector<float>& Context::weights(const Node& n, const Constant& c, int64_t count) const {
  if (c.floats.empty() || (count >= 0 && c.size() != count)) {
    const std::string expected = count < 0 ? "floats" : fmt::format("{} floats", count);
    refuse(n, fmt::format("'{}' is {} [{}], expected {}", c.name, c.type, fmt::join(c.dims, ", "), expected));
  }
  const auto endless = std::ranges::find_if(c.floats, [](float v) { return !std::isfinite(v); });
  if (endless != c.floats.end()) {
    file.fail(fmt::format("tensor '{}' of {} contains {} at index {}: weights must be finite", c.name, n.called(),
                          *endless, endless - c.floats.begin()));
  }
  return c.floats;
}

Value Context::step(Imported::Function function, const std::vector<const Value*>& inputs) {
  const size_t order = inputs[0]->order;
  Value out = step(std::move(function), inputs, inputs[0]->layout);
  out.order = order;
  return out;
}

Value Context::step(Imported::Function function, const std::vector<const Value*>& inputs, Layout layout) {
  std::vector<size_t> at;
  std::vector<Tensor> samples;
  for (const Value* v : inputs) at.push_back(v->at), samples.push_back(v->sample);
  Value out{.at = 0, .sample = function(samples), .layout = std::move(layout)};
  if (!out.layout.is_image()) out.order = orders.free();
  out.at = net.add(std::move(function), at);
  return out;
}

Value Context::layer(const Node& n, const Value& x, std::unique_ptr<nn::Module> module, const std::string& weight,
                     Layout layout) {
  std::string name = weight.ends_with(".weight") ? weight.substr(0, weight.size() - 7) : n.name;
  name = valid_utf8(name);
  std::ranges::replace(name, '/', '.');
  while (name.starts_with('.')) name.erase(0, 1);
  nn::Module& m = *module;
  net.adopt(name, std::move(module));
  m.eval();
  return step([&m](const std::vector<Tensor>& in) { return m(in[0]); }, {&x}, std::move(layout));
}

Value Context::flat(const Value& x) {
  if (!x.layout.is_image()) return x;
  Layout layout = Layout::features(x.layout.size(), x.layout.axes.size());
  if (const size_t axis = x.layout.only_axis().value(); axis + 1 < layout.axes.size()) {
    std::swap(layout.axes[axis], layout.axes.back());
  }
  auto found = flattened_.find(x.at);
  if (found == flattened_.end()) {
    const Value out = step([](const std::vector<Tensor>& in) { return flatten(in[0]); }, {&x}, layout);
    found = flattened_.emplace(x.at, out).first;
  }
  Value out = found->second;
  out.layout = layout;
  out.order = orders.fixed(x.layout.places());
  out.nonnegative = x.nonnegative;
  return out;
}

void Context::finish() const {
  for (const auto& fill : fills_) fill();
}

ScaleShift Context::absorb(const Node& n, const Layout& layout) {
  ScaleShift out(static_cast<size_t>(layout.extents[0]));
  for (const Node* last = &n;;) {
    const Node* next = file.only_consumer(last->outputs[0]);
    if (next == nullptr || next->inputs.size() != 2 || next->inputs[0] == next->inputs[1]) return out;
    if (next->op != "Add" && next->op != "Sub" && next->op != "Mul" && next->op != "Div") return out;
    const bool first = next->inputs[1] == last->outputs[0];  // the constant
    const Constant* c = file.constant(next->inputs[first ? 0 : 1]);
    const auto along = c == nullptr ? std::nullopt : layout.along_channels(*c);
    if (!along) return out;
    weights(*next, *c);
    if (!out.then(next->op, *along, first)) return out;
    if (!out.is_finite()) refuse(*next, fmt::format("merging '{}' gives values that are not finite", c->name));
    absorbed.insert(next);
    last = next;
  }
}

}  // namespace mixgrad::models
