// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "finished.h"
#include "options.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

#include <filesystem>
#include <memory>
#include <optional>

namespace mixgrad::cli {
namespace {

namespace fs = std::filesystem;

struct Export {
  explicit Export(CLI::App& command) : options(command) {}

  Options options;
  std::string folder, to, out, data;
  int64_t images = 20;
  int opset = 13;
  bool skip_unreadable = false;
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
  const IntegerNetwork network = to_integer(run.network);
  const CPackage package = c_package(network, run.model, first_codes(network, run.test, e.images));
  const std::string verdict = compared(package);
  write_c_package(package, e.out);
  const DeviceBytes bytes = device_bytes(network);
  fmt::print("{}: net.h, net.c, net_test.c; {} bytes of constants, {} of activations\n{}\n", e.out, bytes.constants(),
             bytes.arena, verdict);
}

void write_onnx(const Export& e) {
  io::check_file(e.out);
  const std::string model = to_onnx(to_integer(load_network(e.folder)), e.opset);
  io::write_file(e.out, model);
  fmt::print("{}: {} bytes, opset {}\n", e.out, model.size(), e.opset);
}

void run(Export& e) {
  e.options.apply();
  if (e.folder.empty()) bad_input("export: no folder given: expected mixgrad export DIR with the folder of a search");
  if (e.out.empty()) bad_input("export: --out is missing: expected a folder or file to write to");
  if (e.to == "c") return write_c(e);
  if (e.to == "onnx") return write_onnx(e);
  bad_input("to: unknown format '{}': expected c or onnx", e.to);
}

}  // namespace

void add_export(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export", "export the network found by a search as a C package or an ONNX file");
  const auto e = std::make_shared<Export>(*command);
  command->add_option("DIR", e->folder, "folder of a run")->type_name("");
  e->options.add("to", &e->to, "c: a folder with net.h, net.c and net_test.c; onnx: a file", "c|onnx");
  e->options.add("out", &e->out, "folder or file to write", "DIR|FILE");
  e->options.add("data", &e->data, "for c: test images of another data set [the run's own]", run_setting("data").form);
  add_skip_unreadable(e->options, e->skip_unreadable);
  e->options.add("images", &e->images, "for c: test images in net_test.c");
  e->options.add("opset", &e->opset, "operator set of the ONNX file; with 21, weights of up to 4 bits are INT4");
  show_examples(*command,
                {"mixgrad export RUN --to c --out net", "mixgrad export RUN --to onnx --out net.onnx --opset 21"});
  command->callback([e] { run(*e); });
}

}  // namespace mixgrad::cli
