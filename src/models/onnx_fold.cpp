// SPDX-License-Identifier: Apache-2.0
#include "onnx_fold.h"

#include "onnx_folding.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace mixgrad::models {

using namespace onnx_folding;

namespace {

Constant shape_of(const Folding& f) { return integers(f.input(0).dims); }

Constant constant_of_shape(const Folding& f) {
  Constant out{.name = "", .type = "FLOAT", .dims = f.numbers(0, ""), .floats = {}, .integers = {}};
  const auto size = static_cast<size_t>(f.size_of(out.dims));
  const auto value = f.attributes.tensor("value");
  if (value && !value->integers.empty()) {
    out.type = value->type;
    out.integers.assign(size, value->integers[0]);
  } else {
    out.floats.assign(size, !value || value->floats.empty() ? 0.0F : value->floats[0]);
  }
  return out;
}

Constant cast(const Folding& f) {
  const Constant& x = f.input(0);
  Constant out{.name = "", .type = "FLOAT", .dims = x.dims, .floats = {}, .integers = {}};
  const int64_t to = f.attributes.number("to", 0);
  if (onnx_file::is_real(to)) {
    out.floats = x.floats;
    for (const int64_t v : x.integers) out.floats.push_back(static_cast<float>(v));
    return out;
  }
  if (to != onnx_file::type_int64 && to != onnx_file::type_int32) {
    f.refuse(fmt::format("unsupported type {}: expected float or integer", to));
  }
  out.type = "INT64";
  out.integers = x.integers;
  constexpr float most = 0x1p62F;
  for (const float v : x.floats) {
    out.integers.push_back(std::isnan(v) ? 0 : static_cast<int64_t>(std::clamp(v, -most, most)));
  }
  return out;
}

Constant range(const Folding& f) {
  Dims bounds;
  for (size_t i = 0; i < 3; ++i) {
    if (f.input(i).integers.size() != 1) f.refuse("start, limit and delta must be integers");
    bounds.push_back(f.input(i).integers[0]);
  }
  const auto [start, limit, delta] = std::array{bounds[0], bounds[1], bounds[2]};
  constexpr int64_t most = int64_t{1} << 40;
  const auto [least, largest] = std::minmax({start, limit, delta});
  if (delta == 0 || least < -most || largest > most) f.refuse("its bounds are out of range");
  const int64_t count = std::max<int64_t>(0, (limit - start + delta + (delta > 0 ? -1 : 1)) / delta);
  f.size_of({count});
  std::vector<int64_t> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(start + i * delta);
  return integers(std::move(out));
}

using Real = double (*)(double, double);
using Whole = int64_t (*)(int64_t, int64_t);

/// Integers wrap around on overflow of 64 bits.
int64_t wrapped(uint64_t v) { return static_cast<int64_t>(v); }
uint64_t bits(int64_t v) { return static_cast<uint64_t>(v); }

/// Applies an operation elementwise, with broadcasting.
Constant combined(const Folding& f, Real real, Whole whole) {
  const Constant &a = f.input(0), &b = f.input(1);
  if (a.size() > 0 && b.size() > 0 && a.floats.empty() != b.floats.empty()) f.refuse("it mixes floats and integers");
  const size_t rank = std::max(a.dims.size(), b.dims.size());
  const auto padded = [&](Dims dims) {
    dims.insert(dims.begin(), rank - dims.size(), 1);
    return dims;
  };
  const Dims da = padded(a.dims), db = padded(b.dims);
  Dims dims;
  for (size_t d = 0; d < rank; ++d) {
    if (da[d] != db[d] && da[d] != 1 && db[d] != 1) {
      f.refuse(fmt::format("'{}' and '{}' have incompatible shapes", a.name, b.name));
    }
    dims.push_back(da[d] == 1 ? db[d] : da[d]);
  }
  f.size_of(dims);
  const std::vector<int64_t> sa = strides(da), sb = strides(db);
  Constant out{.name = "", .type = a.type, .dims = dims, .floats = {}, .integers = {}};
  for_each_index(dims, [&](const Dims& index) {
    size_t ia = 0, ib = 0;
    for (size_t d = 0; d < rank; ++d) {
      ia += static_cast<size_t>(da[d] == 1 ? 0 : index[d] * sa[d]);
      ib += static_cast<size_t>(db[d] == 1 ? 0 : index[d] * sb[d]);
    }
    if (!a.floats.empty()) {
      out.floats.push_back(
          static_cast<float>(real(static_cast<double>(a.floats[ia]), static_cast<double>(b.floats[ib]))));
    } else {
      if (f.node.op == "Div" && b.integers[ib] == 0) f.refuse("division by 0");
      out.integers.push_back(whole(a.integers[ia], b.integers[ib]));
    }
  });
  return out;
}

Constant add(const Folding& f) {
  return combined(
      f, [](double a, double b) { return a + b; }, [](int64_t a, int64_t b) { return wrapped(bits(a) + bits(b)); });
}
Constant sub(const Folding& f) {
  return combined(
      f, [](double a, double b) { return a - b; }, [](int64_t a, int64_t b) { return wrapped(bits(a) - bits(b)); });
}
Constant mul(const Folding& f) {
  return combined(
      f, [](double a, double b) { return a * b; }, [](int64_t a, int64_t b) { return wrapped(bits(a) * bits(b)); });
}
Constant div(const Folding& f) {
  return combined(
      f, [](double a, double b) { return a / b; },
      [](int64_t a, int64_t b) { return b == -1 ? wrapped(-bits(a)) : a / b; });
}

template <double (*function)(double)>
Constant rounded(const Folding& f) {
  Constant out = f.input(0);
  if (out.floats.empty() && out.size() > 0) f.refuse("expected floats");
  for (float& v : out.floats) v = static_cast<float>(function(static_cast<double>(v)));
  return out;
}

Constant neg(const Folding& f) {
  Constant out = f.input(0);
  for (float& v : out.floats) v = -v;
  for (int64_t& v : out.integers) v = wrapped(-bits(v));
  return out;
}

using Function = Constant (*)(const Folding&);

/// The function that folds each operator.
const std::map<std::string, Function>& table() {
  static const std::map<std::string, Function> t = {
      {"Add", add},
      {"Cast", cast},
      {"Ceil", rounded<std::ceil>},
      {"Concat", concat},
      {"ConstantOfShape", constant_of_shape},
      {"Div", div},
      {"Floor", rounded<std::floor>},
      {"Gather", gather},
      {"Identity", identity},
      {"Mul", mul},
      {"Neg", neg},
      {"Range", range},
      {"Reshape", reshape},
      {"Shape", shape_of},
      {"Slice", slice},
      {"Sqrt", rounded<std::sqrt>},
      {"Squeeze", squeeze},
      {"Sub", sub},
      {"Transpose", transpose},
      {"Unsqueeze", unsqueeze},
  };
  return t;
}

}  // namespace

bool can_fold(const std::string& op) { return table().contains(op); }

bool all_constant(const File& file, const Node& node) {
  return !node.inputs.empty() && can_fold(node.op) && std::ranges::all_of(node.inputs, [&](const std::string& i) {
    return i.empty() || file.constant(i) != nullptr;
  });
}

Constant fold(const File& file, const Node& node, int64_t most_values) {
  return table().at(node.op)(
      {.file = file, .node = node, .most_values = most_values, .attributes = Attributes(file, node)});
}

Constant integers(std::vector<int64_t> values) {
  const int64_t count = std::ssize(values);
  return {.name = "", .type = "INT64", .dims = {count}, .floats = {}, .integers = std::move(values)};
}

}  // namespace mixgrad::models
