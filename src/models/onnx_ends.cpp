// SPDX-License-Identifier: Apache-2.0
// The file's input and output.
#include "onnx_operators.h"

#include <src/internal/names.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::File;
using onnx_file::Node;

namespace {

using Dims = std::vector<int64_t>;

/// Whether a node's input has its channels first.
bool takes_channels_first(const Node& n) {
  return n.op == "Conv" || n.op == "ConvTranspose" || n.op == "BatchNormalization" || n.op.ends_with("Pool");
}

/// Whether `rank` axes of the input hold the channels last, if its consumers tell.
std::optional<bool> told_channels_last(const File& file, size_t rank) {
  static const std::set<std::string> elementwise = {
      "Add",         "Cast",      "Clip",     "Div",       "Dropout", "Elu",   "Gelu",
      "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Mish",    "Mul",   "Pad",
      "PRelu",       "Relu",      "Sigmoid",  "Softplus",  "Sub",     "Swish", "Tanh"};
  std::vector<std::string> names = {file.input()};
  for (size_t i = 0; i < names.size(); ++i) {
    for (const Node* n : file.consumers(names[i])) {
      const Dims perm = Attributes(file, *n).list("perm");
      if (n->op == "Transpose" && rank == 4) return perm == Dims{0, 3, 1, 2};
      if (n->op == "Transpose") {
        const std::vector<const Node*>& readers = file.consumers(n->outputs[0]);
        if (std::ranges::none_of(readers, [](const Node* r) { return takes_channels_first(*r); })) return std::nullopt;
        return perm == Dims{0, 2, 1};
      }
      if (takes_channels_first(*n)) return false;
      if (elementwise.contains(n->op) && std::ranges::find(names, n->outputs[0]) == names.end()) {
        names.push_back(n->outputs[0]);
      }
    }
  }
  return std::nullopt;
}

/// Which of C, H, W each axis after N is; if no consumer tells, a guess from the sizes.
std::vector<int> permutation_of(Context& c, const Dims& dims) {
  if (dims.size() == 2) return {0};
  const auto told = told_channels_last(c.file, dims.size());
  if (dims.size() == 3) return !told ? std::vector{1, 2} : *told ? std::vector{2, 0} : std::vector{0, 2};
  const std::vector<int> channels_first = {0, 1, 2}, channels_last = {1, 2, 0};
  if (told) return *told ? channels_last : channels_first;
  if (c.file.channels_last()) return channels_last;
  const auto few = [](int64_t d) { return d == 1 || d == 3 || d == 4; };
  if (!few(dims[3]) || few(dims[1])) return channels_first;
  c.notes.push_back(
      fmt::format("its input [N, {}, {}, {}] is taken as rows, columns and channels", dims[1], dims[2], dims[3]));
  return channels_last;
}

/// The sizes after N, with undefined ones taken from `given` (C, H, W, or none).
Dims sizes(const File& file, const Dims& declared, const std::vector<int>& permutation, const Shape& given) {
  Dims is(declared.begin() + 1, declared.end());
  const std::string described = fmt::format("its input '{}' has shape [N, {}]", file.input(), fmt::join(is, ", "));
  if (given.rank() > 0) {
    bool fits = given.rank() == 3;
    int64_t values = 1;
    for (size_t i = 0; fits && i < is.size(); ++i) {
      const int64_t wanted = given[permutation[i]];
      if (is[i] == 0) is[i] = wanted;
      fits = is[i] == wanted;
      values *= wanted;
    }
    if (!fits || values != given.size()) {
      file.fail(fmt::format("{} (0: undefined), which does not match images {} (C, H, W)", described, given.str()));
    }
  }
  if (std::ranges::find(is, 0) != is.end()) {
    file.fail(fmt::format("{} (0: undefined): give the shape of an image, --input-shape {}", described,
                          is.size() == 1 ? "F,1,1" : "C,H,W"));
  }
  if (std::ranges::any_of(is, [](int64_t d) { return d < 1 || d > most_positions; })) {
    file.fail(fmt::format("{}: expected sizes from 1 to {}", described, most_positions));
  }
  return is;
}

/// The normalization that the file advises, per channel.
Normalization advised(const File& file, int64_t channels) {
  Normalization out = file.advised();
  for (std::vector<float>* values : {&out.mean, &out.std}) {
    if (values->size() == 1) values->resize(static_cast<size_t>(channels), values->front());
    const bool valid = std::ranges::all_of(*values, [](float v) { return std::isfinite(v); });
    if (!file.advised().empty() && (std::ssize(*values) != channels || !valid)) {
      file.fail(fmt::format("its metadata normalizes with {} numbers ({}): expected one or {}, finite", values->size(),
                            fmt::join(*values, ", "), channels));
    }
  }
  if (std::ranges::count(out.std, 0) > 0) file.fail("its metadata divides pixels by 0");
  return out;
}

/// Joins the values, or gives just one if all are equal.
std::string in_short(std::vector<float> v) {
  if (std::ranges::count(v, v[0]) == std::ssize(v)) v.resize(1);
  return fmt::format("{:.4g}", fmt::join(v, "/"));
}

}  // namespace

