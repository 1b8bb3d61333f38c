// SPDX-License-Identifier: Apache-2.0
// For builds without MPI: there is only one process.
#include "cores.h"

#include <mixgrad/communicator.h>
#include <mixgrad/error.h>

#include <cstdlib>

namespace mixgrad {

bool Communicator::has_mpi() { return false; }

Communicator::Communicator() : cores_(cores_for_each_of(1)) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* size = std::getenv(name);
    if (size != nullptr && std::atoi(size) > 1)
      bad_input(
          "launched as one of {} processes, but this build has no MPI: install libopenmpi-dev and set Meson's option "
          "mpi",
          size);
  }
}
Communicator::~Communicator() = default;

void Communicator::send(int, const std::string&) const {}
std::optional<Communicator::Message> Communicator::poll() const { return std::nullopt; }
void Communicator::send(int, std::span<const float>) const {}
void Communicator::receive(int, std::span<float>) const {}
void Communicator::broadcast(int, std::span<float>) const {}
std::string Communicator::broadcast(int, std::string text) const { return text; }
void Communicator::all_reduce(std::span<double>) const {}

}  // namespace mixgrad
