// SPDX-License-Identifier: Apache-2.0
// Contents of a checkpoint: results/PHASE/... of finished phases, running/... of the current one, and its place.
#include <mixgrad/checkpoints.h>
#include <mixgrad/error.h>

#include <cstdlib>

namespace mixgrad::train {
namespace {

const std::string results = "results/", running = "running/";

/// A deep copy.
io::Safetensors copy_of(io::Safetensors content) {
  for (auto& [name, tensor] : content.tensors) tensor = tensor.clone();
  return content;
}

}  // namespace

std::string Place::str() const {
  return step == 0 ? fmt::format("{}, epoch {} done", phase, epoch)
                   : fmt::format("{}, epoch {}, step {}", phase, epoch + 1, step);
}

Place Place::of(const io::Safetensors& checkpoint) {
  const auto text = [&](const char* key) {
    const auto found = checkpoint.metadata.find(key);
    if (found == checkpoint.metadata.end())
      bad_input("{}: not a checkpoint: expected '{}' in its metadata", checkpoint.path, key);
    return found->second;
  };
  return {.phase = text("phase"), .epoch = std::atoll(text("epoch").c_str()), .step = std::atoll(text("step").c_str())};
}

Checkpoints::Checkpoints(io::Safetensors last) : results_(last.part(results)), last_(std::move(last)) {}

bool Checkpoints::finished(const std::string& phase) const { return !results_.part(phase + "/").tensors.empty(); }

io::Safetensors Checkpoints::result(const std::string& phase) const { return copy_of(results_.part(phase + "/")); }

void Checkpoints::finish(const std::string& phase, const io::Safetensors& result) {
  results_.put(phase + "/", copy_of(result));
}

void Checkpoints::needs(const std::string& name, const std::string& checksum) {
  const auto [before, is_new] = results_.metadata.emplace(name, checksum);
  if (!is_new && before->second != checksum)
    bad_input("resume: {} has changed since the run started: expected checksum {}, found {}", name, before->second,
              checksum);
}

void Checkpoints::keep(const Place& place, const State& state) {
  io::Safetensors content;
  content.metadata = {
      {"phase", place.phase}, {"epoch", std::to_string(place.epoch)}, {"step", std::to_string(place.step)}};
  content.put(results, results_);
  content.put(running, state.content());
  write(std::move(content));
}

void Checkpoints::resume(const std::string& phase, const State& state) const {
  if (last_.metadata.empty() || Place::of(last_).phase != phase) return;
  state.restore(last_.part(running));
}

}  // namespace mixgrad::train
