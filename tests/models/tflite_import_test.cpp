// SPDX-License-Identifier: Apache-2.0
// TFLite files that others made, and everything that can be wrong with such a file.
#include "../networks.h"
#include "../refusal.h"
#include "../shell.h"
#include "../skip.h"
#include "cases.h"
#include "tflite_net.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <filesystem>
#include <functional>
#include <string>

using namespace mixgrad;
using namespace mixgrad::test;
namespace fs = std::filesystem;

namespace {

fs::path folder_of_models() { return fs::path(shared_folder()) / "data/tflite"; }

std::string refusal_of_bytes(const std::string& bytes) {
  const Folder folder;
  io::write_file(folder.path / "net.tflite", bytes);
  return refusal([&] { models::make(folder.path / "net.tflite", 1); });
}

/// The message for a network on [1, 6, 5, 3].
std::string refusal_of(const std::function<int(TfliteNet&)>& build) {
  TfliteNet n({1, 6, 5, 3});
  return refusal_of_bytes(n.bytes({build(n)}));
}

void check_refused(const std::string& words, const std::function<int(TfliteNet&)>& build) {
  CAPTURE(words);
  const std::string said = refusal_of(build);
  CAPTURE(said);
  CHECK(said.find("net.tflite: ") != std::string::npos);
  CHECK(said.find(words) != std::string::npos);
}

int conv(TfliteNet& n, const std::vector<int32_t>& inputs, int stride = 1, int dilation = 1) {
  return n.op(TfliteOp::CONV_2D, inputs, {1, 6, 5, 4},
              tflite::CreateConv2DOptions(n.fbb, tflite::Padding::SAME, stride, stride,
                                          tflite::ActivationFunctionType::NONE, dilation, dilation));
}

Dims shapes(const Graph& graph) {
  Dims out;
  for (const Node& node : graph.nodes) out.insert(out.end(), node.shape.dims().begin(), node.shape.dims().end());
  return out;
}

data::Dataset random_images(const Shape& shape, int64_t count) {
  data::Dataset out{.name = "random",
                    .channels = shape[0],
                    .height = shape[1],
                    .width = shape[2],
                    .pixels = {},
                    .labels = {},
                    .class_names = {}};
  Rng rng(3, "random_images");
  for (int64_t i = 0; i < count * shape.size(); ++i) out.pixels.push_back(static_cast<uint8_t>(rng.below(256)));
  return out;
}

struct Official {
  const char *file, *built_in;
  int64_t classes;
};

}  // namespace

TEST_CASE("TFLite in: the networks of MLPerf Tiny are the built-in ones, and agree in 8 bits code by code") {
  if (!fs::exists(folder_of_models())) return skip("no models: " + folder_of_models().string() + " is missing");
  for (const Official& o :
       {Official{"pretrainedResnet", "resnet8", 10}, Official{"kws_ref_model_float32", "ds_cnn", 12},
        Official{"vww_96_float", "mobilenet_v1", 2}, Official{"ad01_fp32", "autoencoder", 1}}) {
    CAPTURE(o.file);
    const models::Model model = models::make(folder_of_models() / (std::string(o.file) + ".tflite"), 1);
    models::Model own = models::make(o.built_in, o.classes);
    CHECK(model.trained);
    CHECK(model.asks_input_scale);
    CHECK(model.input_shape == own.input_shape);
    CHECK(model.output_shape == own.output_shape);
    Graph graph = simplified(*model.net, model.input_shape);
    nn::initialize(*own.net, Rng(1, "init"));
    CHECK(shapes(graph) == shapes(simplified(*own.net, own.input_shape)));

    const data::Dataset images = random_images(model.input_shape, 8);
    const Tensor x = data::Loader(images, {.batch_size = 8}).batch(0).x;
    MixPrec net(*model.net, {.input_shape = model.input_shape,
                             .activation_precisions = {8},
                             .weight_precisions = {8},
                             .w_mixprec_type = MixPrecType::PER_CHANNEL,
                             .calibration = {x}});
    net.eval();
    const NoTape pause;
    const Graph found = net.arch_export();
    CHECK(range_error(found.forward(x).to_vector(), (*model.net)(x).to_vector()) < 0.1);
    const Agreement agreement = compare(found, to_integer(found), images);
    CHECK(!agreement.result_broken);
    for (const TensorAgreement& t : agreement.tensors) {
      CAPTURE(t.name);
      CHECK(t.equal == t.codes);
    }
  }
}

