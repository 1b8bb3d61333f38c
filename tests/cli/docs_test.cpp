// SPDX-License-Identifier: Apache-2.0
// docs/cli.md is the program's help.
#include "../shell.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>

using namespace mixgrad;

TEST_CASE("docs: cli.md is up to date") {
  const test::Folder folder;
  const std::string sources = MIXGRAD_SOURCE_DIR;
  folder.run("'" + sources + "/tests/cli/reference.sh' '" MIXGRAD_BINARY "' >cli.md");
  const bool same = io::read_file(folder.path / "cli.md") == io::read_file(sources + "/docs/cli.md");
  CHECK_MESSAGE(same, "docs/cli.md differs from the help of the commands: run ./dev docs");
}
