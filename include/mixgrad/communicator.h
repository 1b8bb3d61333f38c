// SPDX-License-Identifier: Apache-2.0
// Processes that a launcher (mpirun) started together, on one machine or several. All of MPI is behind this header.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace mixgrad {

/// The processes that this one was started with, from construction to destruction; one, rank 0, where no launcher
/// started it. Make one at most, first of all. Processes other than rank 0 print nothing on standard output.
class Communicator {
 public:
  /// Throws bad_input where a launcher started this process and this build has no MPI.
  Communicator();
  /// Waits for the others, unless an exception is on its way: then the launcher ends the others.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// Whether this build can be one of several processes.
  static bool has_mpi();

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Cores of this machine for each of the processes on it.
  int cores() const { return cores_; }

  struct Message {
    int from;
    std::string text;
  };
  void send(int rank, const std::string& text) const;
  /// The next message that has arrived, from anyone. Does not wait.
  std::optional<Message> poll() const;

  void send(int rank, std::span<const float> values) const;
  /// Waits for as many values as there is room for.
  void receive(int rank, std::span<float> values) const;
  /// Every process gets the values of `rank`.
  void broadcast(int rank, std::span<float> values) const;
  /// Every process gets the text of `rank`.
  std::string broadcast(int rank, std::string text) const;
  /// Every process gets the sum over all. Where only one has other than 0, that is its value exactly.
  void all_reduce(std::span<double> values) const;

  struct Range {
    int64_t begin, end;
  };
  /// The part of this process of `count` things: contiguous, in the order of the ranks, as equal as can be.
  Range part_of(int64_t count) const { return {count * rank_ / size_, count * (rank_ + 1) / size_}; }

 private:
  int rank_ = 0, size_ = 1, cores_ = 1;
};

}  // namespace mixgrad
