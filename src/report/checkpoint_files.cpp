// SPDX-License-Identifier: Apache-2.0
#include "checkpoint_files.h"

#include <mixgrad/error.h>

#include <span>
#include <string_view>

namespace mixgrad::report {
namespace {

namespace fs = std::filesystem;

constexpr const char* checksum_key = "checksum";

/// FNV-1a over names, shapes, values and metadata: a file may have the right size and wrong bytes.
class Checksum {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) add_byte(c);
    add_byte('\0');
  }
  void add(std::span<const float> values) { add({reinterpret_cast<const char*>(values.data()), values.size_bytes()}); }
  std::string str() const { return fmt::format("{:016x}", hash_); }

 private:
  void add_byte(char c) { hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3; }
  uint64_t hash_ = 0xcbf29ce484222325;
};

std::string checksum_of(const io::Safetensors& content) {
  Checksum sum;
  for (const auto& [key, value] : content.metadata) {
    if (key == checksum_key) continue;
    sum.add(key);
    sum.add(value);
  }
  for (const auto& [name, tensor] : content.tensors) {
    sum.add(name);
    sum.add(tensor.shape().str());
    sum.add(tensor.to_vector());
  }
  return sum.str();
}

io::Safetensors read_whole(const fs::path& file) {
  io::Safetensors content = io::read_safetensors(file);
  const auto found = content.metadata.find(checksum_key);
  if (found == content.metadata.end() || found->second != checksum_of(content)) bad_input("{}: its checksum does not fit its content", file.string());
  return content;
}

}  // namespace

CheckpointFiles::CheckpointFiles(const fs::path& folder)
    : newest_(folder / "checkpoint.safetensors"), previous_(folder / "checkpoint.previous.safetensors"), next_(folder / "checkpoint.next.safetensors") {}

bool CheckpointFiles::any() const {
  std::error_code error;
  return fs::exists(newest_, error) || fs::exists(previous_, error);
}

io::Safetensors CheckpointFiles::newest(std::string& damage) const {
  std::error_code error;
  if (!fs::exists(newest_, error)) return read_whole(previous_);  // killed between two renames
  try {
    return read_whole(newest_);
  } catch (const Error& e) {
    damage = e.what();
  }
  if (!fs::exists(previous_, error)) bad_input("{}: there is no checkpoint before it: start anew with --overwrite", damage);
  try {
    return read_whole(previous_);
  } catch (const Error& e) {
    bad_input("{}; {}: start anew with --overwrite", damage, e.what());
  }
}

void CheckpointFiles::write(io::Safetensors content) {
  content.metadata[checksum_key] = checksum_of(content);
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

}  // namespace mixgrad::report
