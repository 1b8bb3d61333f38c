// SPDX-License-Identifier: Apache-2.0
// Translation of a TFLite file into ONNX's terms: what the functions that translate operators share.
#pragma once

#include "onnx_file.h"

#include <fmt/core.h>
#include <tflite_generated.h>

#include <map>
#include <string>
#include <vector>

namespace mixgrad::models::tflite_file {

using onnx_file::Attribute;
using onnx_file::Constant;
using onnx_file::Content;
using onnx_file::Node;
using Dims = std::vector<int64_t>;
using Attributes = std::map<std::string, Attribute>;

/// Why an operator can't be translated.
struct Refusal {
  std::string why;
};
template <typename... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> why, Args&&... args) {
  throw Refusal{fmt::format(why, std::forward<Args>(args)...)};
}

/// The file's tensors.
class Tensors {
 public:
  /// Throws bad_input naming the file if a tensor is invalid.
  Tensors(const tflite::Model& model, const tflite::SubGraph& graph, const std::string& path);

  /// Whether this is an index of a tensor.
  bool has(int index) const { return index >= 0 && index < std::ssize(names_); }
  tflite::TensorType type(int index) const { return at(index).type(); }
  std::string type_name(int index) const;
  /// Unique.
  const std::string& name(int index) const { return names_[static_cast<size_t>(index)]; }
  /// What its layer is called: "dense/MatMul;dense/BiasAdd" belongs to "dense".
  std::string layer(int index) const;
  /// With 0 for undefined sizes.
  Dims dims(int index) const;
  bool has_data(int index) const;
  /// Its data, of floats of 16 bits and of codes as floats. Refuses other types.
  Constant constant(int index) const;

 private:
  const tflite::Tensor& at(int index) const { return *graph_.tensors()->Get(static_cast<uint32_t>(index)); }
  std::vector<float> dequantized(int index, const std::vector<float>& codes) const;

  const tflite::Model& model_;
  const tflite::SubGraph& graph_;
  std::vector<std::string> names_;
};

struct Translation {
  Content content;
  int64_t bytes_added = 0;  ///< of constants that are not in the file as they are
};

/// An operator that is being translated: its inputs, and the nodes made of it.
class Operator {
 public:
  Operator(const Tensors& tensors, Translation& to, const tflite::Operator& from, std::string source);

  const std::string& source() const { return source_; }
  size_t inputs() const { return from_.inputs() == nullptr ? 0 : from_.inputs()->size(); }
  /// Whether input i is there; optional ones may be left out.
  bool has(size_t i) const;
  const std::string& input(size_t i) const { return tensors_.name(index(i)); }
  /// The shape of input i, with 0 for undefined sizes.
  Dims dims(size_t i) const { return tensors_.dims(index(i)); }
  Dims output_dims() const { return tensors_.dims(output()); }
  /// Refuses unless input i has four dimensions, [N, H, W, C].
  Dims image_dims(size_t i) const;
  /// Null if input i is not a constant.
  const Constant* constant(size_t i) const;
  const Constant& needed(size_t i) const;
  /// The constant at input i, which must be floats with `rank` dimensions.
  const Constant& weights(size_t i, size_t rank) const;
  /// `names`, followed by that of the bias at input i if there is one.
  std::vector<std::string> with_bias(std::vector<std::string> names, size_t i) const;
  /// The integers at input i.
  const Dims& numbers(size_t i) const;
  template <typename Options>
  const Options& options() const {
    const auto* found = from_.builtin_options_as<Options>();
    if (found == nullptr) refuse("its options are missing");
    return *found;
  }

  /// Adds a constant and returns its name.
  std::string add(Constant constant);
  std::string integers(Dims values);
  std::string scalar(float value);
  /// Adds a node and returns the name of its output.
  std::string node(const std::string& op, std::vector<std::string> inputs, Attributes attributes = {});
  /// From [N, H, W, C] to [N, C, H, W], and back.
  std::string channels_first(const std::string& x);
  std::string channels_last(const std::string& x);
  std::string activated(const std::string& x, tflite::ActivationFunctionType function);
  /// Ends the translation: `x` is the operator's output.
  void end(const std::string& x);
  /// The operator's output is a constant.
  void end(Constant constant);
  /// Replaces the nodes by one that says why there are none.
  void end(const Refusal& refusal, const std::string& kind);

  /// Reads the constants among the inputs. Refuses other tensors that are not float32.
  void check_tensors() const;

 private:
  int index(size_t i) const;
  int output() const;
  std::string next_name() { return fmt::format("{}:{}", tensors_.name(output()), count_++); }

  void check_type(int tensor) const;

  const Tensors& tensors_;
  Translation& to_;
  const tflite::Operator& from_;
  const std::string source_;  // "CONV_2D 3"
  const size_t first_;        // of its nodes
  int count_ = 0;
};

/// The normalization of images that the file's metadata asks for; empty if it does not.
Normalization advised_normalization(const tflite::Model& model, const std::string& path);

/// Null if the operator is not supported.
using Translate = void (*)(Operator&);
Translate translation_of(tflite::BuiltinOperator op);

// tflite_layers.cpp
void translate_conv(Operator& o);
void translate_depthwise_conv(Operator& o);
void translate_fully_connected(Operator& o);
void translate_transpose_conv(Operator& o);

inline Attribute number(int64_t v) { return {.number = v}; }
inline Attribute real(float v) { return {.real = static_cast<double>(v)}; }
inline Attribute text(std::string v) { return {.text = std::move(v)}; }
inline Attribute list(Dims v) { return {.list = std::move(v)}; }
/// Attribute auto_pad of a convolution or pool.
Attribute padding(tflite::Padding padding);

}  // namespace mixgrad::models::tflite_file
