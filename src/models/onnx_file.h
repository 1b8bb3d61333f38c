// SPDX-License-Identifier: Apache-2.0
// An ONNX file as it stands: nodes, constants, input and output; sizes checked against the file.
#pragma once

#include <mixgrad/tensor.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace onnx {
class ModelProto;
class NodeProto;
class TensorProto;
}  // namespace onnx

namespace mixgrad::models::onnx_file {

struct Constant {
  std::string name, type;         ///< type in words, for messages
  std::vector<int64_t> dims;
  std::vector<float> floats;      ///< of a float tensor
  std::vector<int64_t> integers;  ///< of an int64 or int32 tensor
};

struct Node {
  std::string name, op;
  std::vector<std::string> inputs, outputs;
  const onnx::NodeProto* proto;
};

class File {
 public:
  /// Throws bad_input naming the file and what is wrong with it.
  explicit File(const std::string& path);
  ~File();

  [[noreturn]] void fail(const std::string& why) const;

  const std::string& path() const { return path_; }
  int64_t bytes() const { return bytes_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  /// Whether a node only gives a constant.
  bool folded(const Node& node) const;
  /// Null: no constant of this name.
  const Constant* constant(const std::string& name) const;
  const std::string& input() const { return input_; }
  const std::string& output() const { return output_; }
  /// Of the input; 0 where it is not fixed.
  std::vector<int64_t> input_dims() const;
  /// Whether nothing but Transposes of this order read the input.
  bool consumed_by_transpose(const std::vector<int64_t>& order) const;
  /// Null: none or several.
  const Node* only_consumer(const std::string& name) const;

 private:
  Constant read(const onnx::TensorProto& tensor, const std::string& name) const;

  std::string path_;
  int64_t bytes_ = 0;
  std::unique_ptr<onnx::ModelProto> model_;
  std::vector<Node> nodes_;
  std::map<std::string, Constant> constants_;
  std::string input_, output_;
};

/// A node's attributes, each with its default.
class Attributes {
 public:
  Attributes(const File& file, const Node& node) : file_(file), node_(node) {}

  int64_t number(const std::string& name, int64_t otherwise) const;
  double real(const std::string& name, double otherwise) const;
  std::string text(const std::string& name, const std::string& otherwise) const;
  std::vector<int64_t> list(const std::string& name) const;
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
