// SPDX-License-Identifier: Apache-2.0
// Reads the folder of a finished run.
#include "file_names.h"
#include "float_network.h"
#include "origin.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/run_folder.h>

#include <src/internal/json.h>

#include <fmt/ranges.h>

#include <charconv>
#include <limits>

namespace mixgrad {
namespace {

namespace fs = std::filesystem;

constexpr const char* variance_key = "variance";  // in the metadata of a teacher's file: one number per output

/// The task of a finished run's network, for data of which `known` is known. Older files do not name it: theirs is that
/// of their model, or else what the data allow.
train::Task task_of_run(const Graph& network, const Origin& origin, const fs::path& folder, data::Known known) {
  if (network.task.empty()) return train::task_for(nullptr, models::task_of(origin.model), known);
  const train::Task& task = train::find_task(network.task, (folder / network_name).string() + ": task");
  if (task.taught) return task.taught(read_teacher(folder / teacher_name));
  return train::task_for(nullptr, network.task, known);
}

}  // namespace

Origin read_origin(const std::string& folder) {
  std::error_code error;
  check_existing_folder(folder);
  const std::string file = fs::path(folder) / summary_name;
  if (!fs::exists(file, error)) bad_input("{}: not the folder of a finished run: {} is missing", folder, summary_name);
  try {
    const auto json = parse_json(io::read_file(file));
    const auto config = json.value("config", nlohmann::json::object());  // older runs lack some settings
    return {.model = fs::path(json.at("model").get<std::string>()).filename(),
            .data = json.at("data").get<std::string>(),
            .data_seed = json.value("data_seed", json.at("seed").get<uint64_t>()),  // older runs have only one seed
            .layout = find_by_name<data::Layout>(config.value("layout", "")).value_or(data::Layout::automatic),
            .skip_unreadable = config.value("skip-unreadable", false)};
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: corrupt: expected the summary of a run, with its model, data and seed", file);
  }
}

data::ReadOptions read_options(const Origin& origin, const Shape& input) {
  return {.image_shape = input, .fixed = true, .layout = origin.layout, .skip_unreadable = origin.skip_unreadable};
}

void write_teacher(const train::Teacher& teacher, const std::string& file) {
  io::Safetensors content = to_safetensors(*teacher.network);
  content.metadata[variance_key] = fmt::format("{}", fmt::join(teacher.variances, ","));
  io::write_safetensors(file, content);
}

namespace {

/// Numbers separated by commas; none if there is another text, or one that is not positive.
std::vector<double> positive_numbers(const std::string& text) {
  std::vector<double> out;
  for (const char *at = text.data(), *end = at + text.size(); at <= end; ++at) {
    double value = 0;
    const auto [after, error] = std::from_chars(at, end, value);
    if (error != std::errc() || !(value > 0) || (after != end && *after != ',')) return {};
    out.push_back(value);
    at = after;
  }
  return out;
}

}  // namespace

train::Teacher read_teacher(const std::string& file) {
  io::Safetensors content = io::read_safetensors(file);
  const std::vector<double> variances = positive_numbers(content.metadata[variance_key]);
  train::Teacher teacher{.network = std::make_shared<const Graph>(graph_from(std::move(content))),
                         .variances = variances};
  if (variances.size() != teacher.network->outputs().size())
    bad_input("{}: corrupt: expected the variance of each of the network's outputs in its metadata", file);
  return teacher;
}

std::string confusion_text(const RunResult& result) {
  const nlohmann::ordered_json all = {{"truth", result.teacher ? "float network" : "labels"},
                                      {"of", result.confusion.of_positions() ? "pixels" : "images"},
                                      {"float", parse_ordered_json(to_json(result.floating_confusion))},
                                      {"found", parse_ordered_json(to_json(result.confusion))}};
  return json_text(all) + "\n";
}

void check_existing_folder(const std::string& path, const char* what) {
  std::error_code error;
  if (fs::is_directory(path, error)) return;
  if (fs::exists(path, error)) bad_input("{}: not a folder: expected the folder of {}", path, what);
  bad_input("{}: no such folder", path);
}

FinishedRun load_run(const std::string& path, const std::string& data, bool skip_unreadable) {
  const Origin origin = read_origin(path);
  const std::string& spec = data.empty() ? origin.data : data;
  Graph network = load_graph(fs::path(path) / network_name);
  data::ReadOptions options = read_options(origin, network.input_shape());
  options.skip_unreadable = options.skip_unreadable || skip_unreadable;
  data::Splits splits = data::load(spec, origin.data_seed, 0.1, options);
  data::Dataset test = std::move(splits.test);
  check_image_shape(test, spec, network.input_shape(), "the network in " + path);
  train::Task task = task_of_run(network, origin, path, test.known());
  network.task = task.name;
  task.check({.images = test,
              .data = spec,
              .input = network.input_shape(),
              .output = network.output_shape(),
              .network = "the network in " + path,
              .left_out = "",
              .notes = ""});
  for (data::Dataset* set : {&splits.train, &test}) {
    if (!task.reads_labels) set->labels.clear();
    if (!task.reads_targets) set->targets.clear();
    set->normalization = network.normalization;
  }
  return {.model = origin.model,
          .network = std::move(network),
          .train = std::move(splits.train),
          .test = std::move(test),
          .task = std::move(task),
          .notes = std::move(splits.notes)};
}

Graph load_network(const std::string& path) {
  read_origin(path);
  return load_graph(fs::path(path) / network_name);
}

std::optional<Graph> exported_network(const std::string& path) {
  std::error_code error;
  if (!fs::exists(fs::path(path) / summary_name, error)) return std::nullopt;
  return load_graph(fs::path(path) / network_name);
}

std::optional<Repair> repair_of(const std::string& path) {
  const std::string file = fs::path(path) / summary_name;
  try {
    const auto summary = parse_json(io::read_file(file));
    if (!summary.contains("repair") || summary.at("repair").is_null()) return std::nullopt;
    return repair_from_json(json_text(summary.at("repair")));
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: corrupt: expected the summary of a run", file);
  }
}

train::Score evaluate_run(const FinishedRun& run, train::Confusion* confusion) {
  return train::evaluate(run.network, run.test, train::all_images, &run.task, confusion);
}

}  // namespace mixgrad
