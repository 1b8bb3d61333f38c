// SPDX-License-Identifier: Apache-2.0
#include <src/internal/names.h>

#include "../shell.h"
#include "../skip.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace mixgrad;

namespace {

const std::vector<std::string> odd_names = {"",
                                            "plain/net-1.onnx",
                                            "my net.onnx",
                                            "it's",
                                            "'",
                                            "\"$HOME\" `id` \\",
                                            "a\nb\tc",
                                            "\xff\xfe'\\",
                                            "gr\xc3\xbc\xc3\x9f",
                                            "*?[a]~#!",
                                            "-x;y&z|(w)<v>",
                                            "\x7f"};

}  // namespace

TEST_CASE("shell word: plain text is unchanged, and the rest is quoted or escaped to be printable") {
  CHECK(shell_word("runs/net-1.onnx") == "runs/net-1.onnx");
  CHECK(shell_word("it's") == R"('it'\''s')");
  CHECK(shell_word("") == "''");
  CHECK(shell_word("a\nb\xff") == R"($'a\012b\377')");
  CHECK(is_utf8("gr\xc3\xbc\xc3\x9f"));
  CHECK_FALSE(is_utf8("\xff"));
}

TEST_CASE("shell word: a shell reads every name back as a single word") {
  if (!test::has("bash")) return test::skip("bash is missing");
  const test::Folder folder;
  for (const std::string& name : odd_names) {
    const std::string script = "printf '%s|' " + shell_word(name);
    CAPTURE(script);
    folder.run("bash -c " + shell_word(script));
    CHECK(folder.said() == name + "|");
  }
}
