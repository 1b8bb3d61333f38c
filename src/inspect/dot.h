// SPDX-License-Identifier: Apache-2.0
// Graphviz's language (graphviz.org/doc/info/lang.html).
#pragma once

#include <string>

namespace mixgrad::inspect {

/// "text" in quotes, whatever it holds; line feeds begin new lines of a label.
std::string quoted(const std::string& text);
/// digraph { settings, body }, drawn from the top down.
std::string digraph(const std::string& body);

}  // namespace mixgrad::inspect
