// SPDX-License-Identifier: Apache-2.0
// What is read back from the folder of a finished run.
#include "file_names.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>

#include <nlohmann/json.hpp>

namespace mixgrad {
namespace {

namespace fs = std::filesystem;

/// What evaluate_run needs of a summary.
struct Origin {
  std::string model, data;
  uint64_t seed;
};

Origin read_origin(const fs::path& folder) {
  std::error_code error;
  check_existing_folder(folder);
  const std::string file = folder / summary_name;
  if (!fs::exists(file, error)) bad_input("{}: holds no finished run: {} is missing", folder.string(), summary_name);
  try {
    const auto json = nlohmann::json::parse(io::read_file(file));
    return {.model = fs::path(json.at("model").get<std::string>()).filename(),
            .data = json.at("data").get<std::string>(),
            .seed = json.at("seed").get<uint64_t>()};
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: damaged: expected the summary of a run, with its model, data and seed", file);
  }
}

}  // namespace

void check_existing_folder(const std::string& path, const char* what) {
  std::error_code error;
  if (fs::is_directory(path, error)) return;
  if (fs::exists(path, error)) bad_input("{}: a file: expected the folder of {}", path, what);
  bad_input("{}: no such folder", path);
}

FinishedRun load_run(const std::string& path, const std::string& data) {
  const Origin origin = read_origin(path);
  const std::string& spec = data.empty() ? origin.data : data;
  Graph network = load_graph(fs::path(path) / network_name);
  data::Dataset test = data::load(spec, origin.seed, 0.1, network.input_shape()).test;
  const Shape& output = network.nodes[static_cast<size_t>(network.output)].shape;
  const bool reconstructs = output.size() == network.input_shape().size();
  if (reconstructs) test.labels.clear();
  if (test.image_shape() != network.input_shape() || (!reconstructs && test.classes() != output.size())) {
    bad_input("data: '{}' has images {} of {} classes, but the network in {} takes {} and tells {}", spec,
              test.image_shape().str(), test.classes(), path, network.input_shape().str(), output.size());
  }
  test.normalization = network.normalization;
  return {.model = origin.model, .network = std::move(network), .test = std::move(test)};
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
    bad_input("{}: damaged: expected the summary of a run", file);
  }
}

train::Score evaluate_run(const std::string& path, const std::string& data) {
  const FinishedRun run = load_run(path, data);
  return train::evaluate(run.network, run.test);
}

}  // namespace mixgrad
