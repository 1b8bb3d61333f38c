// SPDX-License-Identifier: Apache-2.0
// The completion scripts, in their shells.
#include "../shell.h"
#include "../skip.h"
#include "workplace.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <filesystem>

using namespace mixgrad::test;

namespace {

/// The completions that bash offers for the last of these words.
std::string offered(const Workplace& place, const std::string& words) {
  const std::string script = fmt::format(
      "set -u; source mixgrad.bash; COMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _mixgrad; "
      "echo \"${{COMPREPLY[*]}}\"",
      words);
  return shell_run(place, "bash -c " + quoted(script)).out;
}

/// The line that zsh makes of `line` when Tab is pressed.
std::string completed(const Workplace& place, const std::string& line) {
  return shell_run(place, fmt::format("PATH=\"$PWD:$PATH\" timeout 20 zsh -f {} \"$PWD\" {}",
                                      quoted(MIXGRAD_SOURCE_DIR "/tests/cli/complete.zsh"), quoted(line)))
      .out;
}

/// Folders with results, and one whose search chose the bits of `conv1` and `conv2`.
void add_results(const Workplace& place) {
  for (const char* file : {"found/summary.json", "runs/b c/front.csv", "runs/a/float.safetensors", "found.old/other"}) {
    std::filesystem::create_directories((place.root / file).parent_path());
    mixgrad::io::write_file(place.root / file, "");
  }
  mixgrad::io::write_file(place.root / "found/history.jsonl",
                          R"j({"epoch": 0, "tau": 1, "alphas": [{"name": "conv1.alpha_w", )j"
                          R"j("nodes": ["conv1", "conv2", "$(touch owned)"], "bits": [2, 8], )j"
                          R"j("alpha": [0, 1], "theta": [0.3, 0.7], "loss": [0, 0]}]})j"
                          "\n");
}

}  // namespace

TEST_CASE("completion: bash offers folders with results, and layers") {
  if (!has("bash")) return skip("bash is missing");
  if (emulated()) return;
  const Workplace place;
  add_results(place);
  REQUIRE(mixgrad_run(place, "completion bash >mixgrad.bash").exit_code == 0);
  CHECK(offered(place, "mixgrad eval fou") == "found\n");
  CHECK(offered(place, "mixgrad pick runs/") == "runs/a runs/b c\n");
  CHECK(offered(place, "mixgrad report run") == "runs/a runs/b c\n");
  CHECK(offered(place, "mixgrad report found --out") == "\n");
  CHECK(offered(place, "mixgrad eval cif") == "\n");
  const std::string program = quoted(binary());
  CHECK(offered(place, program + " inspect why found con") == "conv1 conv2\n");
  CHECK(offered(place, program + " inspect why found '$'") == "$(touch owned)\n");
  CHECK(offered(place, program + " inspect why fo") == "found\n");
  CHECK(offered(place, program + " inspect why found ''").find("found") == std::string::npos);
  CHECK(offered(place, program + " inspect why found --js") == "--json\n");
  std::filesystem::create_directory_symlink(place.root / "found", place.root / "a b");
  CHECK(offered(place, program + R"( inspect why 'a\ b' con)") == "conv1 conv2\n");
  CHECK(offered(place, program + " inspect why cifar con") == "\n");
  CHECK_FALSE(std::filesystem::exists(place.root / "owned"));
}

TEST_CASE("completion: bash offers commands, flags and words for values") {
  if (!has("bash")) return skip("bash is missing");
  const Workplace place;
  REQUIRE(mixgrad_run(place, "completion bash >mixgrad.bash").exit_code == 0);
  CHECK(offered(place, "mixgrad in") == "inspect\n");
  CHECK(offered(place, "mixgrad inspect wh") == "why\n");
  CHECK(offered(place, "mixgrad inspect res") == "resnet8 resnet20\n");
  CHECK(offered(place, "mixgrad search --tau-s") == "--tau-start --tau-schedule\n");
  CHECK(offered(place, "mixgrad search --scheme \"\"") == "per-layer per-channel\n");
  CHECK(offered(place, "mixgrad search --hard --scheme = per-l") == "per-layer\n");
  CHECK(offered(place, "mixgrad bench step --model ds") == "ds_cnn\n");
  CHECK(offered(place, "mixgrad search --out \"\"") == "\n");  // files, then
  CHECK(shell_run(place, "bash -c 'source mixgrad.bash; complete -p mixgrad'").out ==
        "complete -o default -F _mixgrad mixgrad\n");
}

TEST_CASE("completion: words that are special to a shell are completed like any other") {
  if (!has("bash")) return skip("bash is missing");
  const Workplace place;
  REQUIRE(mixgrad_run(place, "completion bash >mixgrad.bash").exit_code == 0);
  for (const std::string odd :
       {"*", "$(touch owned)", "`touch owned`", "it's", "a b", "!", "(", "-", "--", "\\", "~", "\"", "", "\xff"}) {
    CAPTURE(odd);
    const std::string word = quoted(odd);
    CHECK(offered(place, "mixgrad search --init " + word + " --sche") == "--scheme\n");
    CHECK(offered(place, "mixgrad " + word + " inspe") == "inspect\n");
  }
  for (const std::string odd : {"*", "$(touch owned)", "`touch owned`", "it's", "a b", "!", "(", "~", "\xff"}) {
    CAPTURE(odd);
    CHECK(offered(place, "mixgrad search --scheme " + quoted(odd)) == "\n");
  }
  CHECK_FALSE(std::filesystem::exists(place.root / "owned"));
}

TEST_CASE("completion: zsh completes commands, flags and words for values") {
  if (!has("zsh")) return skip("zsh is missing: apt-get install zsh");
  if (!has_terminals()) return skip("no terminals here: mount devpts on /dev/pts");
  const Workplace place;
  REQUIRE(mixgrad_run(place, "completion zsh >_mixgrad").exit_code == 0);
  CHECK(completed(place, "mixgrad insp") == "mixgrad inspect \n");
  CHECK(completed(place, "mixgrad inspect wh") == "mixgrad inspect why \n");
  CHECK(completed(place, "mixgrad search --finetune-e") == "mixgrad search --finetune-epochs \n");
  CHECK(completed(place, "mixgrad search --scheme per-c") == "mixgrad search --scheme per-channel \n");
  CHECK(completed(place, "mixgrad bench step --model ds") == "mixgrad bench step --model ds_cnn \n");
  CHECK(completed(place, "mixgrad eval cif") == "mixgrad eval cifar/\n");
  add_results(place);
  CHECK(completed(place, "mixgrad eval fou") == "mixgrad eval found/\n");
  CHECK(completed(place, "mixgrad pick runs/b") == "mixgrad pick runs/b\\ c/\n");
  if (emulated()) return;
  std::filesystem::create_symlink(binary(), place.root / "mixgrad");
  CHECK(completed(place, "mixgrad inspect why found co") == "mixgrad inspect why found conv\n");
}

TEST_CASE("completion: other shells are refused") {
  const Workplace place;
  check_complaint(mixgrad_run(place, "completion fish"), 2, "completion: unknown 'fish': expected bash, zsh");
  check_complaint(mixgrad_run(place, "completion bahs"), 2, "did you mean bash?");
}
