// SPDX-License-Identifier: Apache-2.0
// --version: the version, and what determines the speed of this build on this machine.
#include "commands.h"

#include <kernels/cpu.h>

#include <fmt/ranges.h>

namespace mixgrad::cli {
namespace {

std::string fast_path() {
  if (kernels::onednn_version().empty()) return "none: built without oneDNN, convolutions run in mixgrad's own kernels";
  return fmt::format("float32 by oneDNN, bfloat16 by {}, int8 by {}",
                     !kernels::bfloat16_is_fast()                 ? "way of float32"
                     : kernels::onednn_isa() == "avx512_core_amx" ? "AMX"
                                                                  : "AVX512_BF16",
                     kernels::int8_is_fast() ? "VNNI" : "the reference kernels");
}

std::string version() {
  const std::vector<std::string> features = kernels::cpu_features();
  const std::string onednn = kernels::onednn_version();
  return fmt::format("mixgrad {}\nCPU: {}\noneDNN: {}\nfast path: {}\nMPI: {}", MIXGRAD_VERSION,
                     features.empty() ? "no AVX2" : fmt::format("{}", fmt::join(features, " ")),
                     onednn.empty() ? "no" : fmt::format("{}, uses {}", onednn, kernels::onednn_isa()), fast_path(),
                     Communicator::has_mpi() ? "yes" : "no");
}

}  // namespace

void add_version(CLI::App& app) {
  app.set_version_flag("--version", version, "print the version and the fast paths that this build uses on this CPU");
}

}  // namespace mixgrad::cli
