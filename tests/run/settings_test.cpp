// SPDX-License-Identifier: Apache-2.0
// The table of settings, and what reads it: files, summaries, checkpoints and the command that repeats a run.
#include "../networks.h"
#include "../refusal.h"
#include "../shell.h"

#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>
#include <mixgrad/settings.h>

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

using namespace mixgrad;
using nlohmann::json;
using test::refusal;
namespace fs = std::filesystem;

namespace {

std::vector<NamedVariable> variables(RunConfig& config) {
  std::vector<NamedVariable> out;
  for (const Setting& s : run_settings()) out.push_back(s.of(config));
  return out;
}

/// A configuration that differs from the default in every setting.
RunConfig all_changed() {
  return {.model = "ds_cnn",
          .input_shape = {3, 16, 16},
          .data = "glyphs:96",
          .image_size = "48x64",
          .layout = data::Layout::nchw,
          .skip_unreadable = true,
          .augment = Augment::enlarge,
          .max_shift = 3,
          .loss = "reconstruct",
          .input_scale = "0..255",
          .normalize = "0.5/0.25",
          .val_split = 0.2,
          .data_seed = 9,
          .scheme = MixPrecType::PER_LAYER,
          .weight_bits = {3, 8},
          .act_bits = {4, 8},
          .input_bits = {7},
          .override_layers = "fc=8",
          .method = Method::random,
          .target = "size=40%",
          .regularizer = "macs",
          .from_front = "/fronts/a",
          .costs = {"macs", "flash"},
          .least_cost = 0.2,
          .strength = 2e-6,
          .refine = true,
          .init = "/w.safetensors",
          .warmup_epochs = 1,
          .search_epochs = 2,
          .finetune_epochs = 3,
          .batch_size = 32,
          .distill = 0.25,
          .lr = 0.1,
          .search_lr = 1e-4,
          .weight_decay = 1e-3,
          .arch_lr = 0.02,
          .tau_start = 4,
          .tau_end = 0.2,
          .tau_schedule = TauSchedule::exponential,
          .sampler = SamplerKind::GUMBEL,
          .hard = true,
          .alpha_init = AlphaInit::SAME,
          .weight_quantizer = WeightSteps::mse,
          .weight_grid = WeightGrid::symmetric,
          .act_quantizer = "lsq",
          .calibration = "max",
          .quantize_output = true,
          .arch_split = 0.3,
          .patience = 4,
          .check_numerics = true,
          .dtype = ActivationType::automatic,
          .seed = 5,
          .threads = 2};
}

}  // namespace

TEST_CASE("settings: the defaults are those of the quick effort, and more effort trains longer in every phase") {
  RunConfig config, defaults;
  int warmup = 0, search = 0, finetune = 0;
  for (const auto& [effort, name] : names_of(Effort())) {
    CAPTURE(name);
    set_effort(config, effort);
    CHECK(config.warmup_epochs > warmup);
    CHECK(config.search_epochs > search);
    CHECK(config.finetune_epochs > finetune);
    warmup = config.warmup_epochs, search = config.search_epochs, finetune = config.finetune_epochs;
  }
  set_front_effort(config, Effort::quick);
  CHECK(config.search_epochs > defaults.search_epochs);
  CHECK(config.finetune_epochs >= 1);
  CHECK(config.finetune_epochs < defaults.finetune_epochs);
  set_effort(config, Effort::quick);
  CHECK(to_toml(variables(config)) == to_toml(variables(defaults)));
}

TEST_CASE("settings: each has a unique name and survives being written to a file and read back") {
  const test::Folder folder;
  RunConfig given = all_changed(), read;
  std::set<std::string> names;
  for (const Setting& s : run_settings()) {
    CAPTURE(s.name);
    CHECK(names.insert(s.name).second);
    CHECK_FALSE(s.help.empty());
    CHECK(value_text(s.member(given)) != value_text(s.member(read)));
  }
  const std::string file = folder.path / "run.toml", content = to_toml(variables(given));
  io::write_file(file, content);
  set_from_toml(variables(read), file);
  CHECK(to_toml(variables(read)) == content);
  for (const Setting& s : run_settings()) CHECK(value_text(s.member(given)) == value_text(s.member(read)));
}

TEST_CASE("settings: files and checkpoints have the same text as those of older runs") {
  const std::map<std::string, std::string> decisive = decisive_settings(all_changed());
  CHECK(decisive.size() == run_settings().size() - 2);
  CHECK_FALSE(decisive.contains("threads"));
  CHECK_FALSE(decisive.contains("check-numerics"));
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"scheme", "per-layer"}, {"input-shape", "3,16,16"}, {"method", "random"},  {"strength", "2e-06"},
      {"tau-start", "4.0"},    {"tau-schedule", "exp"},    {"sampler", "gumbel"}, {"hard", "true"},
      {"alpha-init", "same"},  {"dtype", "auto"}};
  for (const auto& [name, text] : texts) CHECK(decisive.at(name) == text);
  CHECK(decisive_settings({}).at("strength") == "null");
  const std::string toml = search_toml(all_changed());
  CHECK(toml.find("scheme = 'per-layer'\n") != std::string::npos);
  CHECK(toml.find("tau-start = 4\n") != std::string::npos);
  CHECK(toml.find("check-numerics = true\n") != std::string::npos);
  CHECK(toml.find("threads") == std::string::npos);
  CHECK(search_toml({}).find("strength") == std::string::npos);
  CHECK(train_toml(all_changed()) ==
        "model = 'ds_cnn'\ninput-shape = [3, 16, 16]\ndata = 'glyphs:96'\nimage-size = '48x64'\nlayout = 'nchw'\n"
        "skip-unreadable = true\naugment = 'enlarge'\nmax-shift = 3\nloss = 'reconstruct'\n"
        "input-scale = '0..255'\n"
        "normalize = '0.5/0.25'\nval-split = 0.2\ndata-seed = 9\nepochs = 1\nbatch-size = 32\nlr = 0.1\n"
        "weight-decay = 0.001\npatience = 4\ncheck-numerics "
        "= true\nseed = 5\n");
}

