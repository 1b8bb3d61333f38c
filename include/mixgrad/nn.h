// SPDX-License-Identifier: Apache-2.0
// Modules: float networks as users write them.
#pragma once

#include <mixgrad/io.h>
#include <mixgrad/ops.h>
#include <mixgrad/rng.h>
#include <mixgrad/tensor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace mixgrad::nn {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// A layer or a network. Derived classes hold their parameters and children as members, register them in the
/// constructor and compute in `forward`. Registration keeps addresses, so modules can be neither copied nor moved.
class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  virtual Tensor forward(const Tensor& x) = 0;
  /// forward(x), with this module's name added to the path that traces and errors show.
  Tensor operator()(const Tensor& x);

  /// The trained tensors by path ("stack1.conv1.weight"), in registration order.
  std::vector<NamedTensor> named_parameters() const;
  /// Tensors that are saved but not trained (running mean and variance of batch norm).
  std::vector<NamedTensor> named_buffers() const;
  std::vector<Tensor> parameters() const;
  /// This module and all its descendants, parents first.
  std::vector<Module*> modules();
  std::vector<const Module*> modules() const;

  /// In training, batch norm uses the batch's mean and variance; in evaluation, the running ones.
  virtual void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

 protected:
  void add_parameter(std::string name, Tensor& tensor);
  void add_buffer(std::string name, const Tensor& tensor);
  void add_module(std::string name, Module& child);

 private:
  void collect(const std::string& prefix, bool buffers, std::vector<NamedTensor>& out) const;

  std::string name_;
  bool training_ = true;
  std::vector<NamedTensor> parameters_, buffers_;
  std::vector<Module*> children_;
};

struct Conv2dOptions {
  int64_t in_channels = 0, out_channels = 0;
  std::array<int64_t, 2> kernel{3, 3};
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 2> padding{0, 0};  ///< on each side
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
  bool bias = true;
};

class Conv2d : public Module {
 public:
  explicit Conv2d(const Conv2dOptions& options);
  /// weight_shape [O, I / groups, KH, KW]; `attrs` allows different padding on each side.
  Conv2d(const Shape& weight_shape, const Conv2dAttrs& attrs, bool bias);
  Tensor forward(const Tensor& x) override;
  Tensor weight, bias;

 private:
  Conv2dAttrs attrs_;
};

struct Conv1dOptions {
  int64_t in_channels = 0, out_channels = 0, kernel = 3, stride = 1, padding = 0, dilation = 1, groups = 1;
  bool bias = true;
};

/// For signals [N, C, 1, L]: a Conv2d of height 1, weight [O, C / groups, 1, K].
class Conv1d : public Conv2d {
 public:
  explicit Conv1d(const Conv1dOptions& o)
      : Conv2d({.in_channels = o.in_channels,
                .out_channels = o.out_channels,
                .kernel = {1, o.kernel},
                .stride = {1, o.stride},
                .padding = {0, o.padding},
                .dilation = {1, o.dilation},
                .groups = o.groups,
                .bias = o.bias}) {}
};

struct ConvTranspose2dOptions {
  int64_t in_channels = 0, out_channels = 0;
  std::array<int64_t, 2> kernel{2, 2};
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 2> padding{0, 0};  ///< on each side
  std::array<int64_t, 2> output_padding{0, 0};
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
  bool bias = true;
};

/// Its weight is [O, I / groups, KH, KW], as that of Conv2d; in files of states it is PyTorch's, [I, O / groups, KH,
/// KW].
class ConvTranspose2d : public Module {
 public:
  explicit ConvTranspose2d(const ConvTranspose2dOptions& options);
  /// `attrs` allows different padding on each side.
  ConvTranspose2d(const Shape& weight_shape, const ConvTranspose2dAttrs& attrs, bool bias);
  Tensor forward(const Tensor& x) override;
  int64_t groups() const { return attrs_.groups; }
  Tensor weight, bias;

 private:
  ConvTranspose2dAttrs attrs_;
};

struct LinearOptions {
  int64_t in_features = 0, out_features = 0;
  bool bias = true;
};

class Linear : public Module {
 public:
  explicit Linear(const LinearOptions& options);
  Tensor forward(const Tensor& x) override;
  Tensor weight, bias;
};

struct BatchNormOptions {
  float eps = 1e-5F;
  float momentum = 0.1F;
};

/// Over the channels of [N, C, H, W] or [N, C].
class BatchNorm2d : public Module {
 public:
  explicit BatchNorm2d(int64_t channels, const BatchNormOptions& options = {});
  Tensor forward(const Tensor& x) override;
  Tensor gamma, beta, running_mean, running_var;

 private:
  BatchNormOptions options_;
};

class ReLU : public Module {
 public:
  Tensor forward(const Tensor& x) override { return relu(x); }
};

/// An elementwise function; the classes after it are those of PyTorch.
class Function : public Module {
 public:
  explicit Function(const FunctionAttrs& attrs) : attrs_(attrs) {}
  Tensor forward(const Tensor& x) override { return function(attrs_, x); }

 private:
  FunctionAttrs attrs_;
};

