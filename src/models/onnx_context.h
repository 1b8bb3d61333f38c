// SPDX-License-Identifier: Apache-2.0
// State of an import: what the file's names refer to, and helpers shared by the functions that import operators.
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

constexpr int64_t most_positions = 1 << 16;  ///< limit on an input dimension and on the span of a window

/// A Pad to be merged into the next convolution or pool.
struct Padding {
  std::array<int64_t, 4> sides{0, 0, 0, 0};  ///< top, left, bottom, right
  float value = 0;

  bool empty() const { return sides == std::array<int64_t, 4>{0, 0, 0, 0}; }
};

/// What a name in the file refers to.
struct Value {
  size_t at = 0;  ///< index of the module's value; 0: its input
  Tensor sample;  ///< its value for an input of zeros
  Layout layout;
  size_t order = 0;  ///< of features, an index into Orders
  Padding padding = {};
  bool nonnegative = false;  ///< known to be, after a ReLU
};

/// y = scale x + shift per channel, in the file's order.
struct ScaleShift {
  std::vector<double> scale, shift;

  explicit ScaleShift(size_t channels) : scale(channels, 1), shift(channels, 0) {}
  bool shifts() const;
  bool is_identity() const;
  bool is_finite() const;
  /// Appends y op constant, or constant op y if constant_first; op is Add, Sub, Mul or Div. Returns false for a
  /// constant divided by y, which has no such form.
  bool then(const std::string& op, const std::vector<float>& constant, bool constant_first);
  void then(const ScaleShift& next);
};

/// The imported layers, in execution order.
class Imported : public nn::Module {
 public:
  using Function = std::function<Tensor(const std::vector<Tensor>&)>;

  /// Returns the index of the function's value.
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
  std::set<const onnx_file::Node*> absorbed;  ///< merged into an earlier layer
  std::map<size_t, Value> rectified;          ///< the input of each ReLU, by the index of its result
  std::vector<std::string> notes;
  int64_t batch = 1;  ///< N in the file; 1 if undefined
  std::string head;   ///< name of the input after the normalization found so far
  std::optional<ScaleShift> normalization;
  std::string left_out;  ///< Model::left_out

  /// Whether a node continues the input's normalization: it is the only consumer of the head.
  bool at_head(const onnx_file::Node& n) const;

  [[noreturn]] void refuse(const onnx_file::Node& n, const std::string& why) const;

  const Value& value(const std::string& name, const std::string& where) const;
  /// Input i, which may have padding that the caller must merge.
  const Value& padded_input(const onnx_file::Node& n, size_t i) const;
  /// Input i; padding becomes an operation of its own.
  const Value& input(const onnx_file::Node& n, size_t i);
  /// Input 0, an image that is [N, C, H, W] in the file, or a signal that is [N, C, L], perhaps with padding that the
  /// caller must merge.
  const Value& image(const onnx_file::Node& n) const;
  /// The same; padding becomes an operation of its own.
  const Value& image_with_padding(const onnx_file::Node& n);
  /// x with its padding as an operation of its own; it must consist of zeros. `name`: x in error messages.
  Value with_padding(const Value& x, const std::string& name);
  /// The constant at input i; null if the node has no such input.
  const onnx_file::Constant* constant(const onnx_file::Node& n, size_t i) const;
  const onnx_file::Constant& needed(const onnx_file::Node& n, size_t i) const;
  /// The integers at input i, or in an attribute as in older opsets.
  std::vector<int64_t> numbers(const onnx_file::Node& n, size_t i, const char* attribute) const;
  /// An attribute with a number each for rows and columns of images, or one for signals, whose other axis gets
  /// `neutral`.
  std::array<int64_t, 2> per_axis(const onnx_file::Node& n, const Layout& layout, const char* attribute,
                                  int64_t otherwise, int64_t neutral) const;
  /// An axis of a value with `rank` axes including N; negative ones count from the end.
  size_t axis(const onnx_file::Node& n, int64_t a, size_t rank) const;
  /// A constant's values, which must be finite floats, `count` of them if given.
  const std::vector<float>& weights(const onnx_file::Node& n, const onnx_file::Constant& c, int64_t count = -1) const;

  /// Applies `function` to `inputs`; the result has the layout of the first.
  Value step(Imported::Function function, const std::vector<const Value*>& inputs);
  /// The same with another layout; features get a free order.
  Value step(Imported::Function function, const std::vector<const Value*>& inputs, Layout layout);
  /// Applies a module with one input, named after `weight` if that is "NAME.weight", otherwise after the node.
  Value layer(const onnx_file::Node& n, const Value& x, std::unique_ptr<nn::Module> module, const std::string& weight,
              Layout layout);
  /// A value as features. An image must be flat in the file: Layout::only_axis.
  Value flat(const Value& x);
  /// Registers `fill` to run once all orders are known.
  void later(std::function<void()> fill) { fills_.push_back(std::move(fill)); }
  void finish() const;

  /// Merges additions, subtractions, multiplications and divisions by constants into a layer, as long as each is the
  /// only consumer of the value before it.
  ScaleShift absorb(const onnx_file::Node& n, const Layout& layout);

 private:
  std::map<size_t, Value> flattened_;  // by index of the flattened value
  std::vector<std::function<void()>> fills_;
};

}  // namespace mixgrad::models
