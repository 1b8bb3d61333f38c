// SPDX-License-Identifier: Apache-2.0
// Builds without MPI: a team is one process.
#include "cores.h"

#include <mixgrad/error.h>
#include <mixgrad/team.h>

#include <cstdlib>

namespace mixgrad {

bool Team::has_mpi() { return false; }

Team::Team() : cores_(cores_for_each_of(1)) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* size = std::getenv(name);
    if (size != nullptr && std::atoi(size) > 1)
      bad_input(
          "started as one of {} processes, but built without MPI: install libopenmpi-dev and set Meson's option mpi",
          size);
  }
}
Team::~Team() = default;

void Team::tell(int, const std::string&) const {}
std::optional<Team::Message> Team::poll() const { return std::nullopt; }
void Team::send(int, std::span<const float>) const {}
void Team::receive(int, std::span<float>) const {}
void Team::broadcast(int, std::span<float>) const {}
std::string Team::broadcast(int, std::string text) const { return text; }
void Team::add_up(std::span<double>) const {}

}  // namespace mixgrad
