// SPDX-License-Identifier: Apache-2.0
// ONNX files as exporters write them: weights of other types or in other files, batch norms in training form, names of
// any bytes, and everything that is refused in one list.
#include "onnx_forms.h"

#include <src/internal/names.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>

using namespace mixgrad;
using test::Dims;
using test::import_bytes;
using test::OnnxNet;
namespace fs = std::filesystem;

namespace {

using Attributes = std::function<void(OnnxNet&)>;

/// A convolution and a linear layer, whose weights all have few bits: any type holds them.
std::string short_weights(OnnxNet& n) {
  n.node("Conv", "c", {"x", n.values("w", {2, 1, 1, 2}, {0.5F, -1.25F, 3, 0.0625F}), n.values("b", {2}, {1, -2})});
  n.node("GlobalAveragePool", "p", {"c"});
  n.node("Flatten", "f", {"p"});
  return n.node("Gemm", "fc", {"f", n.values("fc.weight", {2, 3}, {1, 2, -3, 4, -5, 6e-5F})});
}

const Dims small_image = {1, 4, 4};

std::vector<float> outputs(const std::string& bytes) {
  models::Model model = import_bytes(bytes);
  return test::outputs_of(model, test::random_array(small_image, 3), {});
}

/// The network of `short_weights` with its initializers rewritten.
std::string rewritten(const std::function<void(onnx::TensorProto&)>& change) {
  OnnxNet n(small_image);
  const std::string out = short_weights(n);
  for (onnx::TensorProto& t : *n.graph().mutable_initializer()) change(t);
  return n.bytes(out);
}

std::vector<float> floats_of(const onnx::TensorProto& t) {
  std::vector<float> v(t.raw_data().size() / sizeof(float));
  std::memcpy(v.data(), t.raw_data().data(), t.raw_data().size());
  return v;
}

template <typename T>
void store(onnx::TensorProto& t, int type, const std::vector<T>& values) {
  t.set_data_type(type);
  t.set_raw_data(values.data(), values.size() * sizeof(T));
}

/// IEEE half precision, cut off.
uint16_t half(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  const uint32_t sign = (bits >> 16) & 0x8000, exponent = (bits >> 23) & 255, fraction = bits & 0x7fffff;
  if (exponent > 112) return static_cast<uint16_t>(sign | ((exponent - 112) << 10) | (fraction >> 13));
  return static_cast<uint16_t>(sign | ((fraction | 0x800000) >> (126 - exponent)));
}

void external(onnx::TensorProto& t, const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto& entry = *t.add_external_data();
  entry.set_key(key);
  entry.set_value(value);
}

}  // namespace

TEST_CASE("ONNX in: batch norms in training form are those of evaluation, and a note says so") {
  const auto net = [](int opset, const Attributes& form) {
    OnnxNet n({3, 6, 6}, opset);
    n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
    n.batch_norm("bn", "c", 4);
    form(n);
    n.node("Relu", "r", {"bn"});
    return n.bytes("r");
  };
  const auto more_outputs = [](OnnxNet& n, const std::vector<const char*>& names) {
    for (const char* name : names) n.graph().mutable_node(1)->add_output(name);
  };
  const auto result = [](const std::string& bytes, bool noted) {
    models::Model model = import_bytes(bytes);
    CHECK((model.notes ==
           std::vector<std::string>{
               "batch norms in training form use the mean and variance in the file, as in evaluation"}) == noted);
    return test::outputs_of(model, test::random_array({3, 6, 6}, 3), {});
  };
  const std::vector<float> expected = result(net(15, [](OnnxNet&) {}), false);
  CHECK(result(net(15,
                   [&](OnnxNet& n) {
                     n.number("training_mode", 1);
                     more_outputs(n, {"m", "v"});
                   }),
               true) == expected);
  CHECK(result(net(9, [&](OnnxNet& n) { more_outputs(n, {"m", "v", "sm", "sv"}); }), true) == expected);
}

