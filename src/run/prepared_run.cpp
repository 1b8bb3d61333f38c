// SPDX-License-Identifier: Apache-2.0
#include "prepared_run.h"

#include "chance.h"
#include "float_network.h"
#include "notes.h"

namespace mixgrad {
namespace {

const RunConfig& valid(const RunConfig& config) {
  config.validate();
  return config;
}

}  // namespace

PreparedRun::PreparedRun(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept,
                         const Communicator* communicator, std::string (*check)(const RunConfig&, const data::Splits&))
    : config_(valid(config)),
      threads_(config.threads),
      observer_(observer),
      splits_(load_data(config, &observer)),
      checkpoints_(kept != nullptr ? *kept : none_),
      communicator_(communicator) {
  const std::string obstacle = check(config, splits_);
  data_checksum_ = data::checksum(splits_);
  checkpoints_.needs("data", data_checksum_);
  for (const std::string& text : splits_.notes) note(text);
  for (const std::string& text : unread(config)) note(text);
  if (!obstacle.empty()) note(only_simulated(obstacle));
}

void PreparedRun::note(const std::string& text) {
  observer_.on_note(text);
  notes_.push_back(text);
}

train::Score PreparedRun::judge_float(const Graph& floating, const train::Task& task, train::Confusion& confusion) {
  if (const std::string text = meaning(config_, task); !text.empty()) note(text);
  train::Score score = test_score("warmup", floating, task, splits_, weights_file(config_), &confusion);
  if (is_near_chance(score, task.chance(splits_.test))) note(near_chance(config_, score));
  return score;
}

std::function<double(const Graph&)> loss_on(const data::Splits& splits, const train::Task& task) {
  return [&](const Graph& g) { return train::evaluate(g, splits.train, sensitivity_images, &task).mean_loss(); };
}

Judge judge_on(const data::Splits& splits, const train::Task& task, int64_t most) {
  return {.quality = [&, most](const Graph& g) { return train::evaluate(g, splits.validation, most, &task).quality(); },
          .loss = loss_on(splits, task)};
}

}  // namespace mixgrad
