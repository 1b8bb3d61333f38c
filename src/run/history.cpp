// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>

#include <src/internal/json.h>

#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <sstream>

namespace mixgrad {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// 6 significant digits: enough for plots, and the file has a third of the size.
ordered_json number(float value) {
  return std::isfinite(value) ? ordered_json(std::strtod(fmt::format("{:.6g}", value).c_str(), nullptr)) : nullptr;
}

/// [P] as a list, [P, C] as a list of P lists.
ordered_json values(const Tensor& t) {
  ordered_json out = ordered_json::array();
  const int64_t row = t.size() / t.dim(0);
  for (int64_t p = 0; p < t.dim(0); ++p) {
    if (t.shape().rank() == 1) {
      out.push_back(number(t.data()[p]));
      continue;
    }
    ordered_json channels = ordered_json::array();
    for (int64_t c = 0; c < row; ++c) channels.push_back(number(t.data()[p * row + c]));
    out.push_back(std::move(channels));
  }
  return out;
}

float number_from(const json& j) { return j.is_null() ? std::numeric_limits<float>::quiet_NaN() : j.get<float>(); }

Tensor tensor_from(const json& rows, const Shape& shape) {
  std::vector<float> flat;
  for (const json& row : rows) {
    if (shape.rank() == 1) {
      flat.push_back(number_from(row));
    } else {
      for (const json& value : row) flat.push_back(number_from(value));
    }
  }
  return Tensor::from(shape, flat);
}

train::AlphaReport alpha_from(const json& j) {
  train::AlphaReport a{.name = j.at("name").get<std::string>(),
                       .nodes = j.at("nodes").get<std::vector<std::string>>(),
                       .bits = j.at("bits").get<std::vector<int>>(),
                       .alpha = {},
                       .theta = {},
                       .task_gradient = {},
                       .cost_gradient = {}};
  const json& rows = j.at("alpha");
  const auto candidates = std::ssize(quant::checked_precisions("bits", a.bits, 0));
  const Shape shape = rows.at(0).is_array() ? Shape{candidates, std::ssize(rows.at(0))} : Shape{candidates};
  a.alpha = tensor_from(rows, shape);
  a.theta = tensor_from(j.at("theta"), shape);
  if (j.contains("loss")) {
    a.loss = tensor_from(j.at("loss"), shape);
    return a;
  }
  a.task_gradient = tensor_from(j.at("task_gradient"), shape);
  a.cost_gradient = tensor_from(j.at("cost_gradient"), shape);
  return a;
}

HistoryEpoch epoch_from(const std::string& line) {
  const json j = parse_json(line);
  HistoryEpoch out{.epoch = j.at("epoch").get<int>(), .tau = j.at("tau").get<double>(), .alphas = {}};
  for (const json& alpha : j.at("alphas")) out.alphas.push_back(alpha_from(alpha));
  return out;
}

}  // namespace

std::string history_line(const train::EpochReport& e) {
  ordered_json alphas = ordered_json::array();
  for (const train::AlphaReport& a : e.alphas) {
    alphas.push_back({{"name", a.name},
                      {"nodes", a.nodes},
                      {"bits", a.bits},
                      {"alpha", values(a.alpha)},
                      {"theta", values(a.theta)}});
    if (a.loss) {
      alphas.back()["loss"] = values(a.loss);
      continue;
    }
    alphas.back()["task_gradient"] = values(a.task_gradient);
    alphas.back()["cost_gradient"] = values(a.cost_gradient);
  }
  return json_text(ordered_json{{"epoch", e.epoch}, {"tau", e.tau}, {"alphas", std::move(alphas)}});
}

std::vector<HistoryEpoch> read_history(const std::string& path) {
  const std::filesystem::path file = std::filesystem::path(path) / "history.jsonl";
  std::error_code error;
  check_existing_folder(path);
  if (!std::filesystem::exists(file, error)) {
    bad_input("{}: has no history.jsonl: expected the folder of a search that has finished an epoch", path);
  }
  std::istringstream lines(io::read_file(file));
  std::vector<HistoryEpoch> out;
  for (std::string line;
       std::getline(lines, line) && !lines.eof();) {  // an unfinished last line is still being written
    try {
      out.push_back(epoch_from(line));
    } catch (const std::exception&) {  // errors of JSON and of tensors
      bad_input("{}:{}: corrupt: expected an epoch of a search with its alphas", file.string(), out.size() + 1);
    }
  }
  return out;
}

}  // namespace mixgrad
