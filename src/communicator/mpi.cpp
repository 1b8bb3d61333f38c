// SPDX-License-Identifier: Apache-2.0
#include "cores.h"

#include <mixgrad/communicator.h>
#include <mixgrad/error.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include <mpi.h>
#include <unistd.h>

namespace mixgrad {
namespace {

constexpr int text_tag = 1, values_tag = 2;

/// MPI is only initialised under a launcher: on its own it would take a second and open a port.
bool launched() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

int count_of(size_t size) { return static_cast<int>(size); }

}  // namespace

bool Communicator::has_mpi() { return true; }

Communicator::Communicator() {
  int members_here = 1;
  if (launched()) {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm here = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
    MPI_Comm_size(here, &members_here);
    MPI_Comm_free(&here);
  }
  cores_ = cores_for_each_of(members_here);
  if (rank_ != 0 && std::freopen("/dev/null", "w", stdout) == nullptr) failed_run("can't open /dev/null");
}

Communicator::~Communicator() {
  if (!launched()) return;
  if (std::uncaught_exceptions() == 0) {
    MPI_Finalize();
  } else if (rank_ != 0) {
    ::sleep(2);  // if all processes fail alike, rank 0 reports the error first and its exit ends the others
  }
}

void Communicator::send(int rank, const std::string& text) const {
  MPI_Send(text.data(), count_of(text.size()), MPI_CHAR, rank, text_tag, MPI_COMM_WORLD);
}

std::optional<Communicator::Message> Communicator::poll() const {
  if (size_ == 1) return std::nullopt;
  int arrived = 0, length = 0;
  MPI_Status status;
  MPI_Iprobe(MPI_ANY_SOURCE, text_tag, MPI_COMM_WORLD, &arrived, &status);
  if (arrived == 0) return std::nullopt;
  MPI_Get_count(&status, MPI_CHAR, &length);
  Message message{.from = status.MPI_SOURCE, .text = std::string(static_cast<size_t>(length), ' ')};
  MPI_Recv(message.text.data(), length, MPI_CHAR, message.from, text_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  return message;
}

void Communicator::send(int rank, std::span<const float> values) const {
  MPI_Send(values.data(), count_of(values.size()), MPI_FLOAT, rank, values_tag, MPI_COMM_WORLD);
}

void Communicator::receive(int rank, std::span<float> values) const {
  MPI_Recv(values.data(), count_of(values.size()), MPI_FLOAT, rank, values_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

void Communicator::broadcast(int rank, std::span<float> values) const {
  if (size_ > 1) MPI_Bcast(values.data(), count_of(values.size()), MPI_FLOAT, rank, MPI_COMM_WORLD);
}

std::string Communicator::broadcast(int rank, std::string text) const {
  if (size_ == 1) return text;
  uint64_t length = text.size();
  MPI_Bcast(&length, 1, MPI_UINT64_T, rank, MPI_COMM_WORLD);
  text.resize(length);
  MPI_Bcast(text.data(), count_of(length), MPI_CHAR, rank, MPI_COMM_WORLD);
  return text;
}

void Communicator::all_reduce(std::span<double> values) const {
  if (size_ > 1)
    MPI_Allreduce(MPI_IN_PLACE, values.data(), count_of(values.size()), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

}  // namespace mixgrad
