// SPDX-License-Identifier: Apache-2.0
// The processes started together by a launcher (mpirun), on one machine or several. All use of MPI is behind
// this interface.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace mixgrad {

/// Connects the processes of one MPI job; without a launcher there is one process, of rank 0. Create at most one,
/// before anything else. Only rank 0 writes to standard output.
class Communicator {
 public:
  /// Throws bad_input if a launcher started this process but this build has no MPI.
  Communicator();
  /// Waits for the other processes; during stack unwinding it aborts the whole job instead.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// Whether this build supports MPI.
  static bool has_mpi();

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Cores available to each process on this machine.
  int cores() const { return cores_; }

  struct Message {
    int from;
    std::string text;
  };
  void send(int rank, const std::string& text) const;
  /// The next message that has arrived from any process, if there is one. Does not wait.
  std::optional<Message> poll() const;

  void send(int rank, std::span<const float> values) const;
  /// Waits for values.size() values.
  void receive(int rank, std::span<float> values) const;
  /// Sends the values of `rank` to every process.
  void broadcast(int rank, std::span<float> values) const;
  /// Sends the text of `rank` to every process.
  std::string broadcast(int rank, std::string text) const;
  /// Sums over all processes. Exact where all but one contribute 0.
  void all_reduce(std::span<double> values) const;

  struct Range {
    int64_t begin, end;
  };
  /// This process's share of `count` items: contiguous, ordered by rank, of nearly equal size.
  Range part_of(int64_t count) const { return {count * rank_ / size_, count * (rank_ + 1) / size_}; }

 private:
  int rank_ = 0, size_ = 1, cores_ = 1;
};

}  // namespace mixgrad
