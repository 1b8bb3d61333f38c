// SPDX-License-Identifier: Apache-2.0
// Import: a float network in ONNX's terms as a module.
#include "onnx_import.h"

#include "onnx_fold.h"
#include "onnx_operators.h"

#include <mixgrad/error.h>
#include <mixgrad/tape.h>

#include <src/internal/memory.h>

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::Constant;
using onnx_file::Content;
using onnx_file::File;
using onnx_file::Node;

Import import_of(const std::string& op) {
  static const std::map<std::string, Import> table = {
      {"Add", import_arithmetic},
      {"AveragePool", import_pool},
      {"BatchNormalization", import_batch_norm},
      {"Cast", import_cast},
      {"Clip", import_clip},
      {"Concat", import_concat},
      {"Conv", import_conv},
      {"ConvTranspose", import_conv_transpose},
      {"Div", import_arithmetic},
      {"Dropout", import_same},
      {"Elu", import_function},
      {"Expand", import_expand},
      {"Flatten", import_flatten},
      {"Gather", import_gather},
      {"Gelu", import_function},
      {"Gemm", import_gemm},
      {"GlobalAveragePool", import_global_pool},
      {"GlobalMaxPool", import_global_pool},
      {"HardSigmoid", import_function},
      {"HardSwish", import_function},
      {"Identity", import_same},
      {"LeakyRelu", import_function},
      {"LogSoftmax", import_ending},
      {"MatMul", import_matmul},
      {"Max", import_clip},
      {"MaxPool", import_pool},
      {"Min", import_clip},
      {"Mish", import_function},
      {"Mul", import_arithmetic},
      {"PRelu", import_prelu},
      {"Pad", import_pad},
      {"ReduceMax", import_reduce},
      {"ReduceMean", import_reduce},
      {"Relu", import_relu},
      {"Reshape", import_reshape},
      {"Resize", import_resize},
      {"Sigmoid", import_function},
      {"Slice", import_slice},
      {"Softmax", import_ending},
      {"Softplus", import_function},
      {"Split", import_split},
      {"Squeeze", import_squeeze},
      {"Sub", import_arithmetic},
      {"Sum", import_arithmetic},
      {"Swish", import_function},
      {"Tanh", import_function},
      {"Transpose", import_transpose},
      {"Unsqueeze", import_unsqueeze},
      {"Upsample", import_resize},
  };
  const auto found = table.find(op);
  return found == table.end() ? nullptr : found->second;
}

namespace {

class Importer {
 public:
  Importer(Content content, const Options& options)
      : file_(std::move(content)),
        options_(options),
        net_(std::make_unique<Imported>()),
        context_(file_, *net_),
        most_folded_((options.most_memory + file_.bytes()) / static_cast<int64_t>(sizeof(float))) {}

  Model run() {
    recognize_functions(file_);
    refuse_unsupported(file_);
    net_->eval();
    const NoTape pause;
    const MemoryAllowance allowance(options_.most_memory + file_.bytes());
    for (const Node& n : file_.nodes()) fold_constant(n);
    const Shape input = declare_input(context_, options_);
    read_all();
    const Value result = take_result(context_);
    context_.finish();
    net_->set_output(result.at);
    Model model{.name = file_.path(),
                .input_shape = input,
                .net = nullptr,
                .trained = true,
                .output_shape = Shape(result.sample.shape().dims().subspan(1)),
                .outputs = file_.outputs(),
                .left_out = context_.left_out};
    take_normalization(context_, model);
    std::ranges::copy(file_.notes(), std::back_inserter(model.notes));
    std::ranges::copy(context_.notes, std::back_inserter(model.notes));
    model.net = std::move(net_);
    return model;
  }

 private:
  void keep(const Node& n, Constant constant) {
    most_folded_ -= constant.size();
    file_.set_constant(n.outputs[0], std::move(constant));
  }

  /// Returns whether the node's output is a constant, folding it if possible.
  bool fold_constant(const Node& n) {
    if (file_.constant(n.outputs[0]) != nullptr) return true;
    if (!all_constant(file_, n)) return false;
    keep(n, fold(file_, n, most_folded_));
    return true;
  }

  /// Reads every node that can be, and refuses all others together. What depends on one of them is passed over.
  void read_all() {
    std::vector<std::string> refused;
    std::set<std::string> unknown;
    const auto is_unknown = [&](const std::string& name) { return unknown.contains(name); };
    for (const Node& n : file_.nodes()) {
      if (std::ranges::none_of(n.inputs, is_unknown)) {
        try {
          read(n);
          continue;
        } catch (const Error& e) {
          if (e.kind() != Error::Kind::bad_input) throw;
          const std::string said = e.what(), prefix = file_.path() + ": ";
          const std::string why = said.starts_with(prefix) ? said.substr(prefix.size()) : said;
          refused.push_back(why.find(n.name) == std::string::npos ? fmt::format("{}: {}", n.called(), why) : why);
        }
      }
      unknown.insert(n.outputs.begin(), n.outputs.end());
    }
    if (refused.size() == 1) file_.fail(refused[0]);
    constexpr size_t most_listed = 50;
    const size_t count = refused.size();
    if (count > most_listed) refused.resize(most_listed), refused.emplace_back("...");
    if (!refused.empty())
      file_.fail(fmt::format("{} nodes can't be imported:\n  {}", count, fmt::join(refused, "\n  ")));
  }

  void read(const Node& n) {
    if (fold_constant(n)) return;
    if (n.op == "Shape") return keep(n, shape(n));
    const Import import = import_of(n.op);
    if (import == nullptr) context_.refuse(n, "only supported on constants");
    const Value y = import(context_, n);
    context_.values[n.outputs[0]] = y;
    if (y.at == 0 && context_.at_head(n)) context_.head = n.outputs[0];
  }

  Constant shape(const Node& n) {
    std::vector<int64_t> dims = context_.input(n, 0).layout.dims();
    dims.insert(dims.begin(), context_.batch);
    const Attributes a(file_, n);
    const auto rank = std::ssize(dims);
    const auto bound = [&](const char* name, int64_t otherwise) {
      const int64_t v = a.number(name, otherwise);
      return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank);
    };
    const int64_t start = bound("start", 0), end = std::max(start, bound("end", rank));
    return integers({dims.begin() + start, dims.begin() + end});
  }

  File file_;
  const Options options_;
  std::unique_ptr<Imported> net_;
  Context context_;
  int64_t most_folded_;  // remaining limit for folded constants, in values
};

}  // namespace

Model import_network(Content content, const Options& options) {
  const std::string path = content.path;
  try {
    return Importer(std::move(content), options).run();
  } catch (const Error& e) {
    if (std::string(e.what()).starts_with(path)) throw;
    bad_input("{}: {}", path, e.what());  // shapes refused by an op
  }
}

}  // namespace mixgrad::models
