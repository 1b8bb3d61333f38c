// SPDX-License-Identifier: Apache-2.0
#include "processes.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace mixgrad::sweep {
namespace {

volatile std::sig_atomic_t stop_signal = 0;
struct sigaction old_interrupt, old_terminate;

void take(int signal, struct sigaction* old) {
  struct sigaction action {};
  action.sa_handler = [](int s) { stop_signal = s; };
  ::sigaction(signal, &action, old);
}

/// The null-terminated array of pointers for exec.
std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

/// This process's environment, without variables that would make the child join an MPI job.
std::vector<std::string> environment() {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    bool of_mpi = false;
    for (const char* prefix : {"OMPI_", "PMIX_", "PMI_", "ORTE_", "MPI_", "HYD"})
      of_mpi = of_mpi || variable.starts_with(prefix);
    if (!of_mpi) out.emplace_back(variable);
  }
  return out;
}

/// The last error message in a log, in the form that main.cpp prints.
std::string complaint_in(const std::string& log) {
  const std::string content = "\n" + io::read_file(log);
  constexpr std::string_view mark = "\nmixgrad: ";
  const size_t at = content.rfind(mark);
  if (at == std::string::npos) return "";
  const size_t begin = at + mark.size();
  return content.substr(begin, content.find('\n', begin) - begin);
}

std::string complaint_of(int status, const std::string& log) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  if (WIFSIGNALED(status))
    return fmt::format("ended by signal {} ({}), see {}", WTERMSIG(status), ::strsignal(WTERMSIG(status)), log);
  const std::string said = complaint_in(log);
  return said.empty() ? fmt::format("exit code {}, see {}", WEXITSTATUS(status), log) : said;
}

}  // namespace

Processes::Processes() {
  stop_signal = 0;
  take(SIGINT, &old_interrupt);
  take(SIGTERM, &old_terminate);
}

Processes::~Processes() {
  for (const auto& [pid, child] : children_) ::kill(pid, SIGKILL);  // SIGTERM would make a search export half-way
  for (const auto& [pid, child] : children_) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ::sigaction(SIGINT, &old_interrupt, nullptr);
  ::sigaction(SIGTERM, &old_terminate, nullptr);
}

void Processes::start(size_t id, const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<std::string> words = {"mixgrad"}, variables = environment();
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::vector<char*> argv = pointers(words), envp = pointers(variables);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (out < 0) failed_run("can't write {}: {}", log, std::strerror(errno));
  const pid_t parent = ::getpid(), pid = ::fork();
  if (pid == 0) {  // only async-signal-safe calls below
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setpgid(0, 0);  // only the sweep itself handles Ctrl-C
    if (::getppid() != parent) ::_exit(1);
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::close_range(STDERR_FILENO + 1, ~0U, 0);
    ::execve("/proc/self/exe", argv.data(), envp.data());
    ::_exit(127);
  }
  const int error = errno;
  ::close(out);
  if (pid < 0) failed_run("can't start a process: {}", std::strerror(error));
  children_[pid] = {.id = id, .log = log};
}

std::optional<Processes::Ended> Processes::poll() {
  for (const auto& [pid, child] : children_) {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) != pid) continue;
    const Ended ended{.id = child.id, .complaint = complaint_of(status, child.log)};
    children_.erase(pid);
    return ended;
  }
  return std::nullopt;
}

bool Processes::stopped() { return stop_signal != 0; }

void Processes::pause() {
  const timespec moment{.tv_sec = 0, .tv_nsec = 10'000'000};
  ::nanosleep(&moment, nullptr);
}

}  // namespace mixgrad::sweep
