// SPDX-License-Identifier: Apache-2.0
// The table of a run's settings. A new setting is a field of RunConfig and a row here.
#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/models.h>
#include <mixgrad/settings.h>
#include <mixgrad/task.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

namespace mixgrad {
namespace {

std::string model_form() { return fmt::format("{}|FILE.onnx|FILE.tflite", fmt::join(models::names(), "|")); }

std::string data_form() {
  std::string form = data::sources();
  for (size_t i; (i = form.find(", ")) != std::string::npos;) form.replace(i, 2, "|");
  return form;
}

std::string loss_form() {
  std::vector<std::string> names;
  for (const train::Task& task : train::tasks()) names.push_back(task.name);
  return fmt::format("{}", fmt::join(names, "|"));
}

std::string regularizer_form() { return fmt::format("{}|table:FILE.toml", fmt::join(cost::names(), "|")); }

/// "" stays "".
std::string absolute_path(const std::string& path) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return path.empty() || error ? path : whole.lexically_normal().string();
}

std::string absolute_model(const std::string& model) { return models::is_file(model) ? absolute_path(model) : model; }

/// A cost's name; a table's name contains its file.
std::string absolute_cost(const std::string& cost) {
  constexpr std::string_view table = "table:";
  return cost.starts_with(table) ? std::string(table) + absolute_path(cost.substr(table.size())) : cost;
}

/// For targets like "size=40%,table:costs.toml=1e6".
std::string absolute_target(const std::string& target) {
  std::string out;
  for (size_t begin = 0, end; begin < target.size(); begin = end + 1) {
    end = std::min(target.find(',', begin), target.size());
    const size_t equals = std::min(target.find('=', begin), end);
    if (!out.empty()) out += ',';
    out += absolute_cost(target.substr(begin, equals - begin)) + target.substr(equals, end - equals);
  }
  return out;
}

using enum Setting::Effect;
using InTrain = Setting::InTrain;
using InFront = Setting::InFront;
using Rows = std::vector<Setting>;

/// The model and its data.
Rows task() {
  return {
      {.name = "model",
       .member = &RunConfig::model,
       .help = "network to search; a file brings its own weights and is not warmed up",
       .form = model_form(),
       .in_train = InTrain{.help = "network to train; one from a file is trained further"},
       .absolute = absolute_model},
      {.name = "input-shape",
       .member = &RunConfig::input_shape,
       .help = "shape of an image, where the model leaves it open [from the model's file or the data, else the model's "
               "usual one]",
       .form = "C,H,W",
       .in_train = InTrain{}},
      {.name = "data",
       .member = &RunConfig::data,
       .help = "images to train and test on",
       .form = data_form(),
       .in_train = InTrain{},
       .absolute = data::absolute},
      {.name = "image-size",
       .member = &RunConfig::image_size,
       .help = "images:DIR: resize all images, with the middle kept [the network's size, if their own is not one]",
       .form = "H|HxW",
       .in_train = InTrain{}},
      {.name = "layout",
       .member = &RunConfig::layout,
       .help =
           "npy:DIR, npz:FILE: order of the axes of x, channels first or last; auto: as its shape tells, if it does",
       .in_train = InTrain{}},
      {.name = "skip-unreadable",
       .member = &RunConfig::skip_unreadable,
       .help = "images:DIR: go on without files that can't be read",
       .in_train = InTrain{},
       .in_front = InFront::trains},
      {.name = "augment",
       .member = &RunConfig::augment,
       .help = "random changes to training images: shifts by up to --max-shift pixels, or enlarged parts (random "
               "resized crops); auto: what suits the data",
       .in_train = InTrain{},
       .in_front = InFront::trains},
      {.name = "max-shift",
       .member = &RunConfig::max_shift,
       .help = "pixels by which training images are shifted at most",
       .in_train = InTrain{},
       .in_front = InFront::trains},
      {.name = "loss",
       .member = &RunConfig::loss,
       .help = "task: predict labels, also of every pixel (classify), or given values (regress), reconstruct the "
               "input, or imitate the float network's outputs, as class scores or as values [from --init or the model, "
               "else classify if the data have labels, regress if they have targets, reconstruct if neither]",
       .form = loss_form(),
       .in_train = InTrain{}},
      {.name = "input-scale",
       .member = &RunConfig::input_scale,
       .help =
           "range of pixels that the network takes, such as 0..255, 0..1 or -1..1 [from --init or the model's file; "
           "0..1 if neither tells, but a TFLite file needs it]",
       .form = "LOW..HIGH",
       .in_train = InTrain{}},
      {.name = "normalize",
       .member = &RunConfig::normalize,
       .help =
           "normalization of the images: (v - MEAN) / STD with v from 0 to 1, or in --input-scale; one number or one "
           "per channel [from --init or the model's file, else none]",
       .form = "MEAN/STD|imagenet|cifar10",
       .in_train = InTrain{}},
      {.name = "val-split",
       .member = &RunConfig::val_split,
       .help = "share of the training images held out for validation",
       .in_train = InTrain{.help = "share of the training images held out to choose the best epoch"}},
      {.name = "data-seed",
       .member = &RunConfig::data_seed,
       .help = "seed of the choice of validation images, and of drawn digits",
       .in_train = InTrain{}},
  };
}

/// The search space and its goal.
Rows bit_widths() {
  return {
      {.name = "scheme",
       .member = &RunConfig::scheme,
       .help = "choose the bits of weights per layer or per output channel"},
      {.name = "weight-bits",
       .member = &RunConfig::weight_bits,
       .help = "candidates for weights, 1 to 8 (1 on the odd grid); per channel also 0, which removes the channel"},
      {.name = "act-bits", .member = &RunConfig::act_bits, .help = "candidates for activations, 2 to 8"},
      {.name = "input-bits", .member = &RunConfig::input_bits, .help = "candidates for the network's input"},
      {.name = "override",
       .member = &RunConfig::override_layers,
       .help = "different bits for some layers: \"conv=8 fc=2,4/8 stack2.*=float\" (weights/output), or another weight "
               "quantizer: \"conv=8:minmax\""},
      {.name = "method",
       .member = &RunConfig::method,
       .help = "a search, with measured losses of candidates or with trained alpha (PLiNIO's), or a baseline that "
               "meets the target",
       .in_front = InFront::no},
      {.name = "target",
       .member = &RunConfig::target,
       .help = "limits on costs of the network found: size=40KiB,macs=30% (% of uniform 8-bit) [none]",
       .absolute = absolute_target,
       .in_front = InFront::no},
      {.name = "from-front",
       .member = &RunConfig::from_front,
       .help = "pick the network from this front (mixgrad front), whose settings apply, instead of a search [none]",
       .form = "DIR",
       .absolute = absolute_path,
       .in_front = InFront::no},
      {.name = "costs",
       .member = &RunConfig::costs,
       .help = "costs to have budgets of; each takes a training of its own",
       .form = regularizer_form(),
       .in_front = InFront::trains,
       .in_search = false},
      {.name = "least-cost",
       .member = &RunConfig::least_cost,
       .help = "smallest budget of each cost, as a share of the cost at the most bits",
       .in_front = InFront::trains,
       .in_search = false},
      {.name = "regularizer",
       .member = &RunConfig::regularizer,
       .help = "cost to minimize if there is no target [size]",
       .form = regularizer_form(),
       .absolute = absolute_cost,
       .in_front = InFront::no},
      {.name = "strength",
       .member = &RunConfig::strength,
       .help = "weight of the cost in the loss [0.6 / cost of the uniform 8-bit network]",
       .in_front = InFront::no},
  };
}

/// The length and learning rates of the phases.
Rows schedule() {
  return {
      {.name = "init",
       .member = &RunConfig::init,
       .help = "weights to start from instead of a warm-up (float.safetensors of mixgrad train)",
       .form = "FILE",
       .absolute = absolute_path},
      {.name = "warmup-epochs",
       .member = &RunConfig::warmup_epochs,
       .help = "epochs of float training",
       .in_train = InTrain{.name = "epochs", .help = "passes over the training images"},
       .in_front = InFront::trains},
      {.name = "search-epochs",
       .member = &RunConfig::search_epochs,
       .help = "epochs of training weights and bit-widths together",
       .in_front = InFront::trains},
      {.name = "finetune-epochs",
       .member = &RunConfig::finetune_epochs,
       .help = "epochs of training the network found",
       .in_front = InFront::trains},
      {.name = "batch-size",
       .member = &RunConfig::batch_size,
       .help = "images per step",
       .in_train = InTrain{},
       .in_front = InFront::trains},
      {.name = "lr",
       .member = &RunConfig::lr,
       .help = "peak learning rate of the warm-up",
       .in_train = InTrain{.help = "peak learning rate"},
       .in_front = InFront::trains},
      {.name = "search-lr",
       .member = &RunConfig::search_lr,
       .help = "peak learning rate of search and fine-tuning, on one cosine over both",
       .in_front = InFront::trains},
      {.name = "weight-decay",
       .member = &RunConfig::weight_decay,
       .help = "weight decay of the warm-up",
       .in_train = InTrain{.help = "weight decay"},
       .in_front = InFront::trains},
      {.name = "distill",
       .member = &RunConfig::distill,
       .help = "how much search and fine-tuning imitate the float network's outputs, 0 to 1",
       .in_front = InFront::trains},
      {.name = "arch-lr",
       .member = &RunConfig::arch_lr,
       .help = "dnas: learning rate of the bit-widths' coefficients (alpha)",
       .in_front = InFront::no},
      {.name = "tau-start",
       .member = &RunConfig::tau_start,
       .help = "dnas: temperature of the first search epoch",
       .in_front = InFront::no},
      {.name = "tau-end",
       .member = &RunConfig::tau_end,
       .help = "dnas: temperature of the last search epoch",
       .in_front = InFront::no},
      {.name = "tau-schedule",
       .member = &RunConfig::tau_schedule,
       .help = "dnas: geometric from tau-start to tau-end, or times exp(-0.045) per epoch",
       .in_front = InFront::no},
  };
}

/// Sampling and quantization during the search.
Rows details() {
  return {
      {.name = "sampler",
       .member = &RunConfig::sampler,
       .help = "dnas: how the candidates' shares are computed from their coefficients",
       .in_front = InFront::no},
      {.name = "hard",
       .member = &RunConfig::hard,
       .help = "dnas: one-hot samples with the gradient of soft ones",
       .in_front = InFront::no},
      {.name = "alpha-init",
       .member = &RunConfig::alpha_init,
       .help = "dnas: initial coefficients: proportional to the bits, or all the same",
       .in_front = InFront::no},
      {.name = "weight-quantizer",
       .member = &RunConfig::weight_quantizer,
       .help = "steps of weights: from the largest weight (PLiNIO's), of the least squared error, or learned"},
      {.name = "weight-grid",
       .member = &RunConfig::weight_grid,
       .help = "codes of mse and lsq: two's complement, symmetric, or (up to 4 bits) odd, without a zero"},
      {.name = "act-quantizer",
       .member = &RunConfig::act_quantizer,
       .help = "learned clip, learned step, or, for comparison, a learned clip with rounding down",
       .form = fmt::format("{}", fmt::join(quant::activation_names(), "|"))},
      {.name = "calibration",
       .member = &RunConfig::calibration,
       .help = "initial clips of activations: cover all values, cover N% of them, or minimize the squared error",
       .form = "max|percentile=N|mse"},
      {.name = "quantize-output", .member = &RunConfig::quantize_output, .help = "quantize the network's output too"},
      {.name = "refine",
       .member = &RunConfig::refine,
       .help = "raise weights to more bits if that does not raise the cost; not with a target",
       .in_front = InFront::no},
      {.name = "arch-split",
       .member = &RunConfig::arch_split,
       .help = "dnas: share of the training images for training the bit-widths in separate steps",
       .in_front = InFront::no},
  };
}

/// All kinds of training.
Rows general() {
  return {
      {.name = "patience",
       .member = &RunConfig::patience,
       .help = "stop a phase after N epochs without improvement, 0: never",
       .in_train = InTrain{.help = "stop after N epochs without improvement, 0: never"},
       .in_front = InFront::trains},
      {.name = "check-numerics",
       .member = &RunConfig::check_numerics,
       .help = "check every op for NaN and infinity, not only every step's gradients",
       .in_train = InTrain{},
       .effect = checks,
       .in_front = InFront::trains},
      {.name = "dtype",
       .member = &RunConfig::dtype,
       .help = "type of activations between layers in search and fine-tuning",
       .in_front = InFront::trains},
      {.name = "seed",
       .member = &RunConfig::seed,
       .help = "seed of all other random numbers",
       .in_train = InTrain{},
       .in_front = InFront::trains},
      {.name = "threads",
       .member = &RunConfig::threads,
       .help = "number of threads, 0 for all cores",
       .in_train = InTrain{},
       .effect = speed,
       .in_front = InFront::trains},
  };
}

}  // namespace

std::span<const Setting> run_settings() {
  static const Rows table = [] {
    Rows all;
    for (Rows (*rows)() : {task, bit_widths, schedule, details, general})
      std::ranges::move(rows(), std::back_inserter(all));
    return all;
  }();
  return table;
}

const Setting& run_setting(std::string_view name) {
  const std::span<const Setting> all = run_settings();
  const auto found = std::ranges::find(all, name, &Setting::name);
  if (found == all.end()) bad_input("unknown setting '{}': expected one from src/run/settings.cpp", name);
  return *found;
}

}  // namespace mixgrad