TEST_CASE("TFLite in: MLPerf Tiny's ResNet8 knows CIFAR-10, given pixels from 0 to 255") {
  const fs::path data = fs::path(shared_folder()) / "data/cifar-10-batches-bin";
  if (!fs::exists(folder_of_models()) || !fs::exists(data)) return skip("no models or no CIFAR-10 in ../shared");
  RunConfig config;
  config.model = folder_of_models() / "pretrainedResnet.tflite";
  config.data = "cifar10:" + data.string();
  const std::string asked = refusal([&] { load_data(config); });
  CHECK(asked.starts_with("input-scale: model "));
  CHECK(asked.find("expected --input-scale 0..255, 0..1 or -1..1") != std::string::npos);
  config.input_scale = "0..255";
  data::Dataset test = load_data(config).test;
  const models::Model model = make_model(config, 10);
  Graph graph = simplified(*model.net, model.input_shape);
  graph.normalization = test.normalization;
  CHECK(train::evaluate(graph, test, 1000).value() > 0.75);  // of JPEG copies of the images; 0.1 in other ranges
}

TEST_CASE("TFLite in: a quantized network is refused with the way out") {
  const fs::path file = folder_of_models() / "pretrainedResnet_quant.tflite";
  if (!fs::exists(file)) return skip("no model: " + file.string() + " is missing");
  const std::string said = refusal([&] { models::make(file, 1); });
  CHECK(said.find("6 kinds of operators can't be imported:") != std::string::npos);
  CHECK(said.find("9 x CONV_2D (CONV_2D 0 'model/conv2d', CONV_2D 1 'model/conv2d_1', CONV_2D 2 'model/conv2d_2', "
                  "...): it computes with INT8: convert the float model, without quantization; the search quantizes "
                  "it") != std::string::npos);
  CHECK(said.find("1 x SOFTMAX (") != std::string::npos);
}

TEST_CASE("TFLite in: everything that is refused is listed at once, with operators, indices and reasons") {
  TfliteNet n({1, 6, 5, 3});
  const Dims same = {1, 6, 5, 3};
  int y = n.op(TfliteOp::FLOOR, {n.input()}, same);
  y = n.op(TfliteOp::L2_NORMALIZATION, {y}, same);
  y = n.op(TfliteOp::FLOOR, {y}, same);
  y = n.op(static_cast<TfliteOp>(999), {y}, same);
  y = conv(n, {y, n.op(TfliteOp::ABS, {n.floats("w", {4, 3, 3, 3})}, {4, 3, 3, 3})});
  y = n.op(TfliteOp::QUANTIZE, {y}, {1, 6, 5, 4}, tflite::TensorType::INT8);
  y = n.op(TfliteOp::DEQUANTIZE, {y}, {1, 6, 5, 4});
  const std::string said = refusal_of_bytes(n.bytes({y}));
  CHECK(said.find("7 kinds of operators can't be imported:") != std::string::npos);
  for (const char* words : {
           "2 x FLOOR (FLOOR 0 'y0', FLOOR 2 'y2'): not supported",
           "1 x L2_NORMALIZATION (L2_NORMALIZATION 1 'y1'): not supported",
           "1 x operator of type 999 (operator of type 999 3 'y3'): not supported",
           "1 x ABS (ABS 4 'y4'): not supported",
           "1 x CONV_2D (CONV_2D 5 'y5'): its input 'y4' must be a constant in the file",
           "1 x QUANTIZE (QUANTIZE 6 'y6'): it computes with INT8: convert the float model, without quantization",
           "1 x DEQUANTIZE (DEQUANTIZE 7 'y7'): it computes with codes: convert the float model",
       }) {
    CAPTURE(words);
    CHECK(said.find(words) != std::string::npos);
  }
}

