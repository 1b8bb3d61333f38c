// SPDX-License-Identifier: Apache-2.0
// Reads ONNX files. Debian's schema (libonnx 1.12) is sufficient: it only lacks types and operators added in opset 18
// and later, which no float network of the supported operators needs.
#include "onnx_import.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/types.h>

#include <src/internal/names.h>

#include <fmt/core.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>

namespace mixgrad::models {
namespace {

using onnx::TensorProto;
using onnx_file::Attribute;
using onnx_file::Constant;
using onnx_file::Content;
using onnx_file::Node;

template <typename T>
std::vector<T> from_raw(const std::string& raw) {
  std::vector<T> out(raw.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), raw.data(), out.size() * sizeof(T));  // memcpy must not get a null pointer
  return out;
}

/// IEEE half precision, exactly.
float from_half(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float sign = bits >> 15 == 0 ? 1.0F : -1.0F;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                               : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25));
}

/// A tensor's numbers: `raw` in its own type, or else `listed` in a wider one.
template <typename T, typename To, typename Listed, typename Convert>
std::vector<To> numbers(const TensorProto& t, const std::string& raw, const Listed& listed, const Convert& convert) {
  std::vector<To> out;
  if (t.has_raw_data() || t.data_location() == TensorProto::EXTERNAL) {
    for (const T v : from_raw<T>(raw)) out.push_back(convert(v));
  } else {
    for (const auto v : listed) out.push_back(convert(static_cast<T>(v)));
  }
  return out;
}

std::string type_name(int type) {
  return TensorProto::DataType_IsValid(type) ? TensorProto::DataType_Name(static_cast<TensorProto::DataType>(type))
                                             : "unknown";
}

class Reader {
 public:
  explicit Reader(const std::string& path) { content_.path = path; }

