// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <mixgrad/state.h>

/// A state with one entry of each kind.
void mixgrad::fuzz::read_state(const Folder& folder, std::string_view bytes) {
  const Tensor weights[] = {Tensor::zeros({2, 3}), Tensor::zeros({4})};
  double losses[] = {0, 0, 0};
  int64_t step = 0;
  uint64_t seed = 0;
  bool done = false;
  State state;
  state.add("weights", weights);
  state.add("losses", std::span<double>(losses));
  state.add("step", step);
  state.add("seed", seed);
  state.add("done", done);
  state.restore(io::read_safetensors(folder.put("t.safetensors", bytes)));
}
