// SPDX-License-Identifier: Apache-2.0
#include "networks.h"

#include <cstring>

namespace mixgrad::test {

std::unique_ptr<nn::Module> random_resnet8(uint64_t seed) {
  models::Model model = models::make("resnet8", 10);
  nn::initialize(*model.net, Rng(seed, "init"));
  model.net->train();
  const NoTape pause;
  (*model.net)(random_batch(16, model.input_shape, 10, seed).x);  // moves running mean and variance off 0 and 1
  return std::move(model.net);
}

namespace {

/// As models::make; the networks made for ImageNet, segmentation and detection narrow, and for small images.
models::Model small_model(const std::string& name) {
  const models::ClassifierOptions narrow{.classes = 10, .width = 0.25, .small_images = true};
  const Shape image{3, 16, 16}, scores{10};
  const auto made = [&](std::unique_ptr<nn::Module> net, const Shape& input, const Shape& output) {
    return models::Model{.name = name, .input_shape = input, .net = std::move(net), .output_shape = output};
  };
  if (name == "mobilenet_v2") return made(models::mobilenet_v2(narrow), image, scores);
  if (name == "mobilenet_v3_small") return made(models::mobilenet_v3_small(narrow), image, scores);
  if (name == "efficientnet_lite0") return made(models::efficientnet_lite0(narrow), image, scores);
  if (name == "squeezenet") return made(models::squeezenet(narrow), image, scores);
  if (name == "shufflenet_v2")
    return made(models::shufflenet_v2({.classes = 10, .width = 0.5, .small_images = true}), image, scores);
  if (name == "unet")
    return made(models::unet({.classes = 3, .channels = 3, .width = 8, .levels = 2}), image, {3, 16, 16});
  if (name == "tiny_yolo") return made(models::tiny_yolo({.outputs = 14, .width = 0.125}), {3, 40, 34}, {14, 2, 2});
  return models::make(name, name == "mobilenet_v1" ? 2 : name == "ds_cnn" ? 12 : 10);
}

}  // namespace

models::Model random_model(const std::string& name, uint64_t seed) {
  models::Model model = small_model(name);
  nn::initialize(*model.net, Rng(seed, "init"));
  model.net->train();
  const NoTape pause;
  (*model.net)(random_batch(4, model.input_shape, 2, seed).x);
  model.net->eval();
  return model;
}

Graph random_export(const models::Model& model, MixPrecType type, const std::vector<int>& weight_bits, uint64_t seed,
                    const Shape& input) {
  const Shape& shape = input.rank() == 0 ? model.input_shape : input;
  MixPrec net(*model.net, {.input_shape = shape,
                           .activation_precisions = {2, 4, 8},
                           .weight_precisions = weight_bits,
                           .w_mixprec_type = type,
                           .calibration = {random_batch(2, shape, 2, 5).x}});
  randomize_architecture(net, seed);
  return net.arch_export();
}

namespace {

/// A ReLU and a ReLU6 next to an Add: all read the stem, whose values far exceed 6, so neither can be fused into it.
/// The batch norm behind them, before a padded convolution, can't be folded.
class EveryOp : public nn::Module {
 public:
  explicit EveryOp(uint64_t seed)
      : stem(options(3, 8, 1, 1)),
        grouped(options(8, 8, 2, 1)),
        strided(options(8, 12, 1, 2)),
        depthwise(options(12, 12, 12, 1)),
        norm(8),
        up({.in_channels = 8,
            .out_channels = 8,
            .kernel = {3, 2},
            .stride = {2, 2},
            .padding = {1, 0},
            .output_padding = {1, 0}}),
        excite({.in_channels = 12, .out_channels = 12, .kernel = {1, 1}}),
        slopes(12),
        fc({.in_features = 12 * 5 * 5, .out_features = 5}) {
    add_module("stem", stem);
    add_module("grouped", grouped);
    add_module("strided", strided);
    add_module("depthwise", depthwise);
    add_module("norm", norm);
    add_module("up", up);
    add_module("excite", excite);
    add_module("slopes", slopes);
    for (size_t kind = 0; kind < function_names.size(); ++kind) {
      mixes.push_back(
          std::make_unique<nn::Conv2d>(nn::Conv2dOptions{.in_channels = 12, .out_channels = 12, .kernel = {1, 1}}));
      add_module(std::string("mix_") + function_names[kind], *mixes.back());
    }
    add_module("fc", fc);
    nn::initialize(*this, Rng(seed, "init"));
    for (float& w : stem.weight.data()) w *= 20;
    Rng rng(seed, "norm");
    for (float& v : norm.gamma.data()) v = static_cast<float>(rng.uniform(-1, 1));
    for (float& v : norm.beta.data()) v = static_cast<float>(rng.normal());
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = max_pool2d(stem(x), {.kernel = {3, 3}, .stride = {2, 2}, .padding = {0, 1, 1, 0}, .ceil = true});
    y = add(add(relu(y), y), relu6(y));
    const Pool2dAttrs uncounted{.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1, 1, 1}, .count_padding = false};
    y = avg_pool2d(strided(relu(up(moved(relu(grouped(norm(y))))))), uncounted);
    y = avg_pool2d(y, {.kernel = {2, 2}, .stride = {2, 2}, .padding = {1, 1, 0, 0}, .ceil = true});
    y = slopes(depthwise(y));
    y = mul(y, sigmoid(excite(global_avg_pool2d(y))));
    Tensor sum = y;
    for (size_t kind = 0; kind < mixes.size(); ++kind)
      sum = add(sum, (*mixes[kind])(function({static_cast<FunctionKind>(kind), 0.25F, 0.5F}, y)));
    return fc(flatten(relu(mul(sum, y))));
  }

