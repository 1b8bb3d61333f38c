// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "interrupt.h"
#include "json.h"
#include "note.h"
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/predict.h>
#include <mixgrad/report.h>
#include <mixgrad/train.h>

#include <src/internal/json.h>
#include <src/internal/text.h>

#include <fmt/core.h>

#include <cstdio>
#include <memory>
#include <optional>

namespace mixgrad::cli {
namespace {

struct Predict {
  explicit Predict(CLI::App& command) : options(command) {}

  Options options;
  PredictOptions what;
  std::string out;
  int64_t top = 0;
  int threads = 0;
  bool confusion = false, json = false;
};

/// An image's line on the screen: the largest outputs by name, or the first ones.
std::string line(const Prediction& p, int64_t image, const Tensor& output, int64_t top) {
  constexpr size_t most_values = 6;
  const std::vector<float> values = output.to_vector();
  std::string text = fmt::format("{:<20}", report::shortened(p.image_name(image), 20));
  for (const int64_t c : largest(values, top))
    text += fmt::format("  {} {:.4g}", report::shortened(p.class_name(c)), values[static_cast<size_t>(c)]);
  for (size_t i = 0; top == 0 && i < std::min(values.size(), most_values); ++i)
    text += fmt::format(" {:>11.4g}", values[i]);
  return text + (top == 0 && values.size() > most_values ? " ...\n" : "\n");
}

/// Prints lines of text, or the elements of a JSON list, as they come.
class Screen {
 public:
  Screen(const Predict& predict, const Prediction& p) : predict_(predict), p_(p) {}

  void add(int64_t first, const Tensor& outputs) {
    for (int64_t n = 0; n < outputs.dim(0); ++n) {
      const Tensor output = outputs.rows(n, 1);
      if (predict_.json)
        fmt::print("{}{}", first + n == 0 ? "" : ", ", prediction_line(p_, first + n, output, predict_.top));
      else
        fmt::print("{}", line(p_, first + n, output, predict_.top));
    }
  }

 private:
  const Predict& predict_;
  const Prediction& p_;
};

void check(const Predict& predict, const Prediction& p) {
  if (predict.top > 0 && p.parts.size() > 1)
    bad_input("top: {} has {} outputs: expected a network with one", p.network, p.parts.size());
  if (predict.top < 0 || predict.top > p.output[0])
    bad_input("top: {} is not possible: {} returns {} values", predict.top, p.network, p.output[0]);
  if (predict.top > 0 && p.output.size() != p.output[0])
    bad_input("top: {} returns {}: expected one value per class", p.network, p.output.str());
}

/// Of `--json`: everything but the images.
nlohmann::ordered_json about(const Predict& predict, const Prediction& p, const train::Confusion& confusion) {
  nlohmann::ordered_json out = {
      {"network", p.network},
      {"images", p.images.size()},
      {"output", std::vector(p.output.dims().begin(), p.output.dims().end())},
      {"out", predict.out.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(predict.out)}};
  if (!confusion.empty()) add_confusion(out, confusion);
  return out;
}

void run(Predict& predict) {
  predict.options.apply();
  if (predict.what.network.empty())
    bad_input(
        "predict: no network given: expected mixgrad predict NETWORK with an ONNX file, float.safetensors or the "
        "folder of a run");
  check_threads(predict.threads);
  if (!predict.out.empty()) io::check_file(predict.out);
  const train::Threads threads(predict.threads);
  predict.what.data = predict.what.settings.data;
  const Prediction p = load_prediction(predict.what);
  check(predict, p);
  train::Confusion confusion;
  if (predict.confusion) confusion = empty_confusion(p);
  for (const std::string& note : p.notes) print_note(note);

  std::optional<PredictionFile> file;
  if (!predict.out.empty()) file.emplace(predict.out, p, predict.top);
  const bool shows = predict.out.empty() && (!predict.confusion || predict.top > 0);
  Screen screen(predict, p);
  if (predict.json && shows) fmt::print("{{\"predictions\":[");
  const Interrupt interrupt;
  const bool all = each_output(p, [&](int64_t first, const Tensor& outputs) {
    if (Interrupt::signal() != 0) return false;
    if (file) file->add(first, outputs);
    if (shows) screen.add(first, outputs);
    if (predict.confusion) confusion.add(decisions(p, first, outputs));
    return true;
  });
  if (!all) {
    fmt::print(stderr, "mixgrad: interrupted{}\n", file ? ": nothing was written" : "");
    return;
  }
  if (file) file->finish();
  if (predict.json) {
    const std::string rest = json_text(about(predict, p, confusion));
    fmt::print("{}{}\n", shows ? "], " : "", shows ? rest.substr(1) : rest);  // the same object, without its brace
    return;
  }
  if (predict.confusion) fmt::print("{}{}", shows ? "\n" : "", report::table(confusion));
  if (file) fmt::print("{}: outputs of {} images, {} each\n", predict.out, p.images.size(), p.output.str());
}

}  // namespace

void add_predict(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "predict", "outputs of a network for images: an ONNX file, float weights, or what a run has found");
  const auto predict = std::make_shared<Predict>(*command);
  PredictOptions& what = predict->what;
  RunConfig& c = what.settings;
  c.data = "";
  Options& o = predict->options;
  command->add_option("NETWORK", what.network, "FILE.onnx, FILE.tflite, float.safetensors, or the folder of a run")
      ->type_name("");
  o.add(run_setting("data"), c, "data set, whose test images are used [the run's own]");
  o.add("input", &what.input, "instead of a data set: an array x.npy, an image, or a folder of images",
        "FILE.npy|FILE|DIR");
  o.add_reading(c);
  o.add("out", &predict->out, "file to write: an array [N, ...], or one line per image",
        "FILE.npy|FILE.csv|FILE.jsonl");
  o.add("top", &predict->top,
        "show the N largest outputs of every image by the names of their classes, 0: all outputs");
  o.add("confusion", &predict->confusion, "show accuracy per class and how often each class is taken for which");
  o.add("integer", &what.integer, "run the integer form of the network that a search has found");
  o.add(run_setting("model"), c, "network that float.safetensors has the weights of");
  o.add(run_setting("input-shape"), c);
  o.add(run_setting("input-scale"), c);
  o.add(run_setting("normalize"), c,
        "normalization of the images: (v - MEAN) / STD with v from 0 to 1, or in --input-scale [from the weights, the "
        "model's file or the run]");
  o.add(run_setting("data-seed"), c, "seed of drawn digits [of a run's own data, the run's]");
  o.add("threads", &predict->threads, "number of threads, 0 for all cores");
  o.add("json", &predict->json, "print one JSON object");
  show_examples(*command, {"mixgrad predict RUN --top 3", "mixgrad predict RUN --integer --confusion",
                           "mixgrad predict RUN --data glyphs:200 --out y.csv"});
  command->callback([predict] { run(*predict); });
}

}  // namespace mixgrad::cli