class Sigmoid : public Function {
 public:
  Sigmoid() : Function({.kind = FunctionKind::sigmoid}) {}
};

class Hardsigmoid : public Function {
 public:
  explicit Hardsigmoid(float a = 1.0F / 6, float b = 0.5F)
      : Function({.kind = FunctionKind::hard_sigmoid, .a = a, .b = b}) {}
};

class Hardswish : public Function {
 public:
  Hardswish() : Function({.kind = FunctionKind::hard_swish, .a = 1.0F / 6, .b = 0.5F}) {}
};

class SiLU : public Function {
 public:
  SiLU() : Function({.kind = FunctionKind::silu, .a = 1}) {}
};

class Tanh : public Function {
 public:
  Tanh() : Function({.kind = FunctionKind::tanh}) {}
};

class LeakyReLU : public Function {
 public:
  explicit LeakyReLU(float slope = 0.01F) : Function({.kind = FunctionKind::leaky_relu, .a = slope}) {}
};

class ELU : public Function {
 public:
  explicit ELU(float a = 1) : Function({.kind = FunctionKind::elu, .a = a}) {}
};

class Hardtanh : public Function {
 public:
  explicit Hardtanh(float low = -1, float high = 1) : Function({.kind = FunctionKind::clip, .a = low, .b = high}) {}
};

class GELU : public Function {
 public:
  explicit GELU(bool by_tanh = false) : Function({.kind = by_tanh ? FunctionKind::gelu_tanh : FunctionKind::gelu}) {}
};

class Softplus : public Function {
 public:
  Softplus() : Function({.kind = FunctionKind::softplus}) {}
};

class Mish : public Function {
 public:
  Mish() : Function({.kind = FunctionKind::mish}) {}
};

/// One slope per channel, or 1 for all of them.
class PReLU : public Module {
 public:
  explicit PReLU(int64_t slopes = 1, float initial = 0.25F) : weight(Tensor::full({slopes}, initial)) {
    add_parameter("weight", weight);
  }
  Tensor forward(const Tensor& x) override { return prelu(x, weight); }
  Tensor weight;
};

class MaxPool2d : public Module {
 public:
  explicit MaxPool2d(const Pool2dAttrs& attrs) : attrs_(attrs) {}
  Tensor forward(const Tensor& x) override { return max_pool2d(x, attrs_); }

 private:
  Pool2dAttrs attrs_;
};

class AvgPool2d : public Module {
 public:
  explicit AvgPool2d(const Pool2dAttrs& attrs) : attrs_(attrs) {}
  Tensor forward(const Tensor& x) override { return avg_pool2d(x, attrs_); }

 private:
  Pool2dAttrs attrs_;
};

class GlobalAvgPool2d : public Module {
 public:
  Tensor forward(const Tensor& x) override { return global_avg_pool2d(x); }
};

class GlobalMaxPool2d : public Module {
 public:
  Tensor forward(const Tensor& x) override { return global_max_pool2d(x); }
};

class ChannelShuffle : public Module {
 public:
  explicit ChannelShuffle(int64_t groups) : groups_(groups) {}
  Tensor forward(const Tensor& x) override { return channel_shuffle(x, groups_); }

 private:
  int64_t groups_;
};

class Pad2d : public Module {
 public:
  explicit Pad2d(const Pad2dAttrs& attrs) : attrs_(attrs) {}
  Tensor forward(const Tensor& x) override { return pad2d(x, attrs_); }

 private:
  Pad2dAttrs attrs_;
};

class Upsample2d : public Module {
 public:
  explicit Upsample2d(const Upsample2dAttrs& attrs) : attrs_(attrs) {}
  Tensor forward(const Tensor& x) override { return upsample2d(x, attrs_); }

 private:
  Upsample2dAttrs attrs_;
};

class Flatten : public Module {
 public:
  Tensor forward(const Tensor& x) override { return flatten(x); }
};

/// Runs its modules in order; they are named "0", "1", ...
class Sequential : public Module {
 public:
  /// Sequential net(std::make_unique<Conv2d>(...), std::make_unique<ReLU>(), ...)
  template <typename... Modules>
  explicit Sequential(std::unique_ptr<Modules>... modules) {
    (append(std::move(modules)), ...);
  }
  void append(std::unique_ptr<Module> module);
  Tensor forward(const Tensor& x) override;

 private:
  std::vector<std::unique_ptr<Module>> modules_;
};

/// Draws every weight of conv and linear layers from N(0, 2 / fan_in) (He et al. 2015); biases 0, gamma 1, beta 0.
void initialize(Module& net, Rng rng);

/// Parameters, then buffers.
std::vector<NamedTensor> state_of(const Module& net);
/// The same by name, as files have it; tensors are shared unless their order differs.
io::Safetensors to_safetensors(const Module& net);
/// Saves the state as a safetensors file.
void save_state(const Module& net, const std::string& path);
/// Loads a state saved by save_state, or by another program under the same names. Throws bad_input listing names that
/// are missing or unknown, or naming a tensor that has another shape or holds NaN, infinity or a negative variance; the
/// network is then unchanged.
void load_state(Module& net, const std::string& path);

}  // namespace mixgrad::nn
