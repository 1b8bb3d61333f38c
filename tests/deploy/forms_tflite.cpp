// SPDX-License-Identifier: Apache-2.0
#include "forms_tflite.h"

#include "../tflite_runtime.h"

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <tflite_generated.h>

#include <kernels/requantize.h>
#include <src/internal/names.h>
#include <src/internal/run_context.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace mixgrad::test {
namespace {

/// Where the codes of a node are in the file.
struct Place {
  int tensor = -1;
  int zero_point = 0;
  float scale = 1;
};

Place place_of(const tflite::SubGraphT& graph, const std::string& name) {
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    const tflite::TensorT& t = *graph.tensors[i];
    if (t.name != name || t.type != tflite::TensorType::INT8) continue;
    return {static_cast<int>(i), static_cast<int>(t.quantization->zero_point.at(0)), t.quantization->scale.at(0)};
  }
  FAIL("no codes of " << name);
  return {};
}

/// A model with all nodes' codes as outputs, in order.
class Opened {
 public:
  Opened(const IntegerNetwork& network, const std::string& bytes) : network_(network) {
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    REQUIRE(tflite::VerifyModelBuffer(verifier));
    REQUIRE(tflite::ModelBufferHasIdentifier(bytes.data()));
    tflite::GetModel(bytes.data())->UnPackTo(&model_);
    std::vector<std::string> names;
    for (const IntegerNode& n : network.nodes) names.push_back(valid_utf8(n.name));
    for (const IntegerOutput& o : network.outputs) {
      if (o.shape.rank() > 1) names[static_cast<size_t>(o.node)] = valid_utf8(o.name);
    }
    for (size_t i = 1; i < names.size(); ++i) places_.push_back(place_of(graph(), names[i]));
    graph().outputs.clear();
    for (const Place& p : places_) graph().outputs.push_back(p.tensor);
    input_ = place_of(graph(), "input");
  }

  const Place& place(size_t node) const { return node == 0 ? input_ : places_[node - 1]; }

  /// Of all outputs, keeps the network's first.
  void keep_result() { graph().outputs = {place(static_cast<size_t>(network_.outputs[0].node)).tensor}; }

  /// The interpreter gives no graph to XNNPACK in which the size of a tensor is computed.
  void without_delegate() {
    const auto at = [&] { return static_cast<int>(graph().tensors.size()); };
    const auto tensor = [&](const std::string& name, const std::vector<int32_t>& shape, tflite::TensorType type) {
      graph().tensors.push_back(std::make_unique<tflite::TensorT>());
      graph().tensors.back()->name = name;
      graph().tensors.back()->shape = shape;
      graph().tensors.back()->type = type;
      return at() - 1;
    };
    const auto node = [&](tflite::BuiltinOperator op, const std::vector<int>& inputs, int output) {
      model_.operator_codes.push_back(std::make_unique<tflite::OperatorCodeT>());
      model_.operator_codes.back()->builtin_code = op;
      model_.operator_codes.back()->deprecated_builtin_code = static_cast<int8_t>(op);
      graph().operators.push_back(std::make_unique<tflite::OperatorT>());
      graph().operators.back()->opcode_index = static_cast<uint32_t>(model_.operator_codes.size() - 1);
      graph().operators.back()->inputs = inputs;
      graph().operators.back()->outputs = {output};
      if (op == tflite::BuiltinOperator::ADD) graph().operators.back()->builtin_options.Set(tflite::AddOptionsT());
    };
    const int zero = tensor("zero", {1}, tflite::TensorType::INT32),
              one = tensor("one", {1}, tflite::TensorType::INT32);
    model_.buffers.push_back(std::make_unique<tflite::BufferT>());
    model_.buffers.back()->data = {255, 255, 255, 255};
    graph().tensors[static_cast<size_t>(one)]->buffer = static_cast<uint32_t>(model_.buffers.size() - 1);
    model_.buffers.push_back(std::make_unique<tflite::BufferT>());
    model_.buffers.back()->data = {0, 0, 0, 0};
    graph().tensors[static_cast<size_t>(zero)]->buffer = static_cast<uint32_t>(model_.buffers.size() - 1);
    const int sum = tensor("sum", {1}, tflite::TensorType::INT32);
    node(tflite::BuiltinOperator::ADD, {zero, one}, sum);
    const int flat = tensor("flat", {1}, tflite::TensorType::INT8);
    node(tflite::BuiltinOperator::RESHAPE, {graph().inputs.at(0), sum}, flat);
  }

