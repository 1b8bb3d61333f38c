// SPDX-License-Identifier: Apache-2.0
// Optimizers, learning-rate schedules, gradient clipping.
#pragma once

#include <mixgrad/state.h>
#include <mixgrad/tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mixgrad::optim {

/// Parameters with common settings. `lr_scale` multiplies the optimizer's learning rate.
struct Group {
  std::vector<Tensor> parameters;
  double weight_decay = 0;
  double lr_scale = 1;
  bool logarithmic = false;  ///< train the logarithms of these parameters, which are above 0: a step is a factor
};

/// The common part of SGD and Adam. A step uses up each parameter's gradient and skips parameters without one.
class Optimizer {
 public:
  explicit Optimizer(std::vector<Group> groups) : groups_(std::move(groups)) {}
  virtual ~Optimizer() = default;

  void step();
  void set_lr(double lr) { lr_ = lr; }
  double lr() const { return lr_; }
  std::vector<Tensor> parameters() const;
  /// Adds what a step changes besides the parameters to `state`, under `name`.
  virtual void list_state(State& state, const std::string& name);

 protected:
  /// A tensor of zeros for each parameter.
  std::vector<Tensor> moments() const;
  virtual void update(size_t index, double lr, double weight_decay, std::span<float> value,
                      std::span<const float> grad) = 0;

  double lr_ = 0;
  int64_t steps_ = 0;

 private:
  void update_logarithm(size_t index, double lr, const Tensor& p);

  std::vector<Group> groups_;
};

struct SgdOptions {
  double lr = 0.1;
  double momentum = 0.9;
  bool nesterov = false;
};

/// v ← momentum v + g + decay w;  w ← w - lr v (Nesterov: w - lr (g + momentum v)).
class Sgd : public Optimizer {
 public:
  Sgd(std::vector<Group> groups, const SgdOptions& options);
  void list_state(State& state, const std::string& name) override;

 private:
  void update(size_t index, double lr, double weight_decay, std::span<float> value,
              std::span<const float> grad) override;
  SgdOptions options_;
  std::vector<Tensor> velocity_;
};

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
};

/// Kingma and Ba 2015, with decoupled weight decay (Loshchilov and Hutter 2019).
class Adam : public Optimizer {
 public:
  Adam(std::vector<Group> groups, const AdamOptions& options);
  void list_state(State& state, const std::string& name) override;

 private:
  void update(size_t index, double lr, double weight_decay, std::span<float> value,
              std::span<const float> grad) override;
  AdamOptions options_;
  std::vector<Tensor> first_, second_;
};

/// Scales all gradients so that their joint L2 norm is at most `most`; returns the original norm.
double clip_grad_norm(std::span<const Tensor> parameters, double most);

// Schedules: the learning rate at step `step` of `steps`.

/// Half a cosine from `lr` to `end`.
double cosine(double lr, int64_t step, int64_t steps, double end = 0);
/// From lr/25 up to lr over the fraction `rise` of the steps, then a cosine down to lr/10^4 (Smith and Topin 2018).
double one_cycle(double lr, int64_t step, int64_t steps, double rise = 0.3);
/// lr · gamma^step
double exponential(double lr, int64_t step, double gamma);

}  // namespace mixgrad::optim
