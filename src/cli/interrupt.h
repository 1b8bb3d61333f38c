// SPDX-License-Identifier: Apache-2.0
// Ctrl-C (SIGINT) and SIGTERM: the first one asks a run to end with what it has reached, the second ends the program.
#pragma once

namespace mixgrad::cli {

/// Catches the signals while it lives; one at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// The first signal that was caught, or 0.
  static int signal();
  /// Of the program: 0, or as shells tell a signal, 128 and its number (130 after Ctrl-C, 143 after SIGTERM).
  static int exit_code() { return signal() == 0 ? 0 : 128 + signal(); }
};

}  // namespace mixgrad::cli
