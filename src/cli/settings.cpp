// SPDX-License-Identifier: Apache-2.0
#include "settings.h"

#include <mixgrad/models.h>

#include <fmt/ranges.h>

namespace mixgrad::cli {

std::string model_form() { return fmt::format("{}|FILE.onnx", fmt::join(models::names(), "|")); }

std::string data_form() {
  std::string form = data::sources();
  for (size_t i; (i = form.find(", ")) != std::string::npos;) form.replace(i, 2, "|");
  return form;
}

std::string regularizer_form() { return fmt::format("{}|table:FILE.toml", fmt::join(cost::names(), "|")); }

namespace {

constexpr const char* normalize_help =
    "of the images: (v - MEAN) / STD with v from 0 to 1, one number or one per channel [as --init or the model's file "
    "says, or none]";

}  // namespace

void add_search_settings(Options& o, RunConfig& c) {
  o.add("model", &c.model, "network to search; a file comes with its weights and is not warmed up", model_form());
  o.add("input-shape", &c.input_shape,
        "of the images, for a model's file that leaves height or width open [as the file says]", "C,H,W");
  o.add("data", &c.data, "images to train on and to test with", data_form());
  o.add("normalize", &c.normalize, normalize_help, "MEAN/STD|imagenet|cifar10");
  o.add("val-split", &c.val_split, "share of the training images held out for every choice");
  o.add("scheme", &c.scheme, "what a weight's bits are chosen for", scheme_form);
  o.add("weight-bits", &c.weight_bits, "candidates for weights, 2 to 8; per-channel also 0, which removes the channel");
  o.add("act-bits", &c.act_bits, "candidates for activations, 2 to 8");
  o.add("input-bits", &c.input_bits, "candidates for the network's input");
  o.add("override", &c.override_layers,
        "other bits for some layers: \"conv=8 fc=2,4/8 stack2.*=float\" (weights/output)");
  o.add("method", &c.method, "differentiable search, or a baseline that meets the target", method_form);
  o.add("target", &c.target,
        "bounds that the network found must keep: size=40KiB,macs=30% (% of uniform 8-bit) [none]");
  o.add("regularizer", &c.regularizer, "cost to lower, without a target [size]", regularizer_form());
  o.add("strength", &c.strength, "weight of the cost in the loss [0.6 / cost of the uniform 8-bit network]");
  o.add("init", &c.init, "start from these weights instead of a warm-up (float.safetensors of mixgrad train)",
        file_form);
  o.add("warmup-epochs", &c.warmup_epochs, "float training");
  o.add("search-epochs", &c.search_epochs, "weights and bit-widths together");
  o.add("finetune-epochs", &c.finetune_epochs, "training of the network found");
  o.add("batch-size", &c.batch_size, "images per step");
  o.add("lr", &c.lr, "learning rate of the warm-up at its highest; later phases take shares of it");
  o.add("arch-lr", &c.arch_lr, "learning rate of the bit-widths' coefficients");
  o.add("tau-start", &c.tau_start, "temperature of the first search epoch");
  o.add("tau-end", &c.tau_end, "temperature of the last search epoch");
  o.add("tau-schedule", &c.tau_schedule, "from start to end, or times exp(-0.045) per epoch", "geometric|exp");
  o.add("sampler", &c.sampler, "how the shares of the candidates follow from their coefficients", "softmax|gumbel");
  o.add("hard", &c.hard, "one-hot samples, with the gradient of the soft ones");
  o.add("alpha-init", &c.alpha_init, "in proportion to the bits, or all the same", "scaled|same");
  o.add("act-quantizer", &c.act_quantizer, "learned clip, learned step, or one that rounds down, to compare with",
        fmt::format("{}", fmt::join(quant::activation_names(), "|")));
  o.add("calibration", &c.calibration,
        "how activations' clips start: to keep all values, N% of them, or at the least error", "max|percentile=N|mse");
  o.add("quantize-output", &c.quantize_output, "quantize the network's output too");
  o.add("refine", &c.refine, "raise weights to more bits where that does not raise the cost, without a target");
  o.add("arch-split", &c.arch_split,
        "share of the training images that the bit-widths learn from, in steps of their own");
  o.add("patience", &c.patience, "stop a phase after so many epochs without improvement, 0: never");
  o.add("check-numerics", &c.check_numerics,
        "look for NaN and infinity in every op, not only in every step's gradients");
  o.add("dtype", &c.dtype, "how the search keeps activations between layers", dtype_form);
  o.add("seed", &c.seed, "of everything random");
}

void add_train_settings(Options& o, RunConfig& c) {
  o.add("model", &c.model, "network to train; a file's is trained further", model_form());
  o.add("input-shape", &c.input_shape,
        "of the images, for a model's file that leaves height or width open [as the file says]", "C,H,W");
  o.add("data", &c.data, "images to train on and to test with", data_form());
  o.add("normalize", &c.normalize, normalize_help, "MEAN/STD|imagenet|cifar10");
  o.add("val-split", &c.val_split, "share of the training images held out for choosing the best epoch");
  o.add("epochs", &c.warmup_epochs, "passes over the training images");
  o.add("batch-size", &c.batch_size, "images per step");
  o.add("lr", &c.lr, "learning rate at its highest");
  o.add("patience", &c.patience, "stop after so many epochs without improvement, 0: never");
  o.add("check-numerics", &c.check_numerics,
        "look for NaN and infinity in every op, not only in every step's gradients");
  o.add("seed", &c.seed, "of everything random");
}

}  // namespace mixgrad::cli
