// SPDX-License-Identifier: Apache-2.0
// --version: the version, and what determines the speed of this build on this machine.
#include "commands.h"

#include <kernels/conv2d_int8_isas.h>
#include <kernels/cpu.h>

#include <fmt/ranges.h>

namespace mixgrad::cli {
namespace {

std::string bfloat16_path() {
  if (!kernels::bfloat16_is_fast()) return "way of float32";
  return kernels::onednn_isa() == "avx512_core_amx" ? "AMX" : "AVX512_BF16";
}

std::string fast_path() {
  const auto isas = kernels::int8::isas();
  return fmt::format("float32 by {}, bfloat16 by {}, int8 by {}",
                     kernels::onednn_version().empty() ? "mixgrad's own kernels" : "oneDNN and Winograd's algorithm",
                     bfloat16_path(), isas.empty() ? "the reference kernels" : isas.back().name);
}

}  // namespace

std::string version_text() {
  const std::vector<std::string> features = kernels::cpu_features();
  const std::string onednn = kernels::onednn_version();
  return fmt::format("mixgrad {}\nCPU: {}\noneDNN: {}\nfast path: {}\nMPI: {}", MIXGRAD_VERSION,
                     features.empty() ? "no AVX2" : fmt::format("{}", fmt::join(features, " ")),
                     onednn.empty() ? "no" : fmt::format("{}, uses {}", onednn, kernels::onednn_isa()), fast_path(),
                     Communicator::has_mpi() ? "yes" : "no");
}

void add_version(CLI::App& app) {
  app.set_version_flag("--version", version_text,
                       "print the version and the fast paths that this build uses on this CPU");
}

}  // namespace mixgrad::cli
