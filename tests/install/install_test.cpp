// SPDX-License-Identifier: Apache-2.0
// What `meson install` leaves, and a user's project (meson.build and user.cpp beside this file) that is built with it.
#include "../shell.h"
#include "../skip.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>

using namespace mixgrad;
namespace fs = std::filesystem;

namespace {

const fs::path sources = MIXGRAD_SOURCE_DIR, build = fs::path(MIXGRAD_BINARY).parent_path();

bool has_tools() {
  for (const char* program : {"meson", "ninja", "pkg-config", "c++"}) {
    if (test::has(program)) continue;
    test::skip(std::string(program) + " is missing");
    return false;
  }
  return true;
}

/// A user's sources in `place`.
void copy_project(const test::Folder& place) {
  for (const char* name : {"meson.build", "user.cpp"})
    fs::copy_file(sources / "tests/install" / name, place.path / name);
}

/// The same, with this repository as a subproject, and a build directory "out".
void set_up_with_subproject(const test::Folder& place) {
  copy_project(place);
  fs::create_directory(place.path / "subprojects");
  fs::create_symlink(sources, place.path / "subprojects/mixgrad");
  place.run("meson setup out --force-fallback-for=mixgrad");
}

/// The file below `root` whose path ends with `end`.
fs::path installed(const fs::path& root, const std::string& end) {
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(root)) {
    if (file.is_regular_file() && file.path().string().ends_with(end)) return file.path();
  }
  FAIL("not installed: ", end);
  return {};
}

}  // namespace

TEST_CASE("install: a user's project finds it by pkg-config; the manual and completions are in their places") {
  if (!has_tools()) return;
  const test::Folder place;
  place.run("meson install -C '" + build.string() + "' --no-rebuild --quiet --destdir '" +
            (place.path / "root").string() + "'");
  const fs::path root = place.path / "root", pc = installed(root, "/pkgconfig/mixgrad.pc").parent_path();
  for (const char* file : {"/bin/mixgrad", "/man/man1/mixgrad.1", "/bash-completion/completions/mixgrad",
                           "/zsh/site-functions/_mixgrad"}) {
    CHECK(fs::file_size(installed(root, file)) > 100);
  }

  copy_project(place);
  place.run("sed -i \"s|^prefix=|&$PWD/root|\" '" + pc.string() + "/mixgrad.pc'");  // --destdir has moved all
  const std::string with_path = "export PKG_CONFIG_PATH='" + pc.string() + "'; ";
  place.run(with_path + "meson setup out --wrap-mode=nofallback && ninja -C out && out/user");
  CHECK(place.said().find("a step took ") != std::string::npos);
  place.run(with_path + "c++ out/user.p/user.cpp.o $(pkg-config --libs mixgrad) -o plain && ./plain");
}

TEST_CASE("install: as a subproject it brings its library to a user's project, without tests and examples") {
  if (!has_tools()) return;
  const test::Folder place;
  set_up_with_subproject(place);
  place.run("ninja -C out user.p/user.cpp.o");
  place.run("meson introspect out --targets");
  CHECK(place.said().find("mixgrad-kernels") != std::string::npos);
  for (const char* name : {"mixgrad-tests", "01_tape"}) CHECK(place.said().find(name) == std::string::npos);
}

// The library is compiled anew: minutes. Run it by: ./dev test --no-skip --test-case='install: *'
TEST_CASE("install: as a subproject it builds whole" * doctest::skip()) {
  if (!has_tools()) return;
  const test::Folder place;
  set_up_with_subproject(place);
  place.run("ninja -C out user && out/user");
}
