// SPDX-License-Identifier: Apache-2.0
// Random numbers. One generator per purpose, each from the run's seed: Rng(seed, "shuffle", epoch).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace mixgrad {

/// xoshiro256++ (Blackman and Vigna, 2019). The same (seed, purpose, index) gives the same numbers everywhere.
class Rng {
 public:
  Rng(uint64_t seed, std::string_view purpose, uint64_t index = 0);

  uint64_t next();
  /// Uniform in [0, 1).
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, n), n > 0, without modulo bias.
  uint64_t below(uint64_t n);
  /// Standard normal (Box-Muller).
  double normal();
  /// The generator's state, for checkpoints.
  std::span<uint64_t> state() { return state_; }

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace mixgrad