 private:
  /// 8 channels in another order, at other positions.
  static Tensor moved(const Tensor& x) {
    const std::vector<Tensor> parts = split_channels(x, {3, 5});
    const Tensor y = channel_shuffle(concat({parts[1], parts[0]}), 4);
    const Tensor larger = upsample2d(pad2d(y, {.padding = {1, 0, 0, 1}}), {.factor = {2, 1}});
    return max_pool2d(larger, {.kernel = {3, 2}, .stride = {2, 1}});
  }
  static nn::Conv2dOptions options(int64_t in, int64_t out, int64_t groups, int64_t stride) {
    return {.in_channels = in,
            .out_channels = out,
            .kernel = {3, 3},
            .stride = {stride, stride},
            .padding = {1, 1},
            .groups = groups};
  }
  nn::Conv2d stem, grouped, strided, depthwise;
  nn::BatchNorm2d norm;
  nn::ConvTranspose2d up;
  nn::Conv2d excite;
  nn::PReLU slopes;
  std::vector<std::unique_ptr<nn::Conv2d>> mixes;  // behind each function
  nn::Linear fc;
};

}  // namespace

Graph every_op(bool quantize_output, uint64_t seed) {
  EveryOp net(seed);
  MixPrecOptions options{.input_shape = {3, 16, 16},
                         .activation_precisions = {4, 8},
                         .weight_precisions = {2, 4, 8},
                         .w_mixprec_type = MixPrecType::PER_CHANNEL,
                         .calibration = {random_batch(4, {3, 16, 16}, 2, 5).x}};
  options.quantize_output = quantize_output;
  MixPrec search(net, options);
  randomize_architecture(search, seed);
  return search.arch_export();
}

data::Dataset random_images(int64_t images, const Shape& image_shape, uint64_t seed) {
  data::Dataset out{.name = "random",
                    .channels = image_shape[0],
                    .height = image_shape[1],
                    .width = image_shape[2],
                    .pixels = {},
                    .labels = {},
                    .class_names = {}};
  Rng rng(seed, "random_images");
  for (int64_t i = 0; i < images * image_shape.size(); ++i) out.pixels.push_back(static_cast<uint8_t>(rng.below(256)));
  return out;
}

data::Batch random_batch(int64_t images, const Shape& s, int64_t classes, uint64_t seed) {
  Rng rng(seed, "random_batch");
  data::Batch batch{.x = Tensor::empty({images, s[0], s[1], s[2]}), .labels = {}};
  for (float& v : batch.x.data()) v = static_cast<float>(rng.below(256)) / 255.0F;
  for (int64_t i = 0; i < images; ++i)
    batch.labels.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(classes))));
  return batch;
}

const train::Task& task_of(const models::Model& model) {
  const bool map = model.output_shape.size() != model.output_shape[0];
  return train::task_for(nullptr, models::task_of(model.name), map ? data::Known::label_maps : data::Known::labels);
}

data::Batch random_batch(int64_t images, const models::Model& model, uint64_t seed) {
  const Shape& output = model.output_shape;
  data::Batch batch = random_batch(images, model.input_shape, output[0], seed);
  Rng rng(seed, "random_outputs");
  if (task_of(model).reads_targets) {
    batch.targets = Tensor::empty({images, output.size()});
    for (float& v : batch.targets.data()) v = static_cast<float>(rng.normal());
  } else {
    batch.labels.resize(static_cast<size_t>(images * output.size() / output[0]));
    for (int32_t& label : batch.labels) label = static_cast<int32_t>(rng.below(static_cast<uint64_t>(output[0])));
  }
  return batch;
}

void randomize_architecture(MixPrec& net, uint64_t seed) {
  Rng rng(seed, "architecture");
  for (const Tensor& alpha : net.nas_parameters()) {
    for (float& a : alpha.data()) a = static_cast<float>(rng.normal());
  }
  for (const Parameter& clip : net.graph().parameters(Role::clip)) {
    for (float& c : clip.tensor.data()) c *= static_cast<float>(rng.uniform(0.5, 1.2));
  }
}

bool same_bytes(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace mixgrad::test
