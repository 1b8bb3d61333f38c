// SPDX-License-Identifier: Apache-2.0
// Float networks from ONNX files: outputs compared with the real ONNX Runtime, and everything that can be wrong with
// such a file.
#include "../networks.h"
#include "../onnx_runtime.h"
#include "../shell.h"
#include "cases.h"
#include "onnx_net.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;
using test::OnnxNet;

namespace {

/// A residual network as PyTorch writes it: Conv, BatchNormalization, Relu, Clip, Add, pools, Flatten, Gemm.
std::string residual_net() {
  OnnxNet n({3, 12, 10});
  n.node("Conv", "c1", {"x", n.floats("c1.weight", {8, 3, 3, 3}), n.floats("c1.bias", {8})});
  n.list("pads", {1, 1, 1, 1}).list("strides", {2, 1});
  n.batch_norm("b1", "c1", 8);
  n.node("Relu", "r1", {"b1"});
  n.node("Conv", "c2", {"r1", n.floats("c2.weight", {8, 4, 3, 3})});
  n.list("pads", {2, 2, 2, 2}).list("dilations", {2, 2}).number("group", 2);
  n.node("Identity", "i2", {"c2"});
  n.node("Add", "a2", {"i2", "r1"});
  n.node("Relu", "r2", {"a2"});
  n.node("Conv", "dw", {"r2", n.floats("dw.weight", {8, 1, 3, 3}), n.floats("dw.bias", {8}, 3)});
  n.number("group", 8).text("auto_pad", "SAME_LOWER").list("strides", {2, 2});
  n.node("Clip", "r6", {"dw", n.scalar("zero", 0), n.scalar("six", 6)});
  n.node("MaxPool", "p1", {"r6"});
  n.list("kernel_shape", {2, 2}).list("strides", {1, 1});
  n.node("AveragePool", "p2", {"p1"});
  n.list("kernel_shape", {2, 2}).list("strides", {1, 2});
  n.node("Dropout", "d", {"p2"});
  n.node("Flatten", "f", {"d"});
  n.node("Gemm", "fc1", {"f", n.floats("fc1.weight", {16, 8 * 1 * 2}), n.floats("fc1.bias", {16})});
  n.number("transB", 1);
  n.node("Relu", "r3", {"fc1"});
  n.node("Gemm", "fc2", {"r3", n.floats("fc2.weight", {16, 5})});
  return n.bytes("fc2");
}

/// A network as TensorFlow's converter writes it: NHWC images, surrounded by Transposes, MatMul and Add, Reshape.
std::string channels_last_net() {
  OnnxNet n({9, 8, 3});
  n.node("Transpose", "t", {"x"});
  n.list("perm", {0, 3, 1, 2});
  n.node("Conv", "c", {"t", n.floats("c.weight", {6, 3, 3, 3}), n.floats("c.bias", {6})});
  n.text("auto_pad", "SAME_UPPER").list("strides", {2, 2});
  n.node("Relu", "r", {"c"});
  n.node("Transpose", "back", {"r"});
  n.list("perm", {0, 2, 3, 1});
  n.node("Reshape", "flat", {"back", n.integers("shape", {-1, 5 * 4 * 6})});
  n.node("MatMul", "m1", {"flat", n.floats("m1.weight", {5 * 4 * 6, 12})});
  n.node("Add", "m1b", {"m1", n.floats("m1.bias", {12})});
  n.node("Relu", "r1", {"m1b"});
  n.node("MatMul", "m2", {"r1", n.floats("m2.weight", {12, 4})});
  n.node("Add", "m2b", {n.floats("m2.bias", {4}), "m2"});
  return n.bytes("m2b");
}

/// Global pooling in its three forms, each followed by something else.
std::string pooled_net(const std::string& form) {
  OnnxNet n({4, 6, 6});
  n.node("Conv", "c", {"x", n.floats("c.weight", {7, 4, 1, 1})});
  n.node("Relu", "r", {"c"});
  if (form == "ReduceMean") {
    n.node("ReduceMean", "p", {"r"});
    n.list("axes", {-1, -2}).number("keepdims", 0);
    return n.bytes("p");
  }
  n.node("GlobalAveragePool", "p", {"r"});
  if (form == "Squeeze") n.node("Squeeze", "s", {"p", n.integers("axes", {2, 3})});
  if (form == "Reshape") n.node("Reshape", "s", {"p", n.integers("shape", {0, -1})});
  n.node("Gemm", "fc", {"s", n.floats("fc.weight", {7, 3}), n.floats("fc.bias", {3})});
  return n.bytes("fc");
}

/// An autoencoder on features instead of images.
std::string feature_net() {
  OnnxNet n({20});
  n.node("Gemm", "e", {"x", n.floats("e.weight", {20, 6}), n.floats("e.bias", {6})});
  n.batch_norm("b", "e", 6);
  n.node("Relu", "r", {"b"});
  n.node("Gemm", "d", {"r", n.floats("d.weight", {6, 20}), n.floats("d.bias", {20})});
  return n.bytes("d");
}

struct Case {
  const char* name;
  std::string bytes;
  std::vector<int64_t> input;  ///< in the file, without N
};

std::vector<Case> cases() {
  return {{"residual", residual_net(), {3, 12, 10}},
          {"channels last", channels_last_net(), {9, 8, 3}},
          {"squeeze", pooled_net("Squeeze"), {4, 6, 6}},
          {"reshape", pooled_net("Reshape"), {4, 6, 6}},
          {"reduce mean", pooled_net("ReduceMean"), {4, 6, 6}},
          {"features", feature_net(), {20}}};
}

models::Model import(const std::string& bytes, const models::Options& options = {}) {
  const test::Folder folder;
  const std::string file = folder.path / "net.onnx";
  io::write_file(file, bytes);
  return models::make(file, 1, options);
}

std::string complaint(const std::string& bytes, const models::Options& options = {}) {
  try {
    import(bytes, options);
  } catch (const Error& e) {
    CHECK(e.kind() == Error::Kind::bad_input);
    CHECK(std::string(e.what()).find("net.onnx") != std::string::npos);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("ONNX in: float outputs equal ONNX Runtime's, also when traced and simplified") {
  if (!test::has_onnx_runtime()) return;
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    models::Model model = import(c.bytes);
    CHECK(model.trained);
    const test::Array x = test::random_array(c.input, 6);
    const std::vector<float> expected = test::run_onnx(c.bytes, x.values, x.dims);
    CHECK(test::range_error(test::outputs_of(model, x, expected), expected) < 1e-4);
    const Graph graph = simplified(*model.net, model.input_shape);
    const Tensor images = test::input_of(model, x);
    const NoTape pause;
    CHECK(test::range_error(graph.forward(images).to_vector(), (*model.net)(images).to_vector()) < 1e-4);
  }
}

TEST_CASE("ONNX in: an imported network is searched, and exported with the search's codes") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    models::Model model = import(c.bytes);
    const Shape& input = model.input_shape;
    MixPrec net(*model.net, {.input_shape = input,
                             .activation_precisions = {4, 8},
                             .weight_precisions = {2, 4, 8},
                             .w_mixprec_type = MixPrecType::PER_CHANNEL,
                             .calibration = {test::random_batch(4, input, 2, 5).x}});
    test::randomize_architecture(net, 3);
    const Tensor x = test::random_batch(6, input, 2, 11).x;
    net.eval();
    const NoTape pause;
    CHECK(test::same_bytes(net.forward(x).data(), net.arch_export().forward(x).data()));
  }
}

