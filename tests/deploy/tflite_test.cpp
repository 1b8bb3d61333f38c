// SPDX-License-Identifier: Apache-2.0
// TFLite files: their structure, and their results in the real interpreter.
#include "../networks.h"
#include "../random_graph.h"
#include "../refusal.h"
#include "../shell.h"
#include "../tflite_runtime.h"
#include "ends.h"
#include "forms_tflite.h"
#include "small_weights.h"

#include <doctest/doctest.h>
#include <fmt/ranges.h>
#include <tflite_generated.h>
#include <tflite_metadata_generated.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

using namespace mixgrad;
using test::FormCase;
using test::TfliteAgreement;

namespace {

constexpr int64_t images_each = test::images_of_random_networks;

/// Checks that every code is within 1. XNNPACK rounds the exact value, TFLite's own kernels twice; operators that only
/// look up or move codes give the engine's.
void check_counts(const TfliteAgreement& all, bool delegate) {
  const std::set<std::string> exact = {"flatten", "pad2d", "prelu", "select_channels", "table", "upsample2d"};
  const std::set<std::string> kernels_only = {"avg_pool2d", "conv_transpose2d"};  // not by this version of XNNPACK
  for (const auto& [op, count] : all.by_operator) {
    INFO(op << ": " << count.different << " of " << count.codes << " codes differ, " << count.below << " lie below");
    CHECK(count.largest <= 1);
    if (exact.contains(op)) CHECK(count.different + count.below == 0);
    const int64_t one_in = op == "mul" ? 20 : 100;  // those of squeeze and excite
    if (delegate && !kernels_only.contains(op)) CHECK(count.different * one_in <= count.codes);
  }
}

void check_random_networks(uint64_t count) {
  if (!test::has_tflite_runtime()) return;
  for (const bool delegate : {true, false}) {
    CAPTURE(delegate);
    int64_t refused = 0;
    TfliteAgreement total;
    test::for_each_batch(count, [&](const std::vector<FormCase>& batch) {
      const TfliteAgreement some = test::check_tflite(batch, delegate);
      refused += some.refused;
      for (const auto& [op, c] : some.by_operator) {
        TfliteAgreement::Count& sum = total.by_operator[op];
        sum = {sum.codes + c.codes, sum.different + c.different, sum.below + c.below, std::max(sum.largest, c.largest)};
      }
    });
    check_counts(total, delegate);
    CHECK(refused * 3 <= static_cast<int64_t>(count));
  }
}

std::vector<FormCase> zoo_cases() {
  std::vector<FormCase> out;
  uint64_t seed = 70;
  for (const std::string& name : models::names()) {
    const models::Model model = test::random_model(name, ++seed);
    Shape shape = model.input_shape;
    if (shape[1] > 48) shape = {shape[0], 48, 48};
    for (const bool pruned : {false, true}) {
      out.emplace_back(
          fmt::format("{}{}", name, pruned ? " pruned" : ""),
          test::random_export(model, MixPrecType::PER_CHANNEL,
                              pruned ? std::vector<int>{0, 2, 4, 8} : std::vector<int>{2, 3, 5, 6, 7, 8}, seed, shape),
          test::random_images(4, shape, seed));
    }
  }
  return out;
}

FormCase every_op(bool quantize_output) {
  return {"every op", test::every_op(quantize_output, 6), test::random_images(8, {3, 16, 16}, 6)};
}

template <typename A, typename B>
int64_t same_top1(const std::vector<A>& a, const std::vector<B>& b, int64_t images) {
  REQUIRE(a.size() == b.size());
  const auto size = std::ssize(a) / images;
  int64_t same = 0;
  for (int64_t n = 0; n < images; ++n) {
    const auto from = n * size, to = from + size;
    same += std::max_element(a.begin() + from, a.begin() + to) - a.begin() ==
            std::max_element(b.begin() + from, b.begin() + to) - b.begin();
  }
  return same;
}

/// A convolution, a ReLU and a pool.
class Pooled : public nn::Module {
 public:
  explicit Pooled(Tensor (*pool)(const Tensor&)) : pool_(pool), conv_({.in_channels = 3, .out_channels = 4}) {
    add_module("conv", conv_);
  }
  Tensor forward(const Tensor& x) override { return pool_(relu(conv_(x))); }