TEST_CASE("ONNX in: weights of any type of real numbers") {
  const std::vector<float> expected = outputs(rewritten([](onnx::TensorProto&) {}));
  CHECK(outputs(rewritten([](onnx::TensorProto& t) {
          const std::vector<float> v = floats_of(t);
          store(t, onnx::TensorProto::DOUBLE, std::vector<double>(v.begin(), v.end()));
        })) == expected);
  CHECK(outputs(rewritten([](onnx::TensorProto& t) {
          const std::vector<float> v = floats_of(t);
          t.clear_raw_data();
          t.set_data_type(onnx::TensorProto::DOUBLE);
          for (const float x : v) t.add_double_data(static_cast<double>(x));
        })) == expected);
  const auto near = [&](const std::vector<float>& got) {  // 6e-5 is subnormal in half precision
    return std::ranges::equal(got, expected, [](float a, float b) { return std::abs(a - b) < 1e-4F; });
  };
  CHECK(near(outputs(rewritten([](onnx::TensorProto& t) {
    std::vector<uint16_t> halves;
    for (const float v : floats_of(t)) halves.push_back(half(v));
    store(t, onnx::TensorProto::FLOAT16, halves);
  }))));
  CHECK(near(outputs(rewritten([](onnx::TensorProto& t) {
    const std::vector<float> values = floats_of(t);
    t.clear_raw_data();
    t.set_data_type(onnx::TensorProto::FLOAT16);
    for (const float v : values) t.add_int32_data(half(v));
  }))));
  CHECK(near(outputs(rewritten([](onnx::TensorProto& t) {
    std::vector<uint16_t> brains;
    for (const float v : floats_of(t)) brains.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(v) >> 16));
    store(t, onnx::TensorProto::BFLOAT16, brains);
  }))));
  CHECK(test::refusal([] {
          outputs(rewritten([](onnx::TensorProto& t) { t.set_data_type(onnx::TensorProto::DOUBLE); }));
        }).find("values, but its shape needs") != std::string::npos);
}

TEST_CASE("ONNX in: a network of float16 with casts at its ends") {
  OnnxNet n(small_image);
  n.node("Cast", "in", {"x"});
  n.number("to", onnx::TensorProto::FLOAT16);
  n.node("Conv", "c", {"in", n.values("w", {2, 1, 1, 2}, {0.5F, -1.25F, 3, 0.0625F})});
  n.node("Cast", "out", {"c"});
  n.number("to", onnx::TensorProto::FLOAT);
  std::string bytes = n.bytes("out");
  CHECK(outputs(bytes).size() == 3 * 2 * 4 * 3);
  n.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::DOUBLE);
  CHECK(outputs(n.bytes("out")) == outputs(bytes));
}

TEST_CASE("ONNX in: initializers that are listed as inputs") {
  OnnxNet n(small_image);
  const std::string out = short_weights(n);
  const std::vector<float> expected = outputs(n.bytes(out));
  for (const onnx::TensorProto& t : n.graph().initializer()) n.graph().add_input()->set_name(t.name());
  CHECK(outputs(n.bytes(out)) == expected);
}

