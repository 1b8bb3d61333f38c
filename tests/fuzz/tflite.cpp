// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/models.h>
#include <mixgrad/search.h>

/// An imported network, as a search starts with it.
void mixgrad::fuzz::read_tflite(const Folder& folder, std::string_view bytes) {
  const models::Model model = models::make(folder.put("t.tflite", bytes), 10, {.most_memory = 1 << 26});
  simplified(*model.net, model.input_shape);
}
