// SPDX-License-Identifier: Apache-2.0
#include "interrupt.h"

#include <mixgrad/error.h>

#include <array>
#include <csignal>
#include <cstdio>

namespace mixgrad::cli {
namespace {

volatile std::sig_atomic_t caught = 0;

/// Sets the handler of both signals unless they are ignored (by nohup, or by a shell for background jobs).
void handle(void (*handler)(int)) {
  for (const int signal : std::array{SIGINT, SIGTERM}) {
    if (std::signal(signal, handler) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

void note(int signal) {
  caught = signal;
  handle(SIG_DFL);  // the next one ends the program
}

}  // namespace

Interrupt::Interrupt() { handle(note); }

Interrupt::~Interrupt() { handle(SIG_DFL); }

int Interrupt::signal() { return caught; }

void interruptible(const std::function<void()>& work) {
  {
    const Interrupt interrupt;
    try {
      work();
    } catch (const Error&) {
      if (Interrupt::signal() == 0) throw;
    }
  }
  if (Interrupt::signal() == 0) return;
  std::fputs("mixgrad: interrupted\n", stderr);
  std::raise(Interrupt::signal());
}

}  // namespace mixgrad::cli