  std::string bytes() const {
    flatbuffers::FlatBufferBuilder fbb;
    tflite::FinishModelBuffer(fbb, tflite::CreateModel(fbb, &model_));
    return {reinterpret_cast<const char*>(fbb.GetBufferPointer()), fbb.GetSize()};
  }

  std::vector<int8_t> stored(const std::vector<uint8_t>& images) const {
    std::vector<int8_t> out;
    for (const uint8_t code : images)
      out.push_back(static_cast<int8_t>(integer::read(network_.nodes[0], code) + input_.zero_point));
    return out;
  }

 private:
  tflite::SubGraphT& graph() { return *model_.subgraphs.at(0); }

  const IntegerNetwork& network_;
  tflite::ModelT model_;
  std::vector<Place> places_;
  Place input_;
};

/// The value of each code that the engine gives a node for these inputs: in codes of `place`.
std::vector<int> expected(const IntegerNetwork& network, size_t index, int64_t batch,
                          const std::vector<std::vector<uint8_t>>& values, const Place& place) {
  const IntegerNode& node = network.nodes[index];
  const std::vector<std::span<const uint8_t>> inputs(values.begin(), values.end());
  const integer::Prepared nothing;
  const integer::RunContext c{.network = network, .node = node, .batch = batch, .values = inputs, .prepared = nothing};
  const auto size = static_cast<size_t>(batch * node.shape.size());
  std::vector<int> out;
  std::visit(
      [&](const auto& o) {
        if constexpr (requires { o.rescaling(); }) {
          std::vector<int32_t> sums(size);
          o.sums(c, sums);
          const integer::Rescaling r = o.rescaling();
          for (size_t k = 0; k < sums.size(); ++k) {
            const size_t channel = k % static_cast<size_t>(node.channels());
            const int64_t sum = int64_t{sums[k]} + (r.bias.empty() ? 0 : r.bias[channel]);
            const int64_t code =
                std::clamp<int64_t>(r.ratios[r.ratios.size() == 1 ? 0 : channel].apply(sum), node.low, node.high);
            const double own = static_cast<double>(code) * static_cast<double>(node.step) / place.scale;
            out.push_back(node.raw ? std::clamp(static_cast<int>(std::lround(own)), -128 - place.zero_point,
                                                127 - place.zero_point)
                                   : static_cast<int>(code));
          }
        } else {
          std::vector<uint8_t> codes(size);
          o.codes(c, codes);
          for (const uint8_t code : codes) out.push_back(integer::read(node, code));
        }
      },
      node.op);
  return out;
}

std::string export_or_refusal(const FormCase& c, const std::vector<uint8_t>& images, std::string& refusal) {
  try {
    return to_tflite(c.network, images);
  } catch (const Error& e) {
    refusal = e.what();
    return "";
  }
}

