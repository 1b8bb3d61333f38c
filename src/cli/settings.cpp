// SPDX-License-Identifier: Apache-2.0
#include "settings.h"

#include <mixgrad/models.h>

#include <fmt/ranges.h>

namespace mixgrad::cli {

void add_search_settings(Options& o, RunConfig& c) {
  o.add("model", &c.model, fmt::format("network to search: {}, or FILE.onnx with its weights (no warm-up then)", fmt::join(models::names(), ", ")));
  o.add("data", &c.data, data::sources());
  o.add("val-split", &c.val_split, "share of the training images held out for every choice");
  o.add("scheme", &c.scheme, "per-layer or per-channel weight bits");
  o.add("weight-bits", &c.weight_bits, "candidates for weights, 2 to 8; per-channel also 0, which removes the channel");
  o.add("act-bits", &c.act_bits, "candidates for activations, 2 to 8");
  o.add("input-bits", &c.input_bits, "candidates for the network's input");
  o.add("override", &c.override_layers, "other bits for some layers: \"conv=8 fc=2,4/8 stack2.*=float\" (weights/output)");
  o.add("method", &c.method, "dnas, or a baseline that meets the target: uniform, sensitivity, random");
  o.add("target", &c.target, "bounds that the network found must keep: size=40KiB,macs=30% (% of uniform 8-bit) [none]");
  o.add("regularizer", &c.regularizer, "cost to lower, without a target: " + fmt::format("{}", fmt::join(cost::names(), ", ")) + ", table:FILE.toml");
  o.add("strength", &c.strength, "weight of the cost in the loss [0.6 / cost of the uniform 8-bit network]");
  o.add("init", &c.init, "start from these weights instead of a warm-up (float.safetensors of mixgrad train)");
  o.add("warmup-epochs", &c.warmup_epochs, "float training");
  o.add("search-epochs", &c.search_epochs, "weights and bit-widths together");
  o.add("finetune-epochs", &c.finetune_epochs, "training of the network found");
  o.add("batch-size", &c.batch_size, "images per step");
  o.add("lr", &c.lr, "learning rate of the warm-up at its highest; later phases take shares of it");
  o.add("arch-lr", &c.arch_lr, "learning rate of the bit-widths' coefficients");
  o.add("tau-start", &c.tau_start, "temperature of the first search epoch");
  o.add("tau-end", &c.tau_end, "temperature of the last search epoch");
  o.add("tau-schedule", &c.tau_schedule, "geometric (start to end), or exp (times exp(-0.045) per epoch)");
  o.add("sampler", &c.sampler, "softmax or gumbel");
  o.add("hard", &c.hard, "one-hot samples, with the gradient of the soft ones");
  o.add("alpha-init", &c.alpha_init, "scaled (in proportion to the bits) or same");
  o.add("act-quantizer", &c.act_quantizer, "pact, lsq (learned step) or plinio-pact (rounds down, to compare with)");
  o.add("quantize-output", &c.quantize_output, "quantize the network's output too");
  o.add("refine", &c.refine, "raise weights to more bits where that does not raise the cost");
  o.add("arch-split", &c.arch_split, "share of the training images that the bit-widths learn from, in steps of their own");
  o.add("patience", &c.patience, "stop a phase after so many epochs without improvement, 0: never");
  o.add("check-numerics", &c.check_numerics, "look for NaN and infinity in every op, not only in every step's gradients");
  o.add("dtype", &c.dtype, "f32, bf16 or auto: how the search keeps activations between layers");
  o.add("seed", &c.seed, "of everything random");
}

void add_train_settings(Options& o, RunConfig& c) {
  o.add("model", &c.model, "network to train, or FILE.onnx to train further");
  o.add("data", &c.data, data::sources());
  o.add("val-split", &c.val_split, "share of the training images held out for choosing the best epoch");
  o.add("epochs", &c.warmup_epochs, "passes over the training images");
  o.add("batch-size", &c.batch_size, "images per step");
  o.add("lr", &c.lr, "learning rate at its highest");
  o.add("patience", &c.patience, "stop after so many epochs without improvement, 0: never");
  o.add("check-numerics", &c.check_numerics, "look for NaN and infinity in every op, not only in every step's gradients");
  o.add("seed", &c.seed, "of everything random");
}

}  // namespace mixgrad::cli