  Content read() {
    const io::Mapped file(content_.path);
    if (file.content().size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
        !model_.ParseFromArray(file.content().data(), static_cast<int>(file.content().size())) || !model_.has_graph()) {
      fail("corrupt, or not an ONNX model");
    }
    content_.bytes = std::ssize(file.content());
    for (const auto& set : model_.opset_import()) {
      if (set.domain().empty() || set.domain() == "ai.onnx") content_.opset = set.version();
    }
    const onnx::GraphProto& graph = model_.graph();
    for (const TensorProto& t : graph.initializer()) content_.constants[t.name()] = constant(t, t.name());
    for (const auto& [name, other] : beside_) content_.bytes += std::ssize(other->content());
    for (const onnx::NodeProto& n : graph.node()) read(n);
    for (const onnx::ValueInfoProto& i : graph.input()) read(i);
    for (const auto& o : graph.output()) content_.outputs.push_back(o.name());
    return std::move(content_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { bad_input("{}: {}", content_.path, on_one_line(why)); }
  void read(const onnx::NodeProto& n);
  void read(const onnx::ValueInfoProto& input);
  void read_constant(const onnx::NodeProto& n);
  Constant constant(const TensorProto& tensor, const std::string& name);
  std::string external(const TensorProto& tensor, const std::string& name);

  onnx::ModelProto model_;
  Content content_;
  std::map<std::string, std::unique_ptr<const io::Mapped>> beside_;  // files of tensors, by path
};

void Reader::read(const onnx::NodeProto& n) {
  const bool own = n.domain().empty() || n.domain() == "ai.onnx";
  Node node{.name = on_one_line(n.name().empty() && n.output_size() > 0 ? n.output(0) : n.name()),
            .op = own ? n.op_type() : n.domain() + "." + n.op_type(),
            .inputs = {n.input().begin(), n.input().end()},
            .outputs = {n.output().begin(), n.output().end()}};
  if (node.outputs.empty()) fail(fmt::format("{} '{}' has no output", node.op, node.name));
  if (node.op == "Constant") read_constant(n);
  if (content_.constants.contains(node.outputs[0])) return;
  for (const auto& a : n.attribute()) {
    node.attributes.emplace(a.name(),
                            Attribute{.number = a.i(),
                                      .real = static_cast<double>(a.f()),
                                      .text = a.s(),
                                      .list = {a.ints().begin(), a.ints().end()},
                                      .reals = {a.floats().begin(), a.floats().end()},
                                      .tensor = a.has_t() ? std::optional(constant(a.t(), a.name())) : std::nullopt});
  }
  content_.nodes.push_back(std::move(node));
}

/// Initializers may be listed as inputs, too.
void Reader::read(const onnx::ValueInfoProto& input) {
  if (content_.constants.contains(input.name())) return;
  const auto& tensor = input.type().tensor_type();
  std::vector<int64_t> dims;
  for (const auto& d : tensor.shape().dim()) {
    dims.push_back(std::max<int64_t>(0, d.has_dim_value() ? d.dim_value() : 0));
  }
  content_.inputs.push_back({.name = input.name(), .dims = std::move(dims), .type = tensor.elem_type()});
}

/// Reads a Constant's tensor, or the numbers in its other attributes.
void Reader::read_constant(const onnx::NodeProto& n) {
  const auto find = [&](const char* name) {
    const auto found = std::ranges::find_if(n.attribute(), [&](const auto& a) { return a.name() == name; });
    return found == n.attribute().end() ? nullptr : &*found;
  };
  const std::string& name = n.output(0);
  Constant out{.name = name, .type = "", .dims = {}, .floats = {}, .integers = {}};
  if (const auto* a = find("value"); a != nullptr && a->has_t()) {
    out = constant(a->t(), name);
  } else if (a = find("value_float"); a != nullptr) {
    out.floats = {a->f()};
  } else if (a = find("value_floats"); a != nullptr) {
    out.floats.assign(a->floats().begin(), a->floats().end());
    out.dims = {std::ssize(out.floats)};
  } else if (a = find("value_int"); a != nullptr) {
    out.integers = {a->i()};
  } else if (a = find("value_ints"); a != nullptr) {
    out.integers.assign(a->ints().begin(), a->ints().end());
    out.dims = {std::ssize(out.integers)};
  } else {
    return;  // not numeric: its consumers will refuse it
  }
  if (out.type.empty()) out.type = out.integers.empty() ? "FLOAT" : "INT64";
  content_.constants[name] = std::move(out);
}

/// A tensor's bytes in a file in the model's folder, or in a folder below.
std::string Reader::external(const TensorProto& t, const std::string& name) {
  std::map<std::string, std::string> where;
  for (const auto& entry : t.external_data()) where[entry.key()] = entry.value();
  const auto number = [&](const char* key, uint64_t otherwise) {
    const std::string& text = where[key];
    uint64_t value = otherwise;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!text.empty() && (error != std::errc() || end != text.data() + text.size()))
      fail(fmt::format("tensor '{}' is in another file, at the {} '{}': expected a number of bytes", name, key, text));
    return value;
  };
  namespace fs = std::filesystem;
  const std::string& location = where["location"];
  std::error_code ignored;
  const fs::path folder = fs::weakly_canonical(fs::absolute(content_.path, ignored), ignored).parent_path();
  const fs::path file = fs::weakly_canonical(folder / location, ignored);
  const fs::path inside = file.lexically_relative(folder);
  if (location.empty() || fs::path(location).is_absolute() || inside.empty() || *inside.begin() == "..") {
    fail(fmt::format("tensor '{}' is in the file '{}': expected one in the model's folder", name, location));
  }
  std::unique_ptr<const io::Mapped>& opened = beside_[file.string()];
  if (!opened) opened = std::make_unique<io::Mapped>(file.string());
  const std::string_view content = opened->content();
  const uint64_t offset = number("offset", 0);
  const uint64_t length = number("length", offset > content.size() ? 0 : content.size() - offset);
  if (offset > content.size() || length > content.size() - offset) {
    fail(fmt::format("tensor '{}' is in '{}' at byte {}, {} bytes: the file has only {}", name, location, offset,
                     length, content.size()));
  }
  return std::string(content.substr(offset, length));
}

Constant Reader::constant(const TensorProto& t, const std::string& name) {
  Constant out{.name = on_one_line(name),
               .type = type_name(t.data_type()),
               .dims = {t.dims().begin(), t.dims().end()},
               .floats = {},
               .integers = {}};
  std::string outside;
  if (t.data_location() == TensorProto::EXTERNAL) outside = external(t, name);
  const std::string& raw = t.data_location() == TensorProto::EXTERNAL ? outside : t.raw_data();
  const auto same = [](auto v) { return v; };
  const auto narrowed = [](double v) { return static_cast<float>(v); };
  const auto brain = [](uint16_t v) { return static_cast<float>(std::bit_cast<bfloat16>(v)); };
  if (t.data_type() == TensorProto::FLOAT) {
    out.floats = numbers<float, float>(t, raw, t.float_data(), same);
  } else if (t.data_type() == TensorProto::DOUBLE) {
    out.floats = numbers<double, float>(t, raw, t.double_data(), narrowed);
  } else if (t.data_type() == TensorProto::FLOAT16) {
    out.floats = numbers<uint16_t, float>(t, raw, t.int32_data(), from_half);
  } else if (t.data_type() == TensorProto::BFLOAT16) {
    out.floats = numbers<uint16_t, float>(t, raw, t.int32_data(), brain);
  } else if (t.data_type() == TensorProto::INT64) {
    out.integers = numbers<int64_t, int64_t>(t, raw, t.int64_data(), same);
  } else if (t.data_type() == TensorProto::INT32) {
    out.integers = numbers<int32_t, int64_t>(t, raw, t.int32_data(), same);
  }
  int64_t size = 1;
  for (const int64_t d : out.dims) {
    if (d < 0 || (d > 0 && size > (int64_t{1} << 40) / d)) {
      fail(fmt::format("tensor '{}' has an invalid dimension {}", name, d));
    }
    size *= d;
  }
  const bool counted =
      onnx_file::is_real(t.data_type()) || t.data_type() == TensorProto::INT64 || t.data_type() == TensorProto::INT32;
  if (counted && out.size() != size) {
    fail(fmt::format("tensor '{}' has {} values, but its shape needs {}", name, out.size(), size));
  }
  const auto nan = std::ranges::find_if(out.floats, [](float v) { return std::isnan(v); });
  if (nan != out.floats.end()) {
    fail(fmt::format("tensor '{}' contains NaN (first at index {}): export a network whose training succeeded", name,
                     nan - out.floats.begin()));
  }
  return out;
}

}  // namespace

Model from_onnx(const std::string& path, const Options& options) {
  return import_network(Reader(path).read(), options);
}

}  // namespace mixgrad::models