TEST_CASE("ONNX in: unsupported operators are counted by kind, one line each, with advice") {
  OnnxNet n({3, 8, 8});
  n.node("Erf", "gate", {"x"});
  n.node("Sub", "gated", {"x", "gate"});
  std::string last = n.node("Conv", "c", {"gated", n.floats("w", {4, 3, 3, 3})});
  for (int i = 0; i < 5; ++i) last = n.node("Softsign", fmt::format("h{}", i), {last});
  n.node("Softmax", "end", {last});
  const std::string said = complaint(n.bytes("end"));
  CHECK(said.ends_with(
      "net.onnx: 3 kinds of operators can't be imported:\n"
      "  5 x Softsign ('node_h0', 'node_h1', 'node_h2', ...): train it with Relu, HardSwish or another function from "
      "docs/formats.md instead\n"
      "  1 x Erf ('node_gate'): train it with Relu, HardSwish or another function from docs/formats.md instead\n"
      "  1 x Sub of two tensors ('node_gated'): use Add or Mul: no other operation on two tensors is supported"));
}

TEST_CASE("ONNX in: the error for a malformed file names the node and the reason") {
  const auto check = [](const char* words, const auto& build) {
    CAPTURE(words);
    OnnxNet n({3, 8, 8});
    const std::string said = complaint(n.bytes(build(n)));
    CAPTURE(said);
    CHECK(said.find(words) != std::string::npos);
  };
  check("'w' has 108 values, but its shape needs 1000000", [](OnnxNet& n) {
    n.floats("w", {4, 3, 3, 3});
    for (int d = 0; d < 4; ++d) n.graph().mutable_initializer(0)->set_dims(d, d == 0 ? 1'000'000 : 1);
    return n.node("Conv", "c", {"x", "w"});
  });
  check("invalid dimension", [](OnnxNet& n) {
    n.floats("w", {4, 3, 3, 3});
    for (int d = 0; d < 4; ++d) n.graph().mutable_initializer(0)->set_dims(d, int64_t{1} << 40);
    return n.node("Conv", "c", {"x", "w"});
  });
  check("'nowhere', which is neither", [](OnnxNet& n) { return n.node("Relu", "r", {"nowhere"}); });
  check("'b', which is neither", [](OnnxNet& n) {  // a cycle
    n.node("Relu", "a", {"b"});
    return n.node("Relu", "b", {"a"});
  });
  check("'w' must be a constant", [](OnnxNet& n) { return n.node("Conv", "c", {"x", "w"}); });
  check("too few", [](OnnxNet& n) { return n.node("Conv", "c", {"x"}); });
  check("too few", [](OnnxNet& n) { return n.node("Relu", "r", {}); });
  check("group must be from 1", [](OnnxNet& n) {
    n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
    n.number("group", 0);
    return std::string("c");
  });
  check("padding must be smaller", [](OnnxNet& n) {
    n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
    n.list("pads", {1, int64_t{1} << 40, 1, 1});
    return std::string("c");
  });
  check("strides has 3 numbers", [](OnnxNet& n) {
    n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
    n.list("strides", {1, 1, 1});
    return std::string("c");
  });
  check("[conv2d]", [](OnnxNet& n) { return n.node("Conv", "c", {"x", n.floats("w", {4, 5, 3, 3})}); });
  check("expected [N, 100]", [](OnnxNet& n) {
    n.node("Flatten", "f", {"x"});
    return n.node("Gemm", "g", {"f", n.floats("w", {100, 4})});
  });
  check("not in the order of images", [](OnnxNet& n) {
    n.node("Transpose", "t", {"x"});
    n.list("perm", {0, 1, 3, 2});
    return std::string("t");
  });
  check("shapes must be equal", [](OnnxNet& n) {
    n.node("Conv", "c", {"x", n.floats("w", {3, 3, 3, 3})});
    return n.node("Add", "a", {"x", "c"});
  });
}

TEST_CASE("ONNX in: a tiny file that describes a network too large for memory is refused") {
  for (const int64_t size : {65536, 4096}) {
    OnnxNet n({1, size, size});
    std::string last = "x";
    for (int i = 0; i < 8; ++i) last = n.node("Relu", fmt::format("r{}", i), {last});
    CHECK(complaint(n.bytes(last), {.most_memory = 1 << 28}).find("too much memory") != std::string::npos);
  }
}

TEST_CASE("ONNX in: every truncated or corrupted file leads to a network or bad input") {
  const std::string whole = pooled_net("Squeeze");
  CHECK(complaint("").find("not an ONNX model") != std::string::npos);
  for (size_t size = 1; size < whole.size(); size += 11) CHECK_NOTHROW(complaint(whole.substr(0, size)));
  Rng rng(3, "damage");
  for (int i = 0; i < 400; ++i) {
    std::string damaged = whole;
    for (uint64_t k = 0; k <= rng.below(3); ++k) damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    CHECK_NOTHROW(complaint(damaged));
  }
}
