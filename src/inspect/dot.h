// SPDX-License-Identifier: Apache-2.0
// Graphviz's language (graphviz.org/doc/info/lang.html).
#pragma once

#include <string>

namespace mixgrad::inspect {

/// `text` as a quoted and escaped string; line feeds become line breaks in a label.
std::string quoted(const std::string& text);
/// A digraph with the common settings and `body`, drawn top to bottom.
std::string digraph(const std::string& body);

}  // namespace mixgrad::inspect
