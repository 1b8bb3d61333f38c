// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "finished.h"
#include "interrupt.h"
#include "options.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

namespace mixgrad::cli {
namespace {

namespace fs = std::filesystem;

struct Export {
  explicit Export(CLI::App& command) : options(command) {}

  Options options;
  std::string folder, to, out, data, prefix = "net";
  int64_t images = 20;
  int opset = 13;
  bool skip_unreadable = false, float_outputs = false, pack_activations = false;
};

/// Builds and runs the package here and returns the outcome in words. Throws failed_run if its outputs differ from the
/// engine's.
std::string compared(const CPackage& package) {
  const std::optional<CPackageRun> run = run_c_package(package);
  if (!run) return "not compared: no C compiler found";
  if (run->equal != run->images) {
    failed_run(
        "export: the C package's outputs differ from the integer engine's on {} of {} images: nothing was written",
        run->images - run->equal, run->images);
  }
  return fmt::format("compared: built by {}, its outputs equal the integer engine's on all {} images", run->compiler,
                     run->images);
}

void write_c(const Export& e) {
  if (e.images < 1) bad_input("images: {} is not possible: expected at least 1", e.images);
  std::error_code error;
  if (fs::exists(e.out, error) && !fs::is_directory(e.out, error))
    bad_input("out: {} is not a folder: expected a folder to write the C package to", e.out);
  const FinishedRun run = load_noting(e.folder, e.data, e.skip_unreadable);
  IntegerNetwork network = to_integer(run.network);
  network.packs_activations = e.pack_activations;
  const CPackage package = c_package(network, run.model, first_codes(network, run.test, e.images), e.prefix);
  std::string verdict;
  interruptible([&] { verdict = compared(package); });
  write_c_package(package, e.out);
  const DeviceBytes bytes = device_bytes(network);
  fmt::print("{0}: {1}.h, {1}.c, {1}_test.c; {2} bytes of constants, {3} of activations\n{4}\n", e.out, e.prefix,
             bytes.constants(), bytes.arena, verdict);
}

void write_onnx(const Export& e) {
  io::check_file(e.out);
  const std::string model = to_onnx(to_integer(load_network(e.folder)), e.opset);
  io::write_file(e.out, model);
  fmt::print("{}: {} bytes, opset {}\n", e.out, model.size(), e.opset);
}

/// Codes of training images that show the range of outputs without quantizer; none for other networks.
std::vector<uint8_t> range_codes(const Export& e, const IntegerNetwork& network) {
  constexpr int64_t most_images = 1000;
  if (std::ranges::none_of(network.nodes, &IntegerNode::raw)) return {};
  const FinishedRun run = load_noting(e.folder, e.data, e.skip_unreadable);
  return first_codes(network, run.train.size() > 0 ? run.train : run.test, most_images);
}

void write_tflite(const Export& e) {
  io::check_file(e.out);
  const IntegerNetwork network = to_integer(load_network(e.folder));
  const std::string model =
      e.float_outputs ? to_tflite(network, {}, true) : to_tflite(network, range_codes(e, network));
  io::write_file(e.out, model);
  const bool real = e.float_outputs && std::ranges::any_of(network.nodes, &IntegerNode::raw);
  fmt::print("{}: {} bytes, {}\n", e.out, model.size(), real ? "int8, outputs as float32" : "int8");
}

void run(Export& e) {
  e.options.apply();
  if (e.folder.empty()) bad_input("export: no folder given: expected mixgrad export DIR with the folder of a search");
  if (e.out.empty()) bad_input("export: --out is missing: expected a folder or file to write to");
  if (e.to == "c") return write_c(e);
  if (e.to == "onnx") return write_onnx(e);
  if (e.to == "tflite") return write_tflite(e);
  bad_input("to: unknown format '{}': expected c, onnx or tflite", e.to);
}

}  // namespace

void add_export(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export", "export the network found by a search as a C package, or an ONNX or TFLite file");
  const auto e = std::make_shared<Export>(*command);
  command->add_option("DIR", e->folder, "folder of a run")->type_name("");
  e->options.add("to", &e->to, "c: a folder with net.h, net.c and net_test.c; onnx, tflite: a file", "c|onnx|tflite");
  e->options.add("out", &e->out, "folder or file to write", "DIR|FILE");
  e->options.add(
      "data", &e->data,
      "for c: test images of another data set; for tflite: images that show the result's range [the run's own]",
      run_setting("data").form);
  add_skip_unreadable(e->options, e->skip_unreadable);
  e->options.add("images", &e->images, "for c: test images in net_test.c");
  e->options.add("prefix", &e->prefix,
                 "for c: of its files, function and macros, so that networks link into one program");
  add_pack_activations(e->options, e->pack_activations);
  e->options.add("opset", &e->opset, "operator set of the ONNX file; with 21, weights of up to 4 bits are INT4");
  e->options.add("float-outputs", &e->float_outputs,
                 "for tflite: outputs without quantizer as float32, computed by an operator of floats");
  show_examples(*command,
                {"mixgrad export RUN --to c --out net", "mixgrad export RUN --to onnx --out net.onnx --opset 21",
                 "mixgrad export RUN --to tflite --out net.tflite"});
  command->callback([e] { run(*e); });
}

}  // namespace mixgrad::cli