TEST_CASE("TFLite in: options and constants that have no meaning here are refused by name") {
  const auto w = [](TfliteNet& n) { return n.floats("w", {4, 3, 3, 3}); };
  check_refused("its options are missing", [&](TfliteNet& n) {
    return n.op(TfliteOp::CONV_2D, {n.input(), w(n)}, {1, 6, 5, 4});
  });
  check_refused("its input 1 is missing", [&](TfliteNet& n) { return conv(n, {n.input()}); });
  check_refused("expected floats with 1 dimensions", [&](TfliteNet& n) { return conv(n, {n.input(), w(n), w(n)}); });
  check_refused("CONV_2D 0 'y0': kernel, strides, dilations and group must be from 1", [&](TfliteNet& n) {
    return conv(n, {n.input(), w(n)}, 0);
  });
  check_refused("must be from 1", [&](TfliteNet& n) { return conv(n, {n.input(), w(n)}, 1, -1); });
  check_refused("its input has 3 channels, its weights 2", [&](TfliteNet& n) {
    return conv(n, {n.input(), n.floats("v", {4, 3, 3, 2})});
  });
  check_refused("'w' is INT32 [108], expected floats with 4 dimensions", [&](TfliteNet& n) {
    return conv(n, {n.input(), n.integers("w", std::vector<int32_t>(108))});
  });
  check_refused("'w' has 20 bytes, which does not fit its shape [4, 3, 3, 3]", [&](TfliteNet& n) {
    return conv(n, {n.input(), n.values("w", {4, 3, 3, 3}, {1, 2, 3, 4, 5})});
  });
  check_refused("'w' contains NaN", [&](TfliteNet& n) {
    return conv(n, {n.input(), n.values("w", {1, 1, 1, 3}, {1, NAN, 3})});
  });
  check_refused("'w' is BOOL, expected floats or integers", [&](TfliteNet& n) {
    return conv(n, {n.input(), n.tensor("w", {1, 1, 1, 3}, tflite::TensorType::BOOL, {1, 0, 1})});
  });
  check_refused("'w' is INT8 without a scale", [&](TfliteNet& n) {
    return conv(n, {n.input(), n.tensor("w", {1, 1, 1, 3}, tflite::TensorType::INT8, {1, 0, 1})});
  });
  check_refused("has 2 scales along axis 3", [&](TfliteNet& n) {
    const auto q =
        tflite::CreateQuantizationParameters(n.fbb, 0, 0, n.fbb.CreateVector(std::vector{0.5F, 0.25F}), 0, 0, 0, 3);
    return conv(n, {n.input(), n.tensor("w", {1, 1, 1, 3}, tflite::TensorType::INT8, {1, 0, 1}, q)});
  });
  check_refused("its fused activation SIGN_BIT", [&](TfliteNet& n) {
    return n.op(TfliteOp::ADD, {n.input(), n.input()}, {1, 6, 5, 3},
                tflite::CreateAddOptions(n.fbb, tflite::ActivationFunctionType::SIGN_BIT));
  });
  check_refused("its beta is 2, not 1", [](TfliteNet& n) {
    return n.op(TfliteOp::SOFTMAX, {n.input()}, {1, 6, 5, 3}, tflite::CreateSoftmaxOptions(n.fbb, 2));
  });
  check_refused("its weights are shuffled", [](TfliteNet& n) {
    return n.op(TfliteOp::FULLY_CONNECTED, {n.input(), n.floats("w", {4, 90})}, {1, 4},
                tflite::CreateFullyConnectedOptions(n.fbb, tflite::ActivationFunctionType::NONE,
                                                    tflite::WeightsFormat::SHUFFLED4x16INT8));
  });
  check_refused("Pad by reflection (MIRROR_PAD 0 'y0'): pad with zeros", [](TfliteNet& n) {
    return n.op(TfliteOp::MIRROR_PAD, {n.input(), n.integers("p", {4, 2}, {0, 0, 1, 1, 1, 1, 0, 0})}, {1, 8, 7, 3});
  });
  check_refused("it resizes 6 to 9: only whole factors are supported", [](TfliteNet& n) {
    return n.op(TfliteOp::RESIZE_NEAREST_NEIGHBOR, {n.input(), n.integers("size", {9, 10})}, {1, 9, 10, 3},
                tflite::CreateResizeNearestNeighborOptions(n.fbb));
  });
  check_refused("only casts to float32", [](TfliteNet& n) {
    return n.op(TfliteOp::CAST, {n.input()}, {1, 6, 5, 3},
                tflite::CreateCastOptions(n.fbb, tflite::TensorType::FLOAT32, tflite::TensorType::INT32));
  });
  check_refused("the file's constants are used too often", [](TfliteNet& n) {
    const int wide = n.floats("w", {256, 1, 1, 256});
    int y = n.tensor("v", {1, 6, 5, 256});
    for (int i = 0; i < 100; ++i) {
      y = n.op(TfliteOp::CONV_2D, {y, wide}, {1, 6, 5, 256},
               tflite::CreateConv2DOptions(n.fbb, tflite::Padding::SAME, 1, 1));
    }
    return y;
  });
}

