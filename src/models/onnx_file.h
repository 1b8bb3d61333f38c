// SPDX-License-Identifier: Apache-2.0
// The content of an ONNX file: nodes, constants, input and output, with sizes checked against the file.
#pragma once

#include <mixgrad/tensor.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace onnx {
class GraphProto;
class ModelProto;
class NodeProto;
class TensorProto;
}  // namespace onnx

namespace mixgrad::models::onnx_file {

/// The types used here by number (TensorProto.DataType).
constexpr int64_t type_float = 1, type_uint8 = 2, type_int32 = 6, type_int64 = 7;

struct Constant {
  std::string name, type;  ///< type in words, for messages
  std::vector<int64_t> dims;
  std::vector<float> floats;      ///< of a float tensor
  std::vector<int64_t> integers;  ///< of an int64 or int32 tensor

  int64_t size() const { return std::ssize(floats) + std::ssize(integers); }
};

struct Node {
  std::string name, op;  ///< op: "domain.op" outside ONNX's own domain
  std::vector<std::string> inputs, outputs;
  const onnx::NodeProto* proto;
  std::optional<FunctionAttrs> function = {};  ///< set if it replaces the nodes that the function was written out in
};

class File {
 public:
  /// Throws bad_input naming the file and what is wrong with it.
  explicit File(const std::string& path);
  ~File();

  [[noreturn]] void fail(const std::string& why) const;

  const std::string& path() const { return path_; }
  int64_t bytes() const { return bytes_; }
  int64_t opset() const { return opset_; }
  /// Those that the output depends on, in the file's order.
  const std::vector<Node>& nodes() const { return nodes_; }
  void set_nodes(std::vector<Node> nodes);
  Constant read(const onnx::TensorProto& tensor, const std::string& name) const;
  /// Null if there is no constant of this name.
  const Constant* constant(const std::string& name) const;
  /// Makes a node's output a constant.
  void set_constant(const std::string& name, Constant constant);
  const std::string& input() const { return input_; }
  const std::string& output() const { return output_; }
  /// The input's declared shape, with 0 for undefined sizes; empty if no shape is declared.
  std::vector<int64_t> input_dims() const;
  /// TensorProto.DataType
  int64_t input_type() const;
  const std::vector<const Node*>& consumers(const std::string& name) const;
  /// Null if there is none, or several, or if this is the network's output.
  const Node* only_consumer(const std::string& name) const;

 private:
  void read_nodes(const onnx::GraphProto& graph);
  void read_constant(const Node& node);
  void find_ends(const onnx::GraphProto& graph);
  void drop_unused();

  std::string path_;
  int64_t bytes_ = 0, opset_ = 0;
  std::unique_ptr<onnx::ModelProto> model_;
  std::vector<Node> nodes_;
  std::map<std::string, std::vector<const Node*>> consumers_;
  std::map<std::string, Constant> constants_;
  std::string input_, output_;
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

  const File& file_;
  const Node& node_;
};

}  // namespace mixgrad::models::onnx_file
