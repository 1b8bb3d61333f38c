// SPDX-License-Identifier: Apache-2.0
// Files: whole or not at all, or line by line, and tensors in the safetensors format.
#pragma once

#include <mixgrad/tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mixgrad::io {

/// Throws bad_input naming the file when it can't be read.
std::string read_file(const std::string& path);
/// A file's content in memory without a copy of it. Throws like read_file.
class Mapped {
 public:
  explicit Mapped(const std::string& path);
  ~Mapped();
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  std::string_view content() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

/// Throws bad_input where no file can be made in `folder`. For what is going to be written after long work.
void check_folder(const std::string& folder);
/// Throws bad_input where write_file could not write `path`: it is a folder, or its folder is none or takes no files.
void check_file(const std::string& path);

/// Writes aside, syncs and renames, so that `path` holds either its old content or all of the new one.
/// Throws failed_run (disk full, folder gone) and leaves nothing behind.
void write_file(const std::string& path, std::string_view content);
/// Cuts `path` down to its first `offset` bytes, writes `content` behind them and syncs; at 0 there need be no such
/// file yet. Throws failed_run (disk full, file gone or too short), and leaves no part of `content`.
void write_at(const std::string& path, int64_t offset, std::string_view content);

/// A safetensors file: named float32 tensors and string metadata (huggingface.co/docs/safetensors).
struct Safetensors {
  std::vector<std::pair<std::string, Tensor>> tensors;  ///< in the order of the file's offsets
  std::map<std::string, std::string> metadata;

  /// Throws bad_input naming `path` and the tensor when it is missing.
  const Tensor& at(const std::string& name) const;
  /// Throws bad_input naming `path`, the tensor and the first value in it that is NaN or infinite, if there is one.
  void check_finite(const std::string& name) const;
  bool contains(const std::string& name) const;
  /// Adds all of `other`, its names behind `prefix`.
  void put(const std::string& prefix, const Safetensors& other);
  /// What was put under `prefix`, by its own names; tensors stay shared.
  Safetensors part(const std::string& prefix) const;
  std::string path = "safetensors";  ///< for messages
};

/// FNV-1a over what is added, one part after the other, in 16 hexadecimal digits: tells contents apart, proves nothing.
class Checksum {
 public:
  void add(std::string_view bytes);
  template <typename Number>
  void add(std::span<const Number> values) {
    add({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }
  std::string str() const;

 private:
  uint64_t hash_ = 0xcbf29ce484222325;
};

/// Of names, shapes, values and metadata.
std::string checksum(const Safetensors& content);

/// Reads float32 tensors of rank 0..4. Every size and offset is checked against the file before memory is asked
/// for; throws bad_input with the file and what is wrong with it.
Safetensors read_safetensors(const std::string& path);
/// The same tensors give the same bytes.
void write_safetensors(const std::string& path, const Safetensors& content);
/// A file's bytes, without the file; `path` is for messages.
Safetensors from_bytes(std::string bytes, const std::string& path);
std::string to_bytes(const Safetensors& content, const std::string& path);

}  // namespace mixgrad::io
