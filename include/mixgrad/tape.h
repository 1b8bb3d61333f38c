// SPDX-License-Identifier: Apache-2.0
// Reverse-mode differentiation: a tape records ops as they run and plays them backwards. Also the tracer.
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

/// What an op's gradient sees of its record.
struct Backward {
  const Record& record;

  template <typename T = float>
  std::span<const T> input(int i) const;
  template <typename T = float>
  std::span<const T> output() const;
  template <typename T = float>
  std::span<const T> grad_output() const;
  /// Where ∂loss/∂input i goes; false when nobody needs it. Ask once per pass: it is then written to.
  template <typename T = float>
  GradOf<T> grad(int i) const;
};

using BackwardFunction = std::function<void(const Backward&)>;

/// What to record an op as: an operator that graphs can hold, or else a name.
struct RecordedOp {
  template <typename Op>
  requires std::is_constructible_v<Operator, Op> RecordedOp(const Op& op) : name(op.name()), graph_op(op) {}
  RecordedOp(const char* other) : name(other) {}

  const char* name;
  std::optional<Operator> graph_op = {};
};

struct Record {
  const char* op;
  std::optional<Operator> graph_op;  ///< none: graphs can't hold it
  std::vector<Tensor> inputs;
  Tensor output;
  BackwardFunction backward;
  std::string module;  ///< path of the module, or the graph's node, that ran the op; when tracing or observed
};

/// Told of every op as a tape records it and as it plays it back.
class TapeObserver {
 public:
  virtual ~TapeObserver() = default;
  /// The output holds its value.
  virtual void recorded(const Record&) {}
  /// The inputs have received their gradients; the output still holds its own.
  virtual void played(const Record&) {}
};

/// Records this thread's ops while it lives. Tapes nest: the newest records. Without one, ops only compute.
class Tape {
 public:
  /// `gradients` records what leads to a leaf that needs a gradient; `trace` records every op.
  enum class Mode { gradients, trace };

  explicit Tape(Mode mode = Mode::gradients, TapeObserver* observer = nullptr);
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Adds ∂loss/∂leaf to the gradient of every leaf. Uses the tape up. `loss` has one element.
  void backward(const Tensor& loss);
  /// The same from the gradients that outputs already hold (Tensor::set_grad).
  void backward();
  /// ∂of/∂leaf for each of `leaves`, zeros where `of` does not depend on it. Every gradient that tensors hold, and the
  /// tape, stay as they are. `of` has one element.
  std::vector<Tensor> gradients(const Tensor& of, std::span<const Tensor> leaves) const;

  Mode mode() const { return mode_; }
  std::span<const Record> records() const { return records_; }
  TapeObserver* observer() const { return observer_; }
  void push(Record record);

  /// The tape that records on this thread, or null.
  static Tape* current();

 private:
  Mode mode_;
  TapeObserver* observer_;
  Tape* outer_;
  std::vector<Record> records_;
};

/// Stops recording on this thread while it lives.
class NoTape {
 public:
  NoTape();
  ~NoTape();
  NoTape(const NoTape&) = delete;
  NoTape& operator=(const NoTape&) = delete;

 private:
  Tape* outer_;
};

/// Names the module, or the graph's node, that runs on this thread while it lives: for traces, observers and errors.
class ModuleScope {
 public:
  explicit ModuleScope(const std::string& name);  ///< `name` must outlive the scope; empty adds nothing
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;
};

/// Puts an op on the current tape if there is one and a gradient is needed (or it traces); returns `output`.
Tensor record(const RecordedOp& op, Tensor output, std::initializer_list<Tensor> inputs, BackwardFunction backward);

}  // namespace mixgrad