TEST_CASE("TFLite in: several outputs are one row of values") {
  TfliteNet n({1, 6, 5, 3});
  const int first = n.op(TfliteOp::RELU, {n.input()}, {1, 6, 5, 3});
  const Folder folder;
  io::write_file(folder.path / "net.tflite", n.bytes({first, n.op(TfliteOp::LOGISTIC, {first}, {1, 6, 5, 3})}));
  const models::Model model = models::make(folder.path / "net.tflite", 1);
  CHECK(model.outputs.size() == 2);
  CHECK(model.output_shape == Shape{2 * 90});
}

TEST_CASE("TFLite in: files that are no models say so") {
  TfliteNet good({1, 6, 5, 3});
  const std::string bytes = good.bytes({conv(good, {good.input(), good.floats("w", {4, 3, 3, 3})})});
  CHECK(refusal_of_bytes(bytes) == "accepted");
  const std::string corrupt = "corrupt, or not a TFLite model";
  CHECK(refusal_of_bytes(std::string()).ends_with(corrupt));
  CHECK(refusal_of_bytes(std::string("TFL3")).ends_with(corrupt));
  CHECK(refusal_of_bytes(std::string(4096, 'x')).ends_with(corrupt));
  for (size_t size = 0; size < bytes.size(); size += 37) {
    CAPTURE(size);
    CHECK(refusal_of_bytes(bytes.substr(0, size)) != "accepted");
  }
  TfliteNet old({1, 6, 5, 3});
  CHECK(refusal_of_bytes(old.bytes({old.op(TfliteOp::RELU, {old.input()}, {1, 6, 5, 3})}, 2)).find("has version 2") !=
        std::string::npos);
  check_refused("RELU 0 has tensor 77, which does not exist", [](TfliteNet& n) {
    return n.op(TfliteOp::RELU, {77}, {1, 6, 5, 3});
  });
  check_refused("the list of outputs has tensor -1", [](TfliteNet& n) {
    n.op(TfliteOp::RELU, {n.input()}, {1, 6, 5, 3});
    return -1;
  });
  check_refused("'y1', which is neither the input nor the output of an earlier node", [](TfliteNet& n) {
    return n.op(TfliteOp::RELU, {2}, {1, 6, 5, 3}), n.op(TfliteOp::RELU, {1}, {1, 6, 5, 3});
  });
  check_refused("tensor 'w' has a negative dimension", [](TfliteNet& n) {
    n.tensor("w", {-1});
    return n.op(TfliteOp::RELU, {n.input()}, {1, 6, 5, 3});
  });
}
