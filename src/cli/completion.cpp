// SPDX-License-Identifier: Apache-2.0
// mixgrad completion: scripts for shells, generated from the tree of commands and options.
#include "commands.h"
#include "options.h"

#include <src/internal/names.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <memory>

namespace mixgrad::cli {
namespace {

using Words = std::vector<std::string>;

constexpr const char* shell_form = "bash|zsh";
/// Any of them shows that a folder holds results.
constexpr const char* result_files[] = {"summary.json", "front.csv", "sweep.csv", "float.safetensors"};

/// Completions of an option's value, by its form: "f32|bf16" are words, "glyphs|idx:DIR" is a word or a path.
struct Values {
  Words words;
  bool paths = false, results = false, layers = false;  // results: folders that hold some
};

Values values_of(const CLI::Option& option) {
  Values values;
  const std::string form =
      option.get_positional() ? option.get_single_name() + "|" + option.get_type_name() : option.get_type_name();
  for (const std::string& part : CLI::detail::split(form, '|')) {
    const bool placeholder =
        part.empty() || std::ranges::any_of(part, [](unsigned char c) { return std::isupper(c) != 0; });
    if (!placeholder) values.words.push_back(part);
    if (part.find("FILE") != std::string::npos || part.find("DIR") != std::string::npos) values.paths = true;
  }
  const std::string name = option.get_positional() ? option.get_single_name() : "";
  values.results = name == "DIR" || name == "RUN";
  values.layers = name == "LAYER";
  return values;
}

std::vector<const CLI::App*> subcommands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<const CLI::Option*> flags_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return option->nonpositional(); });
}

std::vector<const CLI::Option*> positionals_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

/// The long name of a flag and, if there is one, the short one: "--help", "-h".
Words spellings(const CLI::Option& flag) {
  Words all;
  for (const std::string& name : flag.get_snames()) all.push_back("-" + name);
  for (const std::string& name : flag.get_lnames()) all.push_back("--" + name);
  return all;
}

// --- bash -----------------------------------------------------------------------------------------------------

/// The words that can follow a command: subcommands, flags, values of its positionals.
Words bash_words(const CLI::App& app) {
  Words words;
  for (const CLI::App* command : subcommands_of(app)) words.push_back(command->get_name());
  for (const CLI::Option* option : positionals_of(app)) {
    const Values values = values_of(*option);
    words.insert(words.end(), values.words.begin(), values.words.end());
  }
  for (const CLI::Option* flag : flags_of(app)) words.push_back("--" + flag->get_lnames().front());
  return words;
}

std::string in_one(const Words& words) { return shell_word(fmt::format("{}", fmt::join(words, " "))); }

struct BashCases {
  Words commands;             // quoted full commands: 'mixgrad inspect'
  std::string values, words;  // case branches for the values of flags and the words of commands
};

void add_cases(const CLI::App& app, const std::string& path, BashCases& cases) {
  for (const CLI::Option* flag : flags_of(app)) {
    if (!takes_value(*flag)) continue;
    cases.values +=
        fmt::format("    '{} --{}') words={} ;;\n", path, flag->get_lnames().front(), in_one(values_of(*flag).words));
  }
  Words found;
  for (const CLI::Option* option : positionals_of(app)) {
    const Values values = values_of(*option);
    if (values.results && found.empty()) found.push_back("_mixgrad_results");
    if (values.layers) found.push_back("_mixgrad_layers");
  }
  cases.words += fmt::format("      '{}') words={} found={} ;;\n", path, in_one(bash_words(app)), in_one(found));
  for (const CLI::App* command : subcommands_of(app)) {
    cases.commands.push_back("'" + path + " " + command->get_name() + "'");
    add_cases(*command, path + " " + command->get_name(), cases);
  }
}

