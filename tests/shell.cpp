// SPDX-License-Identifier: Apache-2.0
#include "shell.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstdlib>

#include <sys/wait.h>
#include <unistd.h>

namespace mixgrad::test {

namespace fs = std::filesystem;

bool has(const std::string& program) { return std::system(("command -v " + program + " >/dev/null").c_str()) == 0; }

Folder::Folder() {
  std::string name = fs::temp_directory_path() / "mixgrad-test-XXXXXX";
  path = ::mkdtemp(name.data());
}
Folder::~Folder() { fs::remove_all(path); }

void Folder::run(const std::string& command) const {
  const int status = std::system(fmt::format("cd '{}' && ({}) >log 2>&1 </dev/null", path.string(), command).c_str());
  CAPTURE(command);
  CAPTURE(said());
  REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

std::string Folder::said() const { return io::read_file(path / "log"); }

}  // namespace mixgrad::test
