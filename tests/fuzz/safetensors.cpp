// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/io.h>

void mixgrad::fuzz::read_safetensors(const Folder& folder, std::string_view bytes) {
  io::read_safetensors(folder.put("t.safetensors", bytes));
}