std::string bash(const CLI::App& app) {
  BashCases cases;
  add_cases(app, app.get_name(), cases);
  return fmt::format(R"(# Completion of mixgrad's command line for bash, written by: mixgrad completion bash
_mixgrad_results() {{  # folders with the results of a run, a sweep or a front
  local folder result
  [[ $word == -* || ( $found == *_mixgrad_layers && -d $before ) ]] && return
  for folder in "$word"*/ "$word"*/*/; do
    for result in {}; do
      [[ -e $folder/$result ]] && printf '%s\n' "${{folder%/}}" && break
    done
  done
}}
_mixgrad_layers() {{  # of the search in the folder before
  local layer folder=${{before/#\~\//$HOME/}}
  folder=${{folder//\\/}}
  [[ $word != -* && -d $folder ]] && "${{COMP_WORDS[0]}}" inspect why "$folder" 2>/dev/null | while IFS= read -r layer; do
    [[ $layer == "$word"* ]] && printf '%s\n' "$layer"
  done
}}
_mixgrad() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command=mixgrad words= found= i
  [ "$word" = = ] && word=  # --flag=value is three words
  [ "$before" = = ] && before=${{COMP_WORDS[COMP_CWORD - 2]}}
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${{COMP_WORDS[i]}}" in
      {}) command+=" ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$command $before" in
{}    *) case $command in
{}    esac ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  for i in $found; do mapfile -t -O ${{#COMPREPLY[@]}} COMPREPLY < <($i); done
  [ "$found" ] && compopt -o filenames 2>/dev/null
  return 0
}}
complete -o default -F _mixgrad mixgrad
)",
                     fmt::join(result_files, " "), fmt::join(cases.commands, " | "), cases.values, cases.words);
}

// --- zsh ------------------------------------------------------------------------------------------------------

/// Puts a backslash before characters that are special to _arguments and _describe.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::string("[]:\\").find(c) != std::string::npos) out += '\\';
    out += c;
  }
  return out;
}

/// ":description:how to complete it".
std::string zsh_value(const CLI::Option& option) {
  const Values values = values_of(option);
  const std::string words = fmt::format("{}", fmt::join(values.words, " "));
  const std::string what = escaped(option.get_positional() ? option.get_single_name() : option.get_type_name());
  if (values.results) return fmt::format(":{}:_mixgrad_results", what);
  if (values.layers) return fmt::format(":{}:_mixgrad_layers", what);
  if (values.words.empty()) return fmt::format(":{}:{}", what, values.paths ? "_files" : " ");
  return values.paths ? fmt::format(":{}:{{compadd {}; _files}}", what, words) : fmt::format(":{}:({})", what, words);
}

Words zsh_flags(const CLI::App& app) {
  Words specs;
  for (const CLI::Option* flag : flags_of(app)) {
    const std::string rest =
        fmt::format("[{}]{}", escaped(flag->get_description()), takes_value(*flag) ? zsh_value(*flag) : "");
    for (const std::string& spelling : spellings(*flag)) specs.push_back(shell_word(spelling + rest));
  }
  return specs;
}

/// A function that completes the words after a command.
std::string zsh_function(const CLI::App& app, const std::string& name) {
  Words specs = zsh_flags(app);
  const std::vector<const CLI::Option*> positionals = positionals_of(app);
  for (size_t i = 0; i < positionals.size(); ++i)
    specs.push_back(shell_word(std::to_string(i + 1) + zsh_value(*positionals[i])));
  return fmt::format("{}() {{\n  _arguments {}\n}}\n\n", name, fmt::join(specs, " \\\n    "));
}

/// The same for a command with subcommands, after their functions. A subcommand can replace its only positional.
std::string zsh_functions(const CLI::App& app, const std::string& name) {
  const std::vector<const CLI::App*> commands = subcommands_of(app);
  if (commands.empty()) return zsh_function(app, name);
  std::string out, names, cases;
  for (const CLI::App* command : commands) {
    const std::string function = name + "_" + command->get_name();
    out += zsh_functions(*command, function);
    names += " \\\n        " + shell_word(command->get_name() + ":" + escaped(command->get_description()));
    cases += fmt::format("        {}) {} ;;\n", command->get_name(), function);
  }
  Words words;
  for (const CLI::Option* option : positionals_of(app)) words = values_of(*option).words;
  return out + fmt::format(R"({}() {{
  local context state state_descr line
  typeset -A opt_args
  _arguments -C {} \
    '1: :->first' '*:: :->rest'
  case $state in
    first)
      local -a commands=({})
      _describe command commands
{}      ;;
    rest)
      case $words[1] in
{}      esac
      ;;
  esac
}}

)",
                           name, fmt::join(zsh_flags(app), " \\\n    "), names,
                           words.empty() ? "" : fmt::format("      compadd {}\n", fmt::join(words, " ")), cases);
}

std::string zsh(const CLI::App& app) {
  return fmt::format(R"sh(#compdef mixgrad
# Completion of mixgrad's command line for zsh, written by: mixgrad completion zsh
_mixgrad_results() {{  # folders with the results of a run, a sweep or a front, or else any file
  local -a found=($PREFIX*/{{,*/}}{{{}}}(N:h))
  (( $#found )) && compadd -U -f -- ${{(u)found}} || _files
}}

_mixgrad_layers() {{  # of the search in the folder before
  local folder=${{~${{(Q)words[CURRENT - 1]}}}}
  [[ -d $folder ]] && compadd -- ${{(f)"$(mixgrad inspect why $folder 2>/dev/null)"}}
}}

{}# loaded as a function of this name it runs, otherwise it says what it is for
if [ "$funcstack[1]" = _mixgrad ]; then _mixgrad "$@"; else compdef _mixgrad mixgrad; fi
)sh",
                     fmt::join(result_files, ","), zsh_functions(app, "_mixgrad"));
}

}  // namespace

void add_completion(CLI::App& app) {
  CLI::App* command = app.add_subcommand("completion", "print a script that makes a shell complete this command line");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "the shell")->type_name(shell_form);
  show_examples(*command, {"mixgrad completion bash > mixgrad.bash", "mixgrad completion zsh > _mixgrad"});
  command->callback([&app, shell] {
    check_form("completion", *shell, shell_form);
    std::fputs((*shell == "bash" ? bash(app) : zsh(app)).c_str(), stdout);
  });
}

}  // namespace mixgrad::cli