Shape declare_input(Context& c, const Options& options) {
  Dims dims = c.file.input_dims();
  if (dims.empty()) dims = {0, 0, 0, 0};
  if (dims.size() < 2 || dims.size() > 4) {
    c.file.fail(
        fmt::format("its input has {} dimensions, expected [N, C, H, W], [N, H, W, C], [N, H, W], signals [N, C, L] or "
                    "[N, features]",
                    dims.size()));
  }
  const int64_t type = c.file.input_type();
  if (!onnx_file::is_real(type) && type != onnx_file::type_uint8) {
    c.file.fail("its input has an unsupported type: expected real numbers or uint8");
  }
  const std::vector<int> permutation = permutation_of(c, dims);
  const Dims is = sizes(c.file, dims, permutation, options.input_shape);
  Dims chw = {1, 1, 1};
  for (size_t i = 0; i < is.size(); ++i) chw[static_cast<size_t>(permutation[i])] = is[i];
  const Shape shape(chw);
  c.batch = dims[0] > 0 ? dims[0] : 1;
  c.head = c.file.input();
  c.values[c.head] = {
      .at = 0, .sample = Tensor::zeros({1, chw[0], chw[1], chw[2]}), .layout = Layout::image(chw, permutation)};
  return shape;
}

namespace {

Value take_output(Context& c, const std::string& output) {
  const std::string name = fmt::format("its output '{}'", output);
  const Value y = c.with_padding(c.value(output, "the graph's output"), name);
  const bool image = y.layout.positions() > 1;
  if (image && (y.layout.is({0, 1, 2}) || y.layout.is({1, 2, 0}))) return y;
  if (image && !y.layout.only_axis()) {
    if (std::ranges::is_sorted(y.layout.order())) return y;
    c.file.fail(fmt::format(
        "{} has shape [N, {}], which is not in the order of images [N, C, H, W]: end the network before its "
        "axes are permuted",
        name, fmt::join(y.layout.dims(), ", ")));
  }
  const Value flat = c.flat(y);
  if (!c.orders.settle_as_in_file(flat.order, flat.layout.size())) {
    c.file.fail(name +
                " holds images flattened in the order H, W, C: end the network before they are flattened, or with "
                "a linear layer");
  }
  return flat;
}

}  // namespace

Value take_result(Context& c) {
  const std::vector<std::string>& names = c.file.outputs();
  if (names.size() == 1) return take_output(c, names[0]);
  std::vector<Value> values;
  std::vector<std::string> printable;
  for (const std::string& name : names) {
    values.push_back(take_output(c, name));
    printable.push_back(valid_utf8(name));
  }
  std::vector<const Value*> inputs;
  for (const Value& v : values) inputs.push_back(&v);
  return c.step([printable](const std::vector<Tensor>& in) { return outputs(in, printable); }, inputs);
}

void take_normalization(const Context& c, Model& model) {
  model.advised = advised(c.file, model.input_shape[0]);
  if (!model.advised.empty()) {
    model.notes.push_back(fmt::format("its metadata normalizes pixels from 0 to 255 by mean {} and std {}",
                                      in_short(model.advised.mean), in_short(model.advised.std)));
  }
  const bool bytes = c.file.input_type() == onnx_file::type_uint8;
  const ScaleShift by = c.normalization.value_or(ScaleShift(static_cast<size_t>(model.input_shape[0])));
  if (by.is_identity() && !bytes) {
    model.asks_input_scale = !c.file.tells_input_scale() && model.advised.empty();
    return;
  }
  bool large = bytes;
  for (size_t k = 0; k < by.scale.size(); ++k) {
    const auto mean = static_cast<float>((0 - by.shift[k]) / by.scale[k]), std = static_cast<float>(1 / by.scale[k]);
    if (!std::isfinite(mean) || !std::isfinite(std) || std == 0) {
      c.file.fail(
          fmt::format("its input '{}' is multiplied by {} and shifted by {} (channel {}): expected finite numbers and "
                      "a nonzero factor",
                      c.file.input(), by.scale[k], by.shift[k], k));
    }
    model.normalization.mean.push_back(mean);
    model.normalization.std.push_back(std);
    large = large || std::abs(mean) > 2 || std::abs(std) > 4;
  }
  model.pixels_to_255 = large;
  model.notes.push_back(fmt::format("its input normalization, mean {} and std {}{}, is applied to the data instead",
                                    in_short(model.normalization.mean), in_short(model.normalization.std),
                                    large ? " for pixels from 0 to 255" : ""));
}

}  // namespace mixgrad::models
