// SPDX-License-Identifier: Apache-2.0
// Writes C packages, and builds and runs them on this machine with their own test images.
#include "program.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace mixgrad {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

/// $CC, which may include arguments, or cc.
Words compiler() {
  const char* given = std::getenv("CC");
  Words words = words_of(given != nullptr ? given : "");
  if (words.empty()) return {"cc"};
  if (words[0].find('/') != std::string::npos) words[0] = fs::absolute(words[0]);  // it will run in another folder
  return words;
}

/// The command that builds `program` from `sources`.
Words build(const Words& sources, const std::string& program) {
  Words words = compiler();
  words.insert(words.end(), {"-std=c99", "-O2", "-o", program});
  words.insert(words.end(), sources.begin(), sources.end());
  return words;
}

/// Whether programs built by the compiler run here; a cross compiler, or one without the C library, does not count.
bool compiler_works() {
  const TemporaryFolder folder;
  io::write_file(folder.path() / "probe.c",
                 "#include <stdint.h>\n#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }\n");
  const auto built = run_program(build({"probe.c"}, "probe"), folder.path());
  if (!built || built->exit_code != 0) return false;
  const auto ran = run_program({folder.path() / "probe"}, folder.path());
  return ran && ran->exit_code == 0;
}

/// The header, the network and its test.
std::array<std::string, 3> file_names(const CPackage& package) {
  return {package.prefix + ".h", package.prefix + ".c", package.prefix + "_test.c"};
}

void write_files(const CPackage& package, const fs::path& folder) {
  const auto [header, source, test] = file_names(package);
  io::write_file(folder / header, package.header);
  io::write_file(folder / source, package.source);
  io::write_file(folder / test, package.test);
}

/// Moves the files from `from` to `to`.
void move_files(const CPackage& package, const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const std::string& name : file_names(package)) {
    if (fs::is_directory(to / name, error))
      bad_input("out: {} is a folder: expected a file or nothing", (to / name).string());
  }
  for (const std::string& name : file_names(package)) {
    fs::rename(from / name, to / name, error);
    if (error) failed_run("can't write {}: {}", (to / name).string(), error.message());
  }
}

}  // namespace

void write_c_package(const CPackage& package, const std::string& folder) {
  std::error_code error, unreachable;
  const bool made = fs::create_directories(folder, error);
  if (!fs::is_directory(folder, unreachable)) {
    bad_input("out: can't create folder {}: {}", folder, error ? error.message() : "a file of this name exists");
  }
  try {
    const TemporaryFolder aside(folder);
    write_files(package, aside.path());
    move_files(package, aside.path(), folder);
  } catch (...) {
    if (made) fs::remove_all(folder, error);
    throw;
  }
}

std::optional<CPackageRun> run_c_package(const CPackage& package) {
  if (!compiler_works()) return std::nullopt;
  const TemporaryFolder folder;
  write_files(package, folder.path());
  CPackageRun run{.compiler = compiler()[0]};
  const auto built = run_program(build({file_names(package)[1], file_names(package)[2]}, "test"), folder.path());
  if (!built || built->exit_code != 0) {
    failed_run("the C package does not build: {}: {}", run.compiler, built ? built->first_line() : "");
  }
  const auto ran = run_program({folder.path() / "test"}, folder.path());
  long long equal = 0, images = 0;
  if (!ran || std::sscanf(ran->said.c_str(), "%lld of %lld", &equal, &images) != 2) {
    failed_run("the test of the C package, built by {}, failed with exit code {}", run.compiler,
               ran ? ran->exit_code : -1);
  }
  run.equal = equal;
  run.images = images;
  return run;
}

}  // namespace mixgrad
