// SPDX-License-Identifier: Apache-2.0
// A network in ONNX's terms, whichever file it was read from: nodes, constants, input and output.
#pragma once

#include <mixgrad/normalization.h>
#include <mixgrad/tensor.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad::models::onnx_file {

/// The types used here by number (TensorProto.DataType).
constexpr int64_t type_float = 1, type_uint8 = 2, type_int32 = 6, type_int64 = 7, type_float16 = 10, type_double = 11,
                  type_bfloat16 = 16;
/// Whether it is a type of real numbers, all of which are float32 here.
bool is_real(int64_t type);

struct Constant {
  std::string name, type;  ///< type in words, for messages
  std::vector<int64_t> dims;
  std::vector<float> floats;      ///< of a tensor of real numbers, in float32
  std::vector<int64_t> integers;  ///< of an int64 or int32 tensor

  int64_t size() const { return std::ssize(floats) + std::ssize(integers); }
};

/// Holds a value of each kind; the operator knows which one counts.
struct Attribute {
  int64_t number = 0;
  double real = 0;
  std::string text = {};
  std::vector<int64_t> list = {};
  std::vector<double> reals = {};
  std::optional<Constant> tensor = {};
};

struct Node {
  std::string name, op;  ///< op: "domain.op" outside ONNX's own domain
  std::vector<std::string> inputs, outputs;
  std::map<std::string, Attribute> attributes = {};
  std::string source = {};   ///< the operator that it was made of in a file of another format, "CONV_2D 3"
  std::string refusal = {};  ///< why that operator has no form in ONNX; `op` is its own name
  std::optional<FunctionAttrs> function = {};  ///< set if it replaces the nodes that the function was written out in

  /// For messages: "Conv 'name'", or "CONV_2D 3 'name'".
  std::string called() const { return (source.empty() ? op : source) + " '" + name + "'"; }
};

struct Input {
  std::string name;
  std::vector<int64_t> dims = {};  ///< with 0 for undefined sizes; empty if no shape is declared
  int64_t type = type_float;       ///< TensorProto.DataType
};

/// What a reader of files returns, with sizes checked against the file.
struct Content {
  std::string path;
  int64_t bytes = 0;  ///< with those of tensors in other files
  int64_t opset = 0;
  std::vector<Node> nodes = {};  ///< in execution order
  std::map<std::string, Constant> constants = {};
  std::vector<Input> inputs = {};
  std::vector<std::string> outputs = {};
  std::vector<std::string> notes = {};  ///< as in Model
  bool channels_last = false;           ///< the format's images are [N, H, W, C]
  bool tells_input_scale = true;        ///< false: networks of this format take any range of pixels
  Normalization advised = {};           ///< as in Model, with one number or one per channel
};

class File {
 public:
  /// Throws bad_input naming the file unless it has one input and an output.
  explicit File(Content content);

  [[noreturn]] void fail(const std::string& why) const;

  const std::string& path() const { return content_.path; }
  int64_t bytes() const { return content_.bytes; }
  int64_t opset() const { return content_.opset; }
  const std::vector<std::string>& notes() const { return content_.notes; }
  bool channels_last() const { return content_.channels_last; }
  bool tells_input_scale() const { return content_.tells_input_scale; }
  const Normalization& advised() const { return content_.advised; }
  /// Those that the outputs depend on, in the file's order.
  const std::vector<Node>& nodes() const { return content_.nodes; }
  void set_nodes(std::vector<Node> nodes);
  /// Null if there is no constant of this name.
  const Constant* constant(const std::string& name) const;
  /// Makes a node's output a constant.
  void set_constant(const std::string& name, Constant constant);
  const std::string& input() const { return content_.inputs[0].name; }
  const std::vector<std::string>& outputs() const { return content_.outputs; }
  bool is_output(const std::string& name) const { return std::ranges::find(outputs(), name) != outputs().end(); }
  const std::vector<int64_t>& input_dims() const { return content_.inputs[0].dims; }
  int64_t input_type() const { return content_.inputs[0].type; }
  const std::vector<const Node*>& consumers(const std::string& name) const;
  /// Null if there is none, or several, or if this is an output of the network.
  const Node* only_consumer(const std::string& name) const;

 private:
  void check_ends() const;
  void drop_unused();

  Content content_;
  std::map<std::string, std::vector<const Node*>> consumers_;
};

/// A node's attributes, each with its default.
class Attributes {
 public:
  Attributes(const File& file, const Node& node) : file_(file), node_(node) {}

  bool has(const std::string& name) const;
  int64_t number(const std::string& name, int64_t otherwise) const;
  double real(const std::string& name, double otherwise) const;
  std::string text(const std::string& name, const std::string& otherwise) const;
  std::vector<int64_t> list(const std::string& name) const;
  std::vector<double> reals(const std::string& name) const;
  std::optional<Constant> tensor(const std::string& name) const;
  template <size_t N>
  std::array<int64_t, N> fixed(const std::string& name, const std::array<int64_t, N>& otherwise) const {
    const std::vector<int64_t> values = list(name);
    if (values.empty()) return otherwise;
    if (values.size() != N) wrong_count(name, values.size(), N);
    std::array<int64_t, N> out;
    std::copy(values.begin(), values.end(), out.begin());
    return out;
  }

 private:
  [[noreturn]] void wrong_count(const std::string& name, size_t has, size_t expected) const;

  /// Null if the node does not have it.
  const Attribute* find(const std::string& name) const;

  const File& file_;
  const Node& node_;
};

}  // namespace mixgrad::models::onnx_file
