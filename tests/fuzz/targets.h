// SPDX-License-Identifier: Apache-2.0
// Every reader of files, given arbitrary bytes: it accepts them or throws bad_input.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace mixgrad::fuzz {

/// A temporary folder for a reader's files.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// Writes a file, creating its folder if necessary; returns its path.
  std::string put(const std::string& name, std::string_view bytes) const;
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A reader, by the name of its folder of inputs in corpus/.
struct Target {
  const char* name;
  void (*read)(const Folder& folder, std::string_view bytes);
  bool safetensors = false;  ///< its files have this format
};
std::span<const Target> targets();

/// Reads `bytes` in a folder that lasts as long as the program. Returns the message of a bad_input error, or nothing if
/// the bytes were accepted; passes on any other exception.
std::string complaint_of(const Target& target, std::string_view bytes);

void read_checkpoint(const Folder& folder, std::string_view bytes);
void read_cifar10(const Folder& folder, std::string_view bytes);
void read_cost_table(const Folder& folder, std::string_view bytes);
void read_flags(const Folder& folder, std::string_view bytes);
void read_front(const Folder& folder, std::string_view bytes);
void read_front_table(const Folder& folder, std::string_view bytes);
void read_graph(const Folder& folder, std::string_view bytes);
void read_idx(const Folder& folder, std::string_view bytes);
void read_jpeg(const Folder& folder, std::string_view bytes);
void read_npy(const Folder& folder, std::string_view bytes);
void read_npz(const Folder& folder, std::string_view bytes);
void read_onnx(const Folder& folder, std::string_view bytes);
void read_png(const Folder& folder, std::string_view bytes);
void read_run(const Folder& folder, std::string_view bytes);
void read_safetensors(const Folder& folder, std::string_view bytes);
void read_settings(const Folder& folder, std::string_view bytes);
void read_state(const Folder& folder, std::string_view bytes);
void read_tflite(const Folder& folder, std::string_view bytes);

}  // namespace mixgrad::fuzz
