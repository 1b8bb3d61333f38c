// SPDX-License-Identifier: Apache-2.0
#include "shell.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstdlib>
#include <sstream>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace mixgrad::test {

namespace fs = std::filesystem;

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

bool has(const std::string& program) {
  return std::system(("command -v " + quoted(program) + " >/dev/null").c_str()) == 0;
}

bool has_terminals() {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0) return false;
  const char* name = ::grantpt(master) == 0 && ::unlockpt(master) == 0 ? ::ptsname(master) : nullptr;
  const int terminal = name != nullptr ? ::open(name, O_RDWR | O_NOCTTY) : -1;
  if (terminal >= 0) ::close(terminal);
  ::close(master);
  return terminal >= 0;
}

Told told(const std::string& standard_error) {
  Told out;
  std::istringstream lines(standard_error);
  for (std::string line; std::getline(lines, line);) {
    std::string& part = line.starts_with("mixgrad: note: ") ? out.notes : out.rest;
    part += line + (lines.eof() ? "" : "\n");
  }
  return out;
}

Folder::Folder() {
  std::string name = fs::temp_directory_path() / "mixgrad-test-XXXXXX";
  path = ::mkdtemp(name.data());
}
Folder::~Folder() { fs::remove_all(path); }

void Folder::run(const std::string& command) const {
  const int status = std::system(fmt::format("cd {} && ({}) >log 2>&1 </dev/null", quoted(path), command).c_str());
  CAPTURE(command);
  CAPTURE(said());
  REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

std::string Folder::said() const { return io::read_file(path / "log"); }

}  // namespace mixgrad::test
