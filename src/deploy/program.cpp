// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <src/internal/names.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <sstream>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace mixgrad {

namespace fs = std::filesystem;

namespace {

/// What the new process does before exec.
class Preparation {
 public:
  Preparation(const fs::path& folder, const fs::path& log) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    ::posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str());
  }
  ~Preparation() { ::posix_spawn_file_actions_destroy(&actions_); }
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

int wait_for(pid_t process) {
  int status = 0;
  while (::waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) failed_run("can't wait for a process: {}", std::strerror(errno));
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

TemporaryFolder::TemporaryFolder(const fs::path& parent) {
  std::error_code error;
  const fs::path place = parent.empty() ? fs::temp_directory_path(error) : parent;
  if (error) failed_run("can't create a temporary folder: TMPDIR is not a folder");
  std::string name = place / ".mixgrad-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr)
    failed_run("can't create a temporary folder in {}: {}", place.string(), std::strerror(errno));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string Ended::first_line() const { return on_one_line(said.substr(0, said.find('\n'))); }

std::vector<std::string> words_of(const std::string& command) {
  std::istringstream in(command);
  return {std::istream_iterator<std::string>(in), {}};
}

std::optional<Ended> run_program(std::vector<std::string> words, const fs::path& folder) {
  const TemporaryFolder outside;  // keeps the log apart from the program's files
  const fs::path log = outside.path() / "log";
  const Preparation preparation(folder, log);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, arguments[0], preparation.actions(), nullptr, arguments.data(), environ);
  if (error == ENOENT || error == EACCES || error == ENOEXEC) return std::nullopt;
  if (error != 0) failed_run("can't start {}: {}", words[0], std::strerror(error));
  const int exit_code = wait_for(process);
  return Ended{.exit_code = exit_code, .said = io::read_file(log)};
}

}  // namespace mixgrad
