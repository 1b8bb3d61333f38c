// SPDX-License-Identifier: Apache-2.0
// Files: atomic writes, appends, and tensors in the safetensors format.
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

/// Throws bad_input naming the file if it can't be read.
std::string read_file(const std::string& path);
/// A memory-mapped file. Throws like read_file.
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

/// Throws bad_input if no file can be created in `folder`. Call it before long work whose result goes there.
void check_folder(const std::string& folder);
/// Throws bad_input if write_file could not write `path`: it is a folder, or its folder is missing or not writable.
void check_file(const std::string& path);

/// Writes atomically (temporary file, sync, rename): `path` holds either its old content or all of the new. Throws
/// failed_run (disk full, folder gone) and leaves nothing behind.
void write_file(const std::string& path, std::string_view content);
/// Truncates `path` to `offset` bytes, appends `content` and syncs. At offset 0 the file need not exist. Throws
/// failed_run (disk full, file gone or too short) and leaves no part of `content`.
void write_at(const std::string& path, int64_t offset, std::string_view content);

/// A safetensors file: named float32 tensors and string metadata (huggingface.co/docs/safetensors).
struct Safetensors {
  std::vector<std::pair<std::string, Tensor>> tensors;  ///< in the order of their offsets
  std::map<std::string, std::string> metadata;

  /// Throws bad_input naming `path` and the tensor if it is missing.
  const Tensor& at(const std::string& name) const;
  /// Throws bad_input naming `path`, the tensor and its first value that is NaN or infinite.
  void check_finite(const std::string& name) const;
  bool contains(const std::string& name) const;
  /// Adds everything in `other`, with `prefix` before each name.
  void put(const std::string& prefix, const Safetensors& other);
  /// The entries under `prefix`, with the prefix removed; tensors are shared.
  Safetensors part(const std::string& prefix) const;
  std::string path = "safetensors";  ///< for messages
};

/// FNV-1a over all added bytes, as 16 hexadecimal digits. Tells contents apart; not cryptographic.
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

/// Checksum of names, shapes, values and metadata.
std::string checksum(const Safetensors& content);

/// Reads float32 tensors of rank 0 to 4. Every size and offset is checked against the file before memory is allocated;
/// throws bad_input with the file and what is wrong with it.
Safetensors read_safetensors(const std::string& path);
/// Deterministic: equal content gives equal bytes.
void write_safetensors(const std::string& path, const Safetensors& content);
/// The same, from and to memory; `path` is only used in messages.
Safetensors from_bytes(std::string bytes, const std::string& path);
std::string to_bytes(const Safetensors& content, const std::string& path);

}  // namespace mixgrad::io
