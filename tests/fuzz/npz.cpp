// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/data.h>

void mixgrad::fuzz::read_npz(const Folder& folder, std::string_view bytes) {
  data::numpy(folder.put("t.npz", bytes), 0);
}