TEST_CASE("settings: an unknown name of an enum is refused with the valid names, and nothing is set") {
  RunConfig config;
  const NamedVariable dtype = run_setting("dtype").of(config);
  CHECK(refusal([&] { set_from_text(dtype, "bf61"); }) ==
        "dtype: unknown 'bf61': expected f32, bf16, auto; did you mean bf16?");
  CHECK(config.dtype == ActivationType::float32);
  set_from_text(dtype, "bf16");
  CHECK(config.dtype == ActivationType::bfloat16);
  CHECK(refusal([&] { set_from_text(run_setting("act-quantizer").of(config), "pakt"); }) ==
        "act-quantizer: unknown 'pakt': expected pact, lsq, plinio-pact; did you mean pact?");
  const test::Folder folder;
  const std::string file = folder.path / "run.toml";
  const auto complaint = [&](const std::string& content) {
    io::write_file(file, content);
    return refusal([&] { set_from_toml(variables(config), file); });
  };
  CHECK(complaint("\nscheme = 'per-chanel'\n") ==
        file + ":2: scheme: unknown 'per-chanel': expected per-layer, per-channel; did you mean per-channel?");
  CHECK(complaint("scheme = 8\n") == file + ":1: scheme: expected text");
  CHECK(complaint("scheme = ''\n") == file + ":1: scheme: unknown '': expected per-layer, per-channel");
  CHECK(config.scheme == MixPrecType::PER_CHANNEL);
  CHECK(refusal([] { name_of(static_cast<Method>(9)); }).starts_with("9 is not a value of its enum"));
}

TEST_CASE("settings: the command that repeats a run works from any folder and quotes file names") {
  const std::string here = fs::current_path();
  CHECK(search_command({}) == "mixgrad search");
  CHECK(search_command({.scheme = MixPrecType::PER_LAYER, .act_bits = {4, 8}, .hard = true}) ==
        "mixgrad search --scheme per-layer --act-bits 4,8 --hard");
  CHECK(search_command({.model = "my net.onnx", .init = "float/../w's.safetensors"}) ==
        fmt::format("mixgrad search --model '{0}/my net.onnx' --init '{0}/w'\\''s.safetensors'", here));
  CHECK(search_command({.target = "size=40%,table:chip.toml=1e6"}) ==
        fmt::format("mixgrad search --target size=40%,table:{}/chip.toml=1e6", here));
  CHECK(search_command({.regularizer = "table:chip.toml"}) ==
        fmt::format("mixgrad search --regularizer table:{}/chip.toml", here));
  CHECK(search_command({.model = "\xff\n.onnx"}) == fmt::format("mixgrad search --model $'{}/\\377\\012.onnx'", here));
}

TEST_CASE("summary: it holds every setting and absolute paths of files") {
  const std::string here = fs::current_path();
  const auto summary_of = [&](const RunConfig& config) {
    const models::Model model = test::random_model("resnet8", 1);
    RunResult result;
    result.network = test::random_export(model, MixPrecType::PER_CHANNEL, {8}, 1);
    return json::parse(summary(config, result));
  };
  const json of_run = summary_of(
      {.model = "net.onnx", .data = "npz:d.npz", .regularizer = "table:chip.toml", .init = "float/../w.safetensors"});
  CHECK(of_run.at("model") == here + "/net.onnx");
  CHECK(of_run.at("data") == "npz:" + here + "/d.npz");
  CHECK(of_run.at("regularizer") == "table:" + here + "/chip.toml");
  const json config = of_run.at("config");
  CHECK(std::ssize(config) == std::ranges::count_if(run_settings(), &Setting::in_search));
  CHECK(config.at("model") == here + "/net.onnx");
  CHECK(config.at("init") == here + "/w.safetensors");
  CHECK(config.at("data") == "npz:" + here + "/d.npz");
  CHECK(config.at("regularizer") == "table:" + here + "/chip.toml");
  CHECK(config.at("strength").is_null());
  CHECK(summary_of({.target = "table:chip.toml=40%"}).at("config").at("target") == "table:" + here + "/chip.toml=40%");
  CHECK(summary_of({.target = "macs=40%"}).at("regularizer") == "macs");
  CHECK(summary_of({}).at("regularizer") == "size");
  CHECK(summary_of({}).at("scheme") == "per-channel");
}