void compare_nodes(const FormCase& c, const Opened& opened, const std::vector<uint8_t>& images,
                   const std::vector<int8_t>& got, TfliteAgreement& total) {
  const IntegerNetwork& network = c.network;
  int64_t per_image = 0;
  for (size_t i = 1; i < network.nodes.size(); ++i) per_image += network.nodes[i].shape.size();
  const int64_t batch = c.images.size();
  INFO(c.about());
  REQUIRE(std::ssize(got) == per_image * batch);
  std::vector<std::vector<uint8_t>> values(network.nodes.size());
  values[0] = images;
  int64_t first = 0;
  for (size_t i = 1; i < network.nodes.size(); ++i) {
    const IntegerNode& node = network.nodes[i];
    const Place& place = opened.place(i);
    const int64_t size = node.shape.size();
    const std::vector<int> wanted = expected(network, i, batch, values, place);
    TfliteAgreement::Count& count = total.by_operator[std::string(node.op_name())];
    int largest = 0;
    for (int64_t n = 0; n < batch; ++n) {
      for (int64_t k = 0; k < size; ++k) {
        const int code = got[static_cast<size_t>(n * per_image + first + k)] - place.zero_point;
        const int off = std::abs(code - wanted[static_cast<size_t>(n * size + k)]);
        const bool below = off == 1 && code < node.low;
        count.different += off > 0 && !below;
        count.below += below;
        largest = std::max(largest, off);
        values[i].push_back(static_cast<uint8_t>(code));
      }
    }
    count.codes += batch * size;
    count.largest = std::max(count.largest, largest);
    CAPTURE(node.name);
    CHECK(largest <= 1);
    first += size;
  }
}

}  // namespace

TfliteAgreement check_tflite(const std::vector<FormCase>& cases, bool delegate) {
  TfliteAgreement total;
  std::vector<TfliteJob> jobs;
  std::vector<size_t> of;
  std::vector<Opened> opened;
  opened.reserve(cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const FormCase& c = cases[i];
    INFO(c.about());
    const std::vector<uint8_t> images = c.network.quantize(c.x);
    std::string refusal;
    const std::string bytes = export_or_refusal(c, images, refusal);
    if (bytes.empty()) {
      CHECK(refusal.find("TFLite") != std::string::npos);
      ++total.refused;
      continue;
    }
    opened.emplace_back(c.network, bytes);
    if (!delegate) opened.back().without_delegate();
    jobs.push_back({opened.back().bytes(), opened.back().stored(images)});
    of.push_back(i);
  }
  const std::vector<std::vector<int8_t>> results = run_tflite(jobs);
  for (size_t k = 0; k < jobs.size(); ++k) {
    const FormCase& c = cases[of[k]];
    compare_nodes(c, opened[k], c.network.quantize(c.x), results[k], total);
  }
  return total;
}

TfliteResults tflite_results(const IntegerNetwork& network, const std::vector<uint8_t>& images, bool delegate) {
  Opened opened(network, to_tflite(network, images));
  opened.keep_result();
  if (!delegate) opened.without_delegate();
  TfliteResults out{.got = run_tflite({{opened.bytes(), opened.stored(images)}})[0], .expected = {}, .raw = {}};
  const Place& place = opened.place(static_cast<size_t>(network.outputs[0].node));
  const int64_t count = std::ssize(images) / network.nodes[0].shape.size();
  out.raw = IntegerEngine(network, count).run(images);
  for (const int32_t v : out.raw) {
    const double code = v * (static_cast<double>(network.result().step) / static_cast<double>(place.scale));
    out.expected.push_back(static_cast<int8_t>(std::clamp<int64_t>(std::lround(code) + place.zero_point, -128, 127)));
  }
  return out;
}

TfliteRealResults tflite_real_results(const IntegerNetwork& network, const std::vector<uint8_t>& images) {
  const IntegerNode& input = network.nodes[0];
  std::vector<int8_t> stored;
  for (const uint8_t code : images)
    stored.push_back(static_cast<int8_t>(integer::read(input, code) + 127 - input.high));
  const std::vector<int8_t> bytes = run_tflite({{to_tflite(network, {}, true), stored}})[0];
  TfliteRealResults out;
  out.got.resize(bytes.size() / sizeof(float));
  std::memcpy(out.got.data(), bytes.data(), out.got.size() * sizeof(float));
  for (const int32_t v : IntegerEngine(network, std::ssize(images) / input.shape.size()).run(images))
    out.expected.push_back(static_cast<float>(v) * network.result().step);
  return out;
}

}  // namespace mixgrad::test
