// SPDX-License-Identifier: Apache-2.0
// Reverse-mode differentiation: a tape records ops as they run and plays them backwards. Also used for tracing.
#pragma once

#include <mixgrad/operators.h>
#include <mixgrad/tensor.h>
#include <mixgrad/types.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace mixgrad {

struct Record;

/// An op's record as its gradient function sees it.
struct Backward {
  const Record& record;

  template <typename T = float>
  std::span<const T> input(int i) const;
  template <typename T = float>
  std::span<const T> output() const;
  template <typename T = float>
  std::span<const T> grad_output() const;
  /// Where ∂loss/∂input i goes; false if it is not needed. Call once per backward pass: the result is then written to.
  template <typename T = float>
  GradOf<T> grad(int i) const;
};

using BackwardFunction = std::function<void(const Backward&)>;

/// How to record an op: as an operator that graphs can hold, or just by name.
struct RecordedOp {
  template <typename Op>
  requires std::is_constructible_v<Operator, Op> RecordedOp(const Op& op) : name(op.name()), graph_op(op) {}
  RecordedOp(const char* other) : name(other) {}

  const char* name;
  std::optional<Operator> graph_op = {};
};

struct Record {
  const char* op;
  std::optional<Operator> graph_op;  ///< unset: graphs can't hold it
  std::vector<Tensor> inputs;
  Tensor output;
  BackwardFunction backward;
  std::string module;  ///< path of the module or graph node that ran the op; set when tracing or observed
};

/// Called for every op that a tape records or plays back.
class TapeObserver {
 public:
  virtual ~TapeObserver() = default;
  /// The output has been computed.
  virtual void recorded(const Record&) {}
  /// The inputs have received their gradients; the output's gradient still exists.
  virtual void played(const Record&) {}
};

/// Records this thread's ops during its lifetime. Tapes nest: the innermost one records. Without a tape, ops only
/// compute.
class Tape {
 public:
  /// `gradients` records ops that depend on a leaf that needs a gradient; `trace` records every op.
  enum class Mode { gradients, trace };

  explicit Tape(Mode mode = Mode::gradients, TapeObserver* observer = nullptr);
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Adds ∂loss/∂leaf to the gradient of every leaf and clears the tape. `loss` has one element.
  void backward(const Tensor& loss);
  /// The same, starting from the gradients that outputs already hold (Tensor::set_grad).
  void backward();
  /// ∂of/∂leaf for each of `leaves`, zeros if `of` does not depend on it. Neither existing gradients nor the tape
  /// change. `of` has one element.
  std::vector<Tensor> gradients(const Tensor& of, std::span<const Tensor> leaves) const;

  Mode mode() const { return mode_; }
  std::span<const Record> records() const { return records_; }
  TapeObserver* observer() const { return observer_; }
  void push(Record record);

  /// This thread's recording tape, or null.
  static Tape* current();

 private:
  Mode mode_;
  TapeObserver* observer_;
  Tape* outer_;
  std::vector<Record> records_;
};

/// Suspends recording on this thread during its lifetime.
class NoTape {
 public:
  NoTape();
  ~NoTape();
  NoTape(const NoTape&) = delete;
  NoTape& operator=(const NoTape&) = delete;

 private:
  Tape* outer_;
};

/// Names the module or graph node that runs on this thread during its lifetime, for traces, observers and errors.
class ModuleScope {
 public:
  explicit ModuleScope(const std::string& name);  ///< `name` must outlive the scope; empty adds nothing
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;
};

/// Records an op on the current tape, if there is one and it needs a gradient or traces; returns `output`.
Tensor record(const RecordedOp& op, Tensor output, std::vector<Tensor> inputs, BackwardFunction backward);

}  // namespace mixgrad
