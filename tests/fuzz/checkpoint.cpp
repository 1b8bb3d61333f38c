// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <src/run/checkpoint_files.h>

#include <mixgrad/train.h>

/// The only checkpoint of a stopped run, and then its description of itself.
void mixgrad::fuzz::read_checkpoint(const Folder& folder, std::string_view bytes) {
  folder.put("checkpoint.safetensors", bytes);
  std::string damage;
  const io::Safetensors content = CheckpointFiles(folder.path()).newest(damage);
  train::Place::of(content);
  train::Checkpoints(content).finished("search");
}
