// SPDX-License-Identifier: Apache-2.0
// What an operator of an integer network uses to add its operators to a TFLite model, whose tensors of codes are INT8
// of shape [1, H, W, C]; features have one row and column. Independent of FlatBuffers, so that builds without TFLite
// can compile it.
#pragma once

#include <mixgrad/integer.h>

#include <src/internal/windows.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad::integer {

/// The codes of a node: code q is stored as q + zero_point. Of a raw node, its real values.
struct TfliteValue {
  int tensor = -1;
  int zero_point = 0;
};

enum class TfliteType { int8, int32, float32 };

struct TfliteTensor {
  std::vector<int64_t> dims;
  TfliteType type = TfliteType::int8;
  std::vector<float> scales = {};  ///< one, or one per index of `axis`; empty: plain integers
  int zero_point = 0;
  int axis = 0;
};

/// What the options of operators hold; each uses those that it has.
struct TfliteOptions {
  bool same = false;  ///< padding SAME rather than VALID
  std::array<int64_t, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  int64_t multiplier = 1;  ///< output channels per input channel of DEPTHWISE_CONV_2D
  bool relu = false;       ///< fused
  int axis = 0;
};

/// Adds tensors and operators to a model.
class TfliteWriter {
 public:
  TfliteWriter() = default;
  virtual ~TfliteWriter() = default;
  TfliteWriter(const TfliteWriter&) = delete;
  TfliteWriter& operator=(const TfliteWriter&) = delete;

  /// Returns its index. `data`: a constant's values, little-endian.
  virtual int tensor(const std::string& name, const TfliteTensor& tensor, const void* data = nullptr,
                     size_t bytes = 0) = 0;
  /// `op`: its name in the format, such as "CONV_2D". `version`: of its implementation that is needed.
  virtual void node(const std::string& op, int version, const std::vector<int>& inputs, int output,
                    const TfliteOptions& options = {}) = 0;

  int integers(const std::string& name, const std::vector<int64_t>& v, std::vector<int64_t> dims = {}) {
    const std::vector<int32_t> stored(v.begin(), v.end());
    if (dims.empty()) dims = {std::ssize(v)};
    return tensor(name, {.dims = std::move(dims), .type = TfliteType::int32}, stored.data(),
                  v.size() * sizeof(int32_t));
  }
};

/// Whether TFLite's padding VALID, or SAME, puts windows where they are.
bool is_valid(const Windows& w);
bool is_same(const Windows& w);
/// Of an operator whose windows one of them puts there.
TfliteOptions options_of(const Windows& w, int64_t multiplier = 1);

struct TfliteContext {
  TfliteWriter& add;
  const IntegerNetwork& network;
  const IntegerNode& node;
  const std::vector<TfliteValue>& values;  ///< of earlier nodes

  const IntegerNode& input(size_t i = 0) const { return network.input_of(node, i); }
  const TfliteValue& value(size_t i = 0) const { return values[static_cast<size_t>(node.inputs[i])]; }

  /// The highest code is stored as 127, so that TFLite's clamping to INT8 cuts what is above.
  int zero_point() const { return 127 - node.high; }
  static std::vector<int64_t> dims(const Shape& shape);

  /// `x`, codes of an input, for the operator that computes the node: as real values if the node is raw.
  int operand(const TfliteValue& x) const;
  /// A tensor for codes of the node, or for real values if it is raw; the one that holds its output has its name.
  TfliteValue codes(const std::string& name, const std::vector<int64_t>& dims, int zero_point) const;
  /// The output of an operator that passes codes on, stored as the input's.
  TfliteValue passed() const { return codes(node.name, dims(node.shape), value().zero_point); }
  /// Refuses sums of up to `largest` that, in steps of the output, TFLite could not hold in 32 bits: it shifts them
  /// left where `ratio`, output codes per step of the sums, is above 1.
  void check_sums(double ratio, double largest) const;
  /// The output of an operator that rounds and clamps to INT8, with the codes below the lowest cut: by a fused RELU if
  /// the operator has one and the lowest is 0. Of a raw node, real values.
  TfliteValue rounded(const std::string& op, int version, const std::vector<int>& inputs,
                      const TfliteOptions& options = {}, bool fuses = true) const;
  /// `x`, codes or real values of the node, with those below the lowest cut (and real ones above the highest). The
  /// single code that INT8 has below a signed quantizer of 8 bits is left.
  TfliteValue cut(const TfliteValue& x, const std::string& name) const;
  TfliteValue cut_real(const TfliteValue& x, const std::string& name) const;
  bool needs_cut() const { return node.raw ? node.low == 0 : node.low + zero_point() > -127; }
  /// The input's codes looked up: the output of code q is table[q + 128], or for tables of several channels, one after
  /// the other, that of its channel.
  TfliteValue looked_up(const std::vector<int>& table) const;
  TfliteValue reshaped(const TfliteValue& x, const std::string& name, const std::vector<int64_t>& dims) const;
  /// `x` from `first` on.
  TfliteValue part(const TfliteValue& x, const std::string& name, const std::vector<int64_t>& first,
                   const std::vector<int64_t>& dims) const;
  /// `x` of `shape` with rows and columns around it: top, left, bottom, right. They hold `fill`, or else zeros.
  TfliteValue around(const TfliteValue& x, const std::string& name, const Shape& shape,
                     const std::array<int64_t, 4>& padding, std::optional<int8_t> fill = {}) const;
  /// The input, padded unless padding SAME or VALID puts the windows where they are; moves them to the padded image.
  TfliteValue under(Windows& windows, std::optional<int8_t> fill = {}) const;
};

}  // namespace mixgrad::integer
