// SPDX-License-Identifier: Apache-2.0
#include "command_line.h"

#include <mixgrad/error.h>

#include <src/internal/suggest.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

namespace mixgrad::cli {
namespace {

using Words = std::vector<std::string>;

bool is_option(const std::string& word) { return word.size() > 1 && word.starts_with('-'); }

/// "lr" for "--lr=0.1".
std::string bare(const std::string& option) {
  const size_t begin = option.find_first_not_of('-'), end = option.find('=');
  return begin < end ? option.substr(begin, end - begin) : "";
}

/// The full command, like "mixgrad inspect tape".
std::string path_of(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : path_of(*app.get_parent()) + " " + app.get_name();
}

Words commands_of(const CLI::App& app) {
  Words names;
  const auto all = [](const CLI::App*) { return true; };
  for (const CLI::App* command : app.get_subcommands(all)) names.push_back(command->get_name());
  return names;
}

Words options_of(const CLI::App& app) {
  Words names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  return names;
}

std::vector<const CLI::Option*> arguments_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

/// `app` and the commands given, outermost first.
std::vector<const CLI::App*> entered(const CLI::App& app) {
  std::vector<const CLI::App*> out = {&app};
  while (!out.back()->get_subcommands().empty()) out.push_back(out.back()->get_subcommands().front());
  return out;
}

[[noreturn]] void refuse_command(const CLI::App& app, const std::string& word) {
  const Words commands = commands_of(app);
  const std::string meant = nearest(word, commands);
  if (!meant.empty()) bad_input("unknown command '{}': did you mean {} {}?", word, path_of(app), meant);
  bad_input("unknown command '{}': expected one of {}; see {} --help", word, fmt::join(commands, ", "), path_of(app));
}

/// A suggestion for an unknown option; "" if none is close.
std::string advice(const CLI::App& app, const std::string& option) {
  if (!app.get_subcommands().empty()) {
    const CLI::App& command = *entered(app).back();
    const Words later = options_of(command);
    if (std::ranges::find(later, bare(option)) != later.end())
      return fmt::format("it belongs after {}", path_of(command));
  }
  const std::string meant = nearest(bare(option), options_of(app));
  return meant.empty() ? "" : fmt::format("did you mean --{}?", meant);
}

[[noreturn]] void refuse_options(const CLI::App& app, Words options) {
  for (std::string& option : options) option = option.substr(0, option.find('='));
  if (options.size() == 1) {
    std::string what = advice(app, options[0]);
    const bool chooses = app.get_subcommands().empty() && arguments_of(app).empty() && !commands_of(app).empty();
    if (what.empty() && chooses) what = fmt::format("expected a command first: {}", fmt::join(commands_of(app), ", "));
    if (what.empty()) what = fmt::format("see {} --help", path_of(app));
    bad_input("unknown option {}: {}", options[0], what);
  }
  for (std::string& option : options) {
    const std::string what = advice(app, option);
    if (!what.empty()) option += fmt::format(" ({})", what);
  }
  bad_input("unknown options {}: see {} --help", fmt::join(options, ", "), path_of(app));
}

[[noreturn]] void refuse_arguments(const CLI::App& app, const Words& words) {
  const CLI::App& command = *entered(app).back();
  const std::string meant = nearest(words[0], options_of(command));
  Words wanted;
  for (const CLI::Option* argument : arguments_of(command)) wanted.push_back(argument->get_single_name());
  bad_input("unexpected argument{} '{}': {} takes {}{}", words.size() == 1 ? "" : "s", fmt::join(words, "' '"),
            path_of(command), wanted.empty() ? "options only" : fmt::format("no more than {}", fmt::join(wanted, " ")),
            did_you_mean(meant.empty() ? "" : "--" + meant));
}

/// The word given instead of a command, if `app` has commands and none was given: a word taken as an argument of `app`
/// that is close to a command, else `leftover`. "" if there is no such word.
std::string in_place_of_command(const CLI::App& app, const std::string& leftover) {
  if (!app.get_subcommands().empty() || commands_of(app).empty()) return "";
  for (const CLI::Option* taken : arguments_of(app)) {
    if (taken->count() > 0 && !nearest(taken->results()[0], commands_of(app)).empty()) return taken->results()[0];
  }
  return is_option(leftover) ? "" : leftover;
}

/// Refuses the leftover words of the outermost command that has some.
[[noreturn]] void refuse_leftovers(const CLI::App& app) {
  for (const CLI::App* command : entered(app)) {
    Words words = command->remaining(), options;
    std::erase(words, "--");
    if (words.empty()) continue;
    const std::string meant = in_place_of_command(*command, words[0]);
    if (!meant.empty()) refuse_command(*command, meant);
    std::ranges::copy_if(words, std::back_inserter(options), is_option);
    if (!options.empty()) refuse_options(*command, options);
    refuse_arguments(*command, words);
  }
  bad_input("can't parse the command line: see {} --help", app.get_name());
}

/// Refuses an option with too few or too many values.
[[noreturn]] void refuse_values(const CLI::App& app, const std::string& what) {
  std::string name = what.substr(0, what.find_first_of(": "));
  if (!name.starts_with('-')) name = "--" + name;
  if (what.find("flag override") != std::string::npos) bad_input("{}: takes no value: expected the flag alone", name);
  if (what.find("At Most") != std::string::npos) bad_input("{}: given more than once: expected only once", name);
  const CLI::Option* option = entered(app).back()->get_option_no_throw(name);
  bad_input("{}: a value is missing: expected {}", name, option == nullptr ? "one" : option->get_type_name());
}

/// Refuses "--out=", for which the library would take the next word as the value.
void check_words(int argc, char** argv) {
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with("--") && word.find('=') == word.size() - 1)
      bad_input("{}: a value is missing after the =", word);
  }
}

}  // namespace

bool parse(CLI::App& app, int argc, char** argv) {
  check_words(argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // help and version
      app.exit(error);
      return false;
    }
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) refuse_leftovers(app);
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) refuse_values(app, error.what());
    bad_input("{}: see {} --help", error.what(), app.get_name());
  }
  if (!app.get_subcommands().empty()) return true;
  bad_input("no command given: expected one of {}; see {} --help", fmt::join(commands_of(app), ", "), app.get_name());
}

}  // namespace mixgrad::cli
