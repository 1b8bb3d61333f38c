// SPDX-License-Identifier: Apache-2.0
#include "checkpoint_files.h"

#include <mixgrad/error.h>

namespace mixgrad {
namespace {

namespace fs = std::filesystem;

constexpr const char* checksum_key = "checksum";

io::Safetensors read_whole(const fs::path& file) {
  io::Safetensors content = io::read_safetensors(file);
  const auto checksum = content.metadata.extract(checksum_key);
  if (checksum.empty() || checksum.mapped() != io::checksum(content))
    bad_input("{}: the checksum does not match the content", file.string());
  return content;
}

}  // namespace

CheckpointFiles::CheckpointFiles(const fs::path& folder)
    : newest_(folder / "checkpoint.safetensors"),
      previous_(folder / "checkpoint.previous.safetensors"),
      next_(folder / "checkpoint.next.safetensors") {}

bool CheckpointFiles::any() const {
  std::error_code error;
  return fs::exists(newest_, error) || fs::exists(previous_, error);
}

io::Safetensors CheckpointFiles::newest(std::string& damage) const {
  std::error_code error;
  if (!fs::exists(newest_, error)) return read_whole(previous_);  // the run was killed between two renames
  try {
    return read_whole(newest_);
  } catch (const Error& e) {
    damage = e.what();
  }
  if (!fs::exists(previous_, error))
    bad_input("{}: there is no previous checkpoint: start again with --overwrite", damage);
  try {
    return read_whole(previous_);
  } catch (const Error& e) {
    bad_input("{}; {}: start again with --overwrite", damage, e.what());
  }
}

void CheckpointFiles::write(io::Safetensors content) {
  content.metadata[checksum_key] = io::checksum(content);  // computed before it is added
  io::write_safetensors(next_, content);
  std::error_code error;
  if (fs::exists(newest_, error)) fs::rename(newest_, previous_, error);
  if (!error) fs::rename(next_, newest_, error);
  if (error) failed_run("can't write {}: {}", newest_.string(), error.message());
}

void CheckpointFiles::remove() {
  std::error_code ignored;
  for (const fs::path& file : {newest_, previous_, next_}) fs::remove(file, ignored);
}

}  // namespace mixgrad
