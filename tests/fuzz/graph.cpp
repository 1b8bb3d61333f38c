// SPDX-License-Identifier: Apache-2.0
#include "targets.h"

#include <src/report/page_data.h>

#include <mixgrad/cost.h>
#include <mixgrad/deploy.h>
#include <mixgrad/graph.h>

/// A saved network, and what commands do with one: its costs, pictures, files and integer form.
void mixgrad::fuzz::read_graph(const Folder& folder, std::string_view bytes) {
  const Graph graph = load_graph(folder.put("model.safetensors", bytes));
  for (const cost::Model& model : cost::all()) cost::if_defined([&] { return cost::discrete(graph, model); });
  report::histograms(graph);
  save(graph, folder.path() + "/saved.safetensors");
  const IntegerNetwork network = to_integer(graph);
  device_bytes(network);
  to_onnx(network);
}
