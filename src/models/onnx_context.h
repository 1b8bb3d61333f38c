// SPDX-License-Identifier: Apache-2.0
// A file on its way to a module: what its names stand for, and what the functions that read operators share.
#pragma once

#include "onnx_file.h"
#include "onnx_layout.h"

#include <mixgrad/models.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace mixgrad::models {

constexpr int64_t most_positions = 1 << 16;  ///< of an input's dimension, and of what a window spans

/// A Pad that the next convolution or pool is to take up.
struct Padding {
  std::array<int64_t, 4> sides{0, 0, 0, 0};  ///< top, left, bottom, right
  float value = 0;

  bool empty() const { return sides == std::array<int64_t, 4>{0, 0, 0, 0}; }
};

/// What a name of the file stands for.
struct Value {
  size_t at = 0;  ///< among the module's values; 0: its input
  Tensor sample;  ///< as it comes out for an input of zeros
  Layout layout;
  size_t order = 0;  ///< of features, among Orders
  Padding padding = {};
  bool nonnegative = false;  ///< as ReLUs make them
};

/// y = scale x + shift of every channel, in the file's order.
struct ScaleShift {
  std::vector<double> scale, shift;

  explicit ScaleShift(size_t channels) : scale(channels, 1), shift(channels, 0) {}
  bool shifts() const;
  bool is_identity() const;
  bool is_finite() const;
  /// The same followed by y op constant, or (constant_first) constant op y; op: Add, Sub, Mul or Div. False: a constant
  /// divided by y is none.
  bool then(const std::string& op, const std::vector<float>& constant, bool constant_first);
  void then(const ScaleShift& next);
};

/// The layers of a file, and in what order they run.
class Imported : public nn::Module {
 public:
  using Function = std::function<Tensor(const std::vector<Tensor>&)>;

  /// Returns where the function's value stands among all.
  size_t add(Function function, std::vector<size_t> inputs);
  void adopt(const std::string& name, std::unique_ptr<nn::Module> module);
  void set_output(size_t at) { output_ = at; }
  Tensor forward(const Tensor& x) override;

 private:
  struct Step {
    Function function;
    std::vector<size_t> inputs;
  };
  std::vector<Step> steps_;
  std::vector<std::unique_ptr<nn::Module>> layers_;
  std::set<std::string> names_;
  size_t output_ = 0;
};

class Context {
 public:
  Context(onnx_file::File& from, Imported& to) : file(from), net(to) {}

  onnx_file::File& file;
  Imported& net;
  Orders orders;
  std::map<std::string, Value> values;
  std::set<const onnx_file::Node*> absorbed;  ///< that a layer before them took up
  std::map<size_t, Value> rectified;          ///< what a ReLU worked on, by where its result stands
  std::vector<std::string> notes;
  int64_t batch = 1;  ///< N as the file has it; 1 where it is open
  std::string head;   ///< the input's name, behind its normalization so far
  std::optional<ScaleShift> normalization;
  std::string left_out;  ///< Model::left_out

  /// Whether a node is the next one of the input's normalization: it alone reads the head.
  bool at_head(const onnx_file::Node& n) const;

  [[noreturn]] void refuse(const onnx_file::Node& n, const std::string& why) const;

  const Value& value(const std::string& name, const std::string& where) const;
  /// Input i. With padding only where the caller takes it up.
  const Value& padded_input(const onnx_file::Node& n, size_t i) const;
  const Value& input(const onnx_file::Node& n, size_t i) const;
  /// Input 0, an image that the file sees as [N, C, H, W].
  const Value& image(const onnx_file::Node& n) const;
  /// The constant at input i; none when the node has no such input.
  const onnx_file::Constant* constant(const onnx_file::Node& n, size_t i) const;
  const onnx_file::Constant& needed(const onnx_file::Node& n, size_t i) const;
  /// The numbers of input i, or of an attribute as older opsets have it.
  std::vector<int64_t> numbers(const onnx_file::Node& n, size_t i, const char* attribute) const;
  /// An axis of a value of `rank` axes with N, counted from the end where negative.
  size_t axis(const onnx_file::Node& n, int64_t a, size_t rank) const;
  /// A constant's values, which must be finite floats; their number where it is given.
  const std::vector<float>& weights(const onnx_file::Node& n, const onnx_file::Constant& c, int64_t count = -1) const;

  /// The value of `function` of these, laid out like the first.
  Value step(Imported::Function function, const std::vector<const Value*>& inputs);
  /// The same with another layout; features get a free order.
  Value step(Imported::Function function, const std::vector<const Value*>& inputs, Layout layout);
  /// The value behind a module of one input, called after `weight` where that is "NAME.weight", else after the node.
  Value layer(const onnx_file::Node& n, const Value& x, std::unique_ptr<nn::Module> module, const std::string& weight,
              Layout layout);
  /// A value as features. Images must be flat to the file: Layout::only_axis.
  Value flat(const Value& x);
  /// `fill` runs once all orders are known.
  void later(std::function<void()> fill) { fills_.push_back(std::move(fill)); }
  void finish() const;

  /// Additions, subtractions, multiplications and divisions by constants that alone read a layer's output; they are its
  /// own from then on.
  ScaleShift absorb(const onnx_file::Node& n, const Layout& layout);

 private:
  std::map<size_t, Value> flattened_;  // by what is flattened
  std::vector<std::function<void()>> fills_;
};

}  // namespace mixgrad::models