TEST_CASE("ONNX in: tensors in files beside the model") {
  const std::vector<float> expected = outputs(rewritten([](onnx::TensorProto&) {}));
  const test::Folder folder;
  fs::create_directories(folder.path / "model/data");
  std::string data = "padding.";
  const auto outside = [&](const std::string& location, const std::string& offset = "",
                           const std::string& length = "") {
    io::write_file(folder.path / "model/net.onnx", rewritten([&](onnx::TensorProto& t) {
                     const std::string raw = t.raw_data();
                     t.clear_raw_data();
                     t.set_data_location(onnx::TensorProto::EXTERNAL);
                     external(t, "location", location);
                     external(t, "offset", offset.empty() ? std::to_string(data.size()) : offset);
                     external(t, "length", length.empty() ? std::to_string(raw.size()) : length);
                     data += raw;
                   }));
    io::write_file(folder.path / "model/data/weights.bin", data);
    io::write_file(folder.path / "outside.bin", data);
  };
  const auto import = [&] { return models::make(folder.path / "model/net.onnx", 1); };
  outside("data/weights.bin");
  models::Model model = import();
  CHECK(test::outputs_of(model, test::random_array(small_image, 3), {}) == expected);

  const auto said = [&](auto... where) {
    outside(where...);
    return test::refusal([&] { import(); });
  };
  for (const std::string& location : {std::string("../outside.bin"), (folder.path / "model/data/weights.bin").string(),
                                      std::string("data/../../outside.bin"), std::string()}) {
    CAPTURE(location);
    CHECK(said(location).find("tensor 'w' is in the file '" + location + "': expected one in the model's folder") !=
          std::string::npos);
  }
  fs::create_symlink(folder.path / "outside.bin", folder.path / "model/link.bin");
  CHECK(said("link.bin").find("expected one in the model's folder") != std::string::npos);
  CHECK(said("data/none.bin").find("none.bin") != std::string::npos);
  CHECK(said("data/weights.bin", "999999").find("the file has only") != std::string::npos);
  CHECK(said("data/weights.bin", "8", "18446744073709551615").find("the file has only") != std::string::npos);
  CHECK(said("data/weights.bin", "-1").find("at the offset '-1': expected a number of bytes") != std::string::npos);
  CHECK(said("data/weights.bin", "8", "4").find("values, but its shape needs") != std::string::npos);
}

TEST_CASE("ONNX in: names of any bytes") {
  const std::string odd = "\xff\xfe\n\t'\"/\\ \xc3\xa4";
  OnnxNet n(small_image);
  n.node("Conv", odd, {"x", n.floats(odd + "w", {2, 1, 3, 3})});
  n.node("Relu", odd + "r", {odd});
  models::Model model = import_bytes(n.bytes(odd + "r"));
  const Graph graph = simplified(*model.net, model.input_shape);
  for (const Node& node : graph.nodes) CHECK(is_utf8(node.name));
  CHECK(to_safetensors(graph_from(to_safetensors(graph))).tensors.size() == to_safetensors(graph).tensors.size());

  n.node("Gru", odd + "g", {odd + "r"});
  const std::string said = test::refusal([&] { import_bytes(n.bytes(odd + "g")); });
  CHECK(is_utf8(said));
  CHECK(std::ranges::count(said, '\n') == 1);  // a list of one kind
  OnnxNet cut(small_image);
  cut.node("Conv", odd, {"x", odd + "nowhere"});
  CHECK(test::refusal([&] { import_bytes(cut.bytes(odd)); }).find('\n') == std::string::npos);
}

TEST_CASE("ONNX in: all nodes that can't be imported are listed at once, each with its reason") {
  OnnxNet n({3, 8, 8});
  n.node("Conv", "a", {"x", n.floats("a.weight", {4, 5, 3, 3})});
  n.node("Relu", "behind", {"a"});
  n.node("AveragePool", "b", {"x"});
  n.list("kernel_shape", {3, 3}).list("dilations", {2, 2});
  n.node("Conv", "c", {"x", n.floats("c.weight", {4, 3, 3, 3})});
  n.number("group", 0);
  n.node("Add", "s1", {"behind", "b"});
  const std::string said = test::refusal([&] { import_bytes(n.bytes(n.node("Add", "s2", {"s1", "c"}))); });
  CHECK(said.find("3 nodes can't be imported:\n  Conv 'node_a': [conv2d] input") != std::string::npos);
  CHECK(said.find("\n  AveragePool 'node_b': dilations must be 1: only maxima can be dilated") != std::string::npos);
  CHECK(said.find("\n  Conv 'node_c': kernel, strides") != std::string::npos);
  CHECK(said.find("behind") == std::string::npos);
}
