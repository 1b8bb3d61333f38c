// SPDX-License-Identifier: Apache-2.0
// The innermost loops of byte convolutions, which are compiled once per instruction set.
#pragma once

#include <cstdint>
#include <span>

#include "requantize_row.h"

namespace mixgrad::kernels::int8 {

/// One group of a convolution. An output position reads `runs` stretches of the input, each of whole words of 32 bits;
/// what is left of a stretch's last word meets weights of 0.
struct Job {
  const void* x;                              ///< codes of the instruction set's type, padded
  int64_t images, rows, columns;              ///< of the output
  int64_t image_step, row_step, column_step;  ///< from output position to output position, in codes of x
  const int64_t* offsets;                     ///< of the runs
  int64_t runs, words;                        ///< words of a run
  int64_t channels, all_channels;             ///< of this group's output and of all
  const uint32_t* weights;                    ///< [block of vectors, run, word, vector, lane]
  const int32_t* start;                       ///< of every sum, for whole vectors
  CodeScale scale;
  // Where results go; two of them are null.
  uint8_t* codes;
  int32_t* sums;
  float* floats;  ///< sums
};

/// What a kernel multiplies and how its weights are laid out.
struct Isa {
  const char* name;
  int code_bytes;    ///< of the copied input: 1: unsigned codes; 2: signed numbers in 16 bits
  int lanes;         ///< output channels in a vector
  int most_vectors;  ///< in a block of weights
  void (*dense)(const Job&);
  void (*depthwise)(const Job&);  ///< a word holds one code: that of the lane's own channel

  int codes_per_word() const { return 4 / code_bytes; }
};

/// Those that this build has and this CPU supports, the newest last.
std::span<const Isa> isas();

}  // namespace mixgrad::kernels::int8
