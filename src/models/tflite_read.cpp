// SPDX-License-Identifier: Apache-2.0
// Reads TFLite files: operators on [N, H, W, C] become ONNX's on [N, C, H, W], with transposes around them that the
// importer resolves.
#include "onnx_import.h"
#include "tflite_translation.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <algorithm>
#include <set>

namespace mixgrad::models {
namespace {

using namespace tflite_file;

class Reader {
 public:
  explicit Reader(const std::string& path)
      : file_(path),
        to_{.content = {.path = path,
                        .bytes = std::ssize(file_.content()),
                        .opset = 13,
                        .channels_last = true,
                        .tells_input_scale = false}} {}

  Content read() {
    const auto* bytes = reinterpret_cast<const uint8_t*>(file_.content().data());
    flatbuffers::Verifier verifier(bytes, file_.content().size());
    if (file_.content().size() < 8 || !tflite::ModelBufferHasIdentifier(bytes) || !tflite::VerifyModelBuffer(verifier))
      fail("corrupt, or not a TFLite model");
    const tflite::Model& model = *tflite::GetModel(bytes);
    if (model.version() != 3) fail(fmt::format("has version {} of the format, expected 3", model.version()));
    if (model.subgraphs() == nullptr || model.subgraphs()->size() == 0) fail("holds no network");
    const tflite::SubGraph& graph = *model.subgraphs()->Get(0);
    const Tensors tensors(model, graph, content_.path);
    content_.advised = advised_normalization(model, content_.path);
    read_inputs(graph, tensors);
    if (graph.operators() != nullptr) {
      for (uint32_t i = 0; i < graph.operators()->size(); ++i) read(model, *graph.operators()->Get(i), i, tensors);
    }
    read_outputs(graph, tensors);
    drop_unused_constants();
    note_codes();
    return std::move(content_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { bad_input("{}: {}", content_.path, why); }

  /// A tensor may have one source.
  void write(int index, const std::string& by, const Tensors& tensors) {
    if (!tensors.has(index)) fail(fmt::format("{} has tensor {}, which does not exist", by, index));
    if (tensors.has_data(index) || !written_.insert(index).second) {
      fail(fmt::format("{} has '{}', which has its values from elsewhere", by, tensors.name(index)));
    }
  }

  void read_inputs(const tflite::SubGraph& graph, const Tensors& tensors) {
    if (graph.inputs() == nullptr) return;
    for (const int32_t i : *graph.inputs()) {
      write(i, "the list of inputs", tensors);
      const tflite::TensorType type = tensors.type(i);
      content_.inputs.push_back({.name = tensors.name(i),
                                 .dims = tensors.dims(i),
                                 .type = type == tflite::TensorType::FLOAT32 ? onnx_file::type_float
                                         : type == tflite::TensorType::UINT8 ? onnx_file::type_uint8
                                                                             : 0});
    }
  }

  void read_outputs(const tflite::SubGraph& graph, const Tensors& tensors) {
    if (graph.outputs() == nullptr) return;
    for (const int32_t o : *graph.outputs()) {
      if (!tensors.has(o)) fail(fmt::format("the list of outputs has tensor {}, which does not exist", o));
      content_.outputs.push_back(tensors.name(o));
    }
  }

  void read(const tflite::Model& model, const tflite::Operator& op, uint32_t index, const Tensors& tensors) {
    const auto* codes = model.operator_codes();
    if (codes == nullptr || op.opcode_index() >= codes->size()) fail(fmt::format("operator {} has no type", index));
    const tflite::OperatorCode& code = *codes->Get(op.opcode_index());
    const auto type =
        std::max(code.builtin_code(), static_cast<tflite::BuiltinOperator>(code.deprecated_builtin_code()));
    const std::string kind = kind_of(type, code), source = fmt::format("{} {}", kind, index);
    if (op.outputs() == nullptr || op.outputs()->size() == 0) return;  // nothing depends on it
    for (const int32_t o : *op.outputs()) write(o, source, tensors);
    for (uint32_t i = 0; op.inputs() != nullptr && i < op.inputs()->size(); ++i) {
      const int32_t tensor = op.inputs()->Get(i);  // -1: left out
      if (tensor != -1 && !tensors.has(tensor))
        fail(fmt::format("{} has tensor {}, which does not exist", source, tensor));
    }
    Operator o(tensors, to_, op, source);
    try {
      const Translate translate = translation_of(type);
      if (type != tflite::BuiltinOperator::CAST && type != tflite::BuiltinOperator::DEQUANTIZE) o.check_tensors();
      if (translate == nullptr) refuse("not supported");
      translate(o);
    } catch (const Refusal& refusal) {
      o.end(refusal, kind);
    }
  }

  /// "CONV_2D"; a custom operator by its own name.
  static std::string kind_of(tflite::BuiltinOperator type, const tflite::OperatorCode& code) {
    if (type == tflite::BuiltinOperator::CUSTOM && code.custom_code() != nullptr)
      return "custom " + code.custom_code()->str();
    const char* name = tflite::EnumNameBuiltinOperator(type);
    return *name == '\0' ? fmt::format("operator of type {}", static_cast<int>(type)) : name;
  }

  /// Many are in the file in another order than in ONNX.
  void drop_unused_constants() {
    std::set<std::string> used;
    for (const Node& n : content_.nodes) used.insert(n.inputs.begin(), n.inputs.end());
    std::erase_if(content_.constants, [&](const auto& named) { return !used.contains(named.first); });
    int64_t values = 0;
    for (const auto& [name, c] : content_.constants) values += c.size();
    content_.bytes = std::max(content_.bytes, values * static_cast<int64_t>(sizeof(float)));
  }

  void note_codes() {
    std::set<std::string> names;
    for (const auto& [name, c] : content_.constants) {
      if (!c.floats.empty() && (c.type == "INT8" || c.type == "UINT8")) names.insert(c.name);
    }
    if (names.empty()) return;
    content_.notes.push_back(
        fmt::format("{} of its tensors, such as '{}', are stored in codes of 8 bits: the network "
                    "starts from these rounded weights",
                    names.size(), *names.begin()));
  }

  const io::Mapped file_;
  Translation to_;
  Content& content_ = to_.content;
  std::set<int> written_;
};

}  // namespace

Model from_tflite(const std::string& path, const Options& options) {
  return import_network(Reader(path).read(), options);
}

}  // namespace mixgrad::models
