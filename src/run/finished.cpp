// SPDX-License-Identifier: Apache-2.0
// Reads the folder of a finished run.
#include "file_names.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/run_folder.h>

#include <nlohmann/json.hpp>

namespace mixgrad {
namespace {

namespace fs = std::filesystem;

/// The part of a summary that evaluate_run needs.
struct Origin {
  std::string model, data;
  uint64_t data_seed;
  data::Layout layout;
  bool skip_unreadable;
};

Origin read_origin(const fs::path& folder) {
  std::error_code error;
  check_existing_folder(folder);
  const std::string file = folder / summary_name;
  if (!fs::exists(file, error))
    bad_input("{}: not the folder of a finished run: {} is missing", folder.string(), summary_name);
  try {
    const auto json = nlohmann::json::parse(io::read_file(file));
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

/// The task of a finished run's network. Older files do not name it: theirs is that of their model, or else what the
/// data allow.
const train::Task& task_of_run(const Graph& network, const Origin& origin, const data::Dataset& test,
                               const std::string& file) {
  if (!network.task.empty()) return train::find_task(network.task, file + ": task");
  return train::task_for(nullptr, models::task_of(origin.model), !test.labels.empty());
}

}  // namespace

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
  data::Splits splits = data::load(spec, origin.data_seed, 0.1,
                                   {.image_shape = network.input_shape(),
                                    .fixed = true,
                                    .layout = origin.layout,
                                    .skip_unreadable = skip_unreadable || origin.skip_unreadable});
  data::Dataset test = std::move(splits.test);
  if (test.image_shape() != network.input_shape()) {
    bad_input("data: images of '{}' are {}, but the network in {} takes {}", spec, test.image_shape().str(), path,
              network.input_shape().str());
  }
  const train::Task& task = task_of_run(network, origin, test, fs::path(path) / network_name);
  network.task = task.name;
  task.check({.images = test,
              .data = spec,
              .input = network.input_shape(),
              .output = network.nodes[static_cast<size_t>(network.output)].shape,
              .network = "the network in " + path,
              .left_out = "",
              .notes = ""});
  if (!task.reads_labels) test.labels.clear();
  test.normalization = network.normalization;
  return {
      .model = origin.model, .network = std::move(network), .test = std::move(test), .notes = std::move(splits.notes)};
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
    const auto summary = nlohmann::json::parse(io::read_file(file));
    if (!summary.contains("repair") || summary.at("repair").is_null()) return std::nullopt;
    return repair_from_json(summary.at("repair").dump());
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: corrupt: expected the summary of a run", file);
  }
}

train::Score evaluate_run(const std::string& path, const std::string& data) {
  const FinishedRun run = load_run(path, data);
  return train::evaluate(run.network, run.test);
}

}  // namespace mixgrad