 private:
  Tensor (*pool_)(const Tensor&);
  nn::Conv2d conv_;
};

Graph pooled(Tensor (*pool)(const Tensor&)) {
  Pooled net(pool);
  nn::initialize(net, Rng(4, "init"));
  MixPrecOptions options{.input_shape = {3, 8, 8}, .calibration = {test::random_batch(4, {3, 8, 8}, 2, 5).x}};
  options.quantize_output = true;
  MixPrec search(net, options);
  return search.arch_export();
}

tflite::ModelT opened(const std::string& bytes) {
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  REQUIRE(tflite::VerifyModelBuffer(verifier));
  REQUIRE(tflite::ModelBufferHasIdentifier(bytes.data()));
  tflite::ModelT out;
  tflite::GetModel(bytes.data())->UnPackTo(&out);
  return out;
}

}  // namespace

TEST_CASE("TFLite out: files have the format's structure, int8 in and out, and weights as int8 per channel") {
  const FormCase c = every_op(false);
  const tflite::ModelT model = opened(to_tflite(c.network, c.network.quantize(c.x)));
  CHECK(model.version == 3);
  CHECK(model.buffers.at(0)->data.empty());
  REQUIRE(model.subgraphs.size() == 1);
  const tflite::SubGraphT& graph = *model.subgraphs[0];
  REQUIRE(graph.inputs.size() == 1);
  REQUIRE(graph.outputs.size() == 1);
  const tflite::TensorT &in = *graph.tensors.at(static_cast<size_t>(graph.inputs[0])),
                        &out = *graph.tensors.at(static_cast<size_t>(graph.outputs[0]));
  CHECK(in.name == "input");
  CHECK(in.type == tflite::TensorType::INT8);
  CHECK(in.shape == std::vector<int32_t>{1, 16, 16, 3});
  CHECK(out.name == "output");
  CHECK(out.type == tflite::TensorType::INT8);
  CHECK(out.shape == std::vector<int32_t>{1, 5});
  int64_t layers = 0;
  for (const auto& t : graph.tensors) {
    CAPTURE(t->name);
    REQUIRE(t->buffer < model.buffers.size());
    if (t->type == tflite::TensorType::INT8) {
      REQUIRE(t->quantization != nullptr);
      CHECK(t->quantization->scale.size() == t->quantization->zero_point.size());
    }
    if (!t->name.ends_with("/weight")) continue;
    ++layers;
    const auto axis = static_cast<size_t>(t->quantization->quantized_dimension);
    CHECK(static_cast<int32_t>(t->quantization->scale.size()) == t->shape.at(axis));
  }
  CHECK(layers == std::ranges::count_if(c.network.nodes, &IntegerNode::is_layer));
  for (const auto& code : model.operator_codes)
    CHECK(static_cast<int>(code->builtin_code) == static_cast<int>(code->deprecated_builtin_code));
  REQUIRE(model.metadata.size() == 1);
  CHECK(model.metadata[0]->name == "min_runtime_version");
  const std::vector<uint8_t>& version = model.buffers.at(model.metadata[0]->buffer)->data;
  CHECK(std::string(version.begin(), version.end()) == std::string("2.9.0") + std::string(11, '\0'));
}

