// SPDX-License-Identifier: Apache-2.0
#include "page_data.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

namespace mixgrad::report {

nlohmann::ordered_json memory_map(const Graph& network) {
  using nlohmann::ordered_json;
  IntegerNetwork integer;
  try {
    integer = to_integer(network);
  } catch (const Error&) {
    return nullptr;
  }
  const Arena arena = plan_arena(integer);
  ordered_json nodes = ordered_json::array(), blocks = ordered_json::array();
  for (const IntegerNode& node : integer.nodes) nodes.push_back(node.name);
  for (const ArenaBlock& b : arena.blocks)
    blocks.push_back({{"node", b.node},
                      {"scratch", b.scratch},
                      {"first", b.first},
                      {"last", b.last},
                      {"offset", b.offset},
                      {"bytes", b.bytes},
                      {"at_peak", b.at_peak}});
  return {{"bytes", arena.bytes}, {"nodes", nodes}, {"blocks", blocks}};
}

}  // namespace mixgrad::report
