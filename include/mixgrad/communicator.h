// SPDX-License-Identifier: Apache-2.0
// Processes that a launcher (mpirun) started together, on one machine or several. All of MPI is behind this header.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace mixgrad {

/// The team that this process is in, from construction to destruction; one member, rank 0, where no launcher started
/// it. Make one at most, first of all. Members but rank 0 print nothing on standard output.
class Team {
 public:
  /// Throws bad_input where a launcher started this process and this build has no MPI.
  Team();
  /// Waits for the others. When an exception ends the team, it does not: the launcher then ends the others.
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// Whether this build can be in a team of several.
  static bool has_mpi();

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Cores of this machine for each of the members on it.
  int cores() const { return cores_; }

  struct Message {
    int from;
    std::string text;
  };
  void tell(int member, const std::string& text) const;
  /// The next message that has arrived, from anyone. Does not wait.
  std::optional<Message> poll() const;

  void send(int member, std::span<const float> values) const;
  /// Waits for as many values as there is room for.
  void receive(int member, std::span<float> values) const;
  /// Everyone gets the values of `member`.
  void broadcast(int member, std::span<float> values) const;
  /// Everyone gets the text of `member`.
  std::string broadcast(int member, std::string text) const;
  /// Everyone gets the sum over all members. Where only one has other than 0, that is its value exactly.
  void add_up(std::span<double> values) const;

  struct Range {
    int64_t begin, end;
  };
  /// This member's part of `count` things: contiguous, in the order of the ranks, as equal as can be.
  Range part_of(int64_t count) const { return {count * rank_ / size_, count * (rank_ + 1) / size_}; }

 private:
  int rank_ = 0, size_ = 1, cores_ = 1;
};

}  // namespace mixgrad