TEST_CASE("TFLite out: the metadata hold the input's normalization, for pixels from 0 to 255") {
  Graph graph = test::every_op(true, 3);
  graph.normalization = {.mean = {0.5F, 0.25F, 0}, .std = {0.5F, 2, 0.125F}};
  const tflite::ModelT model = opened(to_tflite(to_integer(graph)));
  REQUIRE(model.metadata.size() == 2);
  CHECK(model.metadata[0]->name == "TFLITE_METADATA");
  const std::vector<uint8_t>& bytes = model.buffers.at(model.metadata[0]->buffer)->data;
  const auto* unit = tflite::metadata::GetModelMetadata(bytes.data())
                         ->subgraph_metadata()
                         ->Get(0)
                         ->input_tensor_metadata()
                         ->Get(0)
                         ->process_units()
                         ->Get(0);
  const auto* options = unit->options_as<tflite::metadata::NormalizationOptions>();
  REQUIRE(options != nullptr);
  CHECK(std::vector<float>(options->mean()->begin(), options->mean()->end()) == std::vector<float>{127.5F, 63.75F, 0});
  CHECK(std::vector<float>(options->std()->begin(), options->std()->end()) == std::vector<float>{127.5F, 510, 31.875F});
}

TEST_CASE("TFLite out: what TFLite can't compute is refused by name") {
  const auto refusal = [](const Graph& graph) { return test::refusal([&] { to_tflite(to_integer(graph)); }); };
  CHECK(refusal(test::every_op(false, 6)).find("has no quantizer: expected images that show its range") !=
        std::string::npos);
  CHECK(refusal(pooled([](const Tensor& x) {
          return max_pool2d(x, {.kernel = {2, 2}, .dilation = {2, 2}});
        })) == "'max_pool2d': TFLite has no max pool with dilation");
  CHECK(refusal(pooled([](const Tensor& x) {
          return avg_pool2d(x, {.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 0, 0, 0}, .count_padding = false});
        })) ==
        "'avg_pool2d': TFLite's AVERAGE_POOL_2D can't leave out padding 1, 0, 0, 0: expected that of SAME, or one that "
        "counts");
  constexpr uint64_t with_dead_output = 374;
  CHECK(refusal(test::random_network(with_dead_output, 8).graph)
            .find("'layer1': TFLite can't hold its sums in 32 bits") == 0);
}

TEST_CASE("TFLite out: the program exports a run's network, or writes nothing") {
  const test::Folder place;
  const auto run = [&](const std::string& arguments, int exit_code = 0) {
    place.run(fmt::format("'{}' {}; test $? = {}", MIXGRAD_BINARY, arguments, exit_code));
    return place.said();
  };
  run("search --warmup-epochs 0 --search-epochs 0 --finetune-epochs 0 --threads 2 --quiet --data glyphs:100 --model "
      "ds_cnn --out run");
  CHECK(run("export run --to tflite --out net.tflite").find("net.tflite: ") == 0);
  const std::string bytes = io::read_file(place.path / "net.tflite");
  const FinishedRun finished = load_run(place.path / "run");
  const IntegerNetwork network = to_integer(finished.network);
  CHECK(bytes == to_tflite(network, first_codes(network, finished.train, 1000)));
  CHECK(run("export run --to tflite --float-outputs --data npy:gone --out real.tflite").find("outputs as float32") !=
        std::string::npos);
  CHECK(io::read_file(place.path / "real.tflite") == to_tflite(network, {}, true));
  CHECK(run("export run --to tflite --out nowhere/net.tflite", 2).find("can't write into folder nowhere") !=
        std::string::npos);
  CHECK(run("export run --to tflite --data npy:gone --out other.tflite", 2).find("gone") != std::string::npos);
  CHECK(!std::filesystem::exists(place.path / "other.tflite"));
  place.run(fmt::format("ulimit -f 8; trap '' XFSZ; '{}' export run --to tflite --out large.tflite; test $? != 0",
                        MIXGRAD_BINARY));
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(place.path)) files.insert(entry.path().filename());
  CHECK(!files.contains("large.tflite"));
  CHECK(std::ranges::none_of(files, [](const std::string& f) { return f.find("large") != std::string::npos; }));
}

