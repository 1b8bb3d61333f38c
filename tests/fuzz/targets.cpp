// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/error.h>

#include <fstream>

#include <unistd.h>

namespace mixgrad::fuzz {

namespace fs = std::filesystem;

Folder::Folder() {
  std::string name = fs::temp_directory_path() / "mixgrad-fuzz-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) failed_run("can't create a folder like {}", name);
  path_ = name;
}
Folder::~Folder() { fs::remove_all(path_); }

std::string Folder::put(const std::string& name, std::string_view bytes) const {
  const fs::path file = path_ / name;
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return file;
}

std::span<const Target> targets() {
  static constexpr Target all[] = {
      {"checkpoint", read_checkpoint, true},
      {"cifar10", read_cifar10},
      {"cost_table", read_cost_table},
      {"flags", read_flags},
      {"front", read_front, true},
      {"front_table", read_front_table},
      {"graph", read_graph, true},
      {"idx", read_idx},
      {"jpeg", read_jpeg},
      {"npy", read_npy},
      {"npz", read_npz},
      {"onnx", read_onnx},
      {"png", read_png},
      {"run", read_run},
      {"safetensors", read_safetensors, true},
      {"settings", read_settings},
      {"state", read_state, true},
      {"tflite", read_tflite},
  };
  return all;
}

std::string complaint_of(const Target& target, std::string_view bytes) {
  static const Folder folder;
  try {
    target.read(folder, bytes);
  } catch (const Error& e) {
    if (e.kind() != Error::Kind::bad_input) throw;
    return e.what();
  }
  return "";
}

}  // namespace mixgrad::fuzz
