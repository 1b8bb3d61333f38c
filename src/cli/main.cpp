// SPDX-License-Identifier: Apache-2.0
// The program's entry. All errors end up here and print one line on standard error: exit code 2 for bad input, 1 for a
// failed run.
#include "command_line.h"
#include "commands.h"
#include "interrupt.h"
#include "options.h"

#include <mixgrad/error.h>

#include <cctype>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

namespace {

int run(int argc, char** argv) {
  const mixgrad::Communicator communicator;
  CLI::App app("Finds the bit-widths of a network's weights and activations by differentiable search.", "mixgrad");
  mixgrad::cli::add_version(app);
  app.require_subcommand(0, 1);
  mixgrad::cli::add_search(app, communicator);
  mixgrad::cli::add_front(app, communicator);
  mixgrad::cli::add_pick(app);
  mixgrad::cli::add_sweep(app, communicator);
  mixgrad::cli::add_train(app);
  mixgrad::cli::add_eval(app);
  mixgrad::cli::add_predict(app);
  mixgrad::cli::add_verify(app);
  mixgrad::cli::add_export(app);
  mixgrad::cli::add_profile(app);
  mixgrad::cli::add_cost_table(app);
  mixgrad::cli::add_inspect(app);
  mixgrad::cli::add_report(app);
  mixgrad::cli::add_bench(app);
  mixgrad::cli::add_doctor(app);
  mixgrad::cli::add_completion(app);
  mixgrad::cli::show_examples(
      app, {"mixgrad search --target size=30% --out run", "mixgrad eval run", "mixgrad export run --to c --out net"});
  if (!mixgrad::cli::parse(app, argc, argv)) return 0;
  return mixgrad::cli::Interrupt::exit_code();
}

int complain(std::string message, int exit_code) {
  for (size_t i = 0; i < message.size(); ++i) {
    const bool of_list = message.compare(i, 3, "\n  ") == 0;  // lists have one line per item
    if (!of_list && std::iscntrl(static_cast<unsigned char>(message[i])) != 0)
      message[i] = ' ';  // the name of a file may contain line feeds
  }
  std::fflush(stdout);
  std::fprintf(stderr, "mixgrad: %s\n", message.c_str());
  return exit_code;
}

int complain_of_output() {
  return complain("can't write to standard output: its reader has exited or the disk is full", 1);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a run must not end when the reader of its output exits
  try {
    const int exit_code = run(argc, argv);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return complain_of_output();
    return exit_code;
  } catch (const mixgrad::Error& e) {
    return complain(e.what(), e.kind() == mixgrad::Error::Kind::bad_input ? 2 : 1);
  } catch (const std::bad_alloc&) {
    return complain("out of memory", 1);
  } catch (const std::exception& e) {
    if (std::ferror(stdout) != 0) return complain_of_output();  // thrown by fmt when printing fails
    return complain(std::string("internal error, please report it: ") + e.what(), 1);
  }
}