TEST_CASE(
    "TFLite out: the interpreter gives the engine's top-1 on 1,000 images (200 without XNNPACK), and its codes of 8 "
    "bits") {
  if (!test::has_tflite_runtime()) return;
  const models::Model resnet8 = test::random_model("resnet8", 61);
  const data::Dataset glyphs = data::glyphs(1, 0.1, {.train = 100, .test = 1000}).test;
  const IntegerNetwork network = to_integer(test::random_export(resnet8, MixPrecType::PER_CHANNEL, {2, 4, 8}, 1));
  for (const bool delegate : {true, false}) {
    CAPTURE(delegate);
    const int64_t images = delegate ? 1000 : 200;  // TFLite's own kernels take 30 ms
    const std::vector<uint8_t> codes = first_codes(network, glyphs, images);
    const test::TfliteResults results = test::tflite_results(network, codes, delegate);
    CHECK(same_top1(results.got, results.raw, images) * 1000 >= images * 995);
    int64_t equal = 0;
    for (size_t k = 0; k < results.got.size(); ++k) equal += results.got[k] == results.expected[k];
    CHECK(equal * 10 >= std::ssize(results.got) * (delegate ? 10 : 9));
  }
}

TEST_CASE("TFLite out: outputs as floats are the engine's, whatever the last operator") {
  if (!test::has_tflite_runtime()) return;
  constexpr int64_t images = 1000;
  const models::Model resnet8 = test::random_model("resnet8", 61);
  const IntegerNetwork network = to_integer(test::random_export(resnet8, MixPrecType::PER_CHANNEL, {2, 4, 8}, 1));
  const data::Dataset glyphs = data::glyphs(1, 0.1, {.train = 100, .test = images}).test;
  const test::TfliteRealResults results = test::tflite_real_results(network, first_codes(network, glyphs, images));
  CHECK(same_top1(results.got, results.expected, images) * 1000 >= images * 999);
  for (const FormCase& c : test::networks_by_end(false)) {
    INFO(c.about());
    if (!c.network.result().raw) continue;
    const auto [got, expected] = test::tflite_real_results(c.network, c.network.quantize(c.x));
    REQUIRE(got.size() == expected.size());
    const auto largest = std::abs(*std::ranges::max_element(expected, {}, [](float v) { return std::abs(v); }));
    int64_t equal = 0;
    for (size_t k = 0; k < got.size(); ++k) equal += std::abs(got[k] - expected[k]) <= 1e-5F * largest;
    CHECK(equal * 10 >= 9 * std::ssize(got));
  }
}

TEST_CASE("TFLite out: the interpreter gives the codes of the zoo's networks") {
  if (!test::has_tflite_runtime()) return;
  const std::vector<FormCase> cases = zoo_cases();
  for (const bool delegate : {true, false}) {
    CAPTURE(delegate);
    const TfliteAgreement all = test::check_tflite(cases, delegate);
    CHECK(all.refused == 0);
    check_counts(all, delegate);
  }
}

TEST_CASE("TFLite out: the interpreter gives the codes of every operator") {
  if (!test::has_tflite_runtime()) return;
  for (const bool delegate : {true, false}) {
    CAPTURE(delegate);
    const TfliteAgreement all = test::check_tflite({every_op(false), every_op(true)}, delegate);
    CHECK(all.refused == 0);
    check_counts(all, delegate);
  }
}

TEST_CASE("TFLite out: the interpreter gives the codes whatever the last operator, and with small weights") {
  if (!test::has_tflite_runtime()) return;
  for (const bool delegate : {true, false}) {
    CAPTURE(delegate);
    for (const bool quantize_output : {false, true})
      check_counts(test::check_tflite(test::networks_by_end(quantize_output), delegate), delegate);
    check_counts(test::check_tflite(test::networks_with_small_weights(), delegate), delegate);
  }
}

TEST_CASE("forms: 30 random networks give the same codes in the TFLite interpreter") { check_random_networks(30); }
TEST_CASE("forms: 500 random networks give the same codes in the TFLite interpreter" * doctest::skip()) {
  check_random_networks(500);
}
