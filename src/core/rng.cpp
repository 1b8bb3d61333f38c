// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/rng.h>

#include <bit>
#include <cmath>
#include <numbers>

namespace mixgrad {
namespace {

uint64_t splitmix64(uint64_t& x) {
  uint64_t z = (x += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed, std::string_view purpose, uint64_t index) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a of the purpose separates the streams
  for (char c : purpose) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  uint64_t mix = seed;
  mix = splitmix64(mix) ^ hash;
  mix = splitmix64(mix) ^ index;
  for (uint64_t& word : state_) word = splitmix64(mix);
}

uint64_t Rng::next() {
  auto& s = state_;
  const uint64_t result = std::rotl(s[0] + s[3], 23) + s[0];
  const uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = std::rotl(s[3], 45);
  return result;
}

double Rng::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

uint64_t Rng::below(uint64_t n) {
  const uint64_t limit = -n % n;  // 2^64 mod n: smaller draws would favour small results
  uint64_t r;
  do r = next();
  while (r < limit);
  return r % n;
}

double Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace mixgrad
