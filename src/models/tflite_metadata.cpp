// SPDX-License-Identifier: Apache-2.0
#include "tflite_translation.h"

#include <tflite_metadata_generated.h>

#include <mixgrad/error.h>

#include <string_view>

namespace mixgrad::models::tflite_file {
namespace {

namespace meta = tflite::metadata;

/// The values of the buffer that holds the metadata; empty if there is none.
std::vector<uint8_t> metadata_of(const tflite::Model& model) {
  if (model.metadata() == nullptr || model.buffers() == nullptr) return {};
  for (const tflite::Metadata* m : *model.metadata()) {
    if (m->name() == nullptr || m->name()->string_view() != "TFLITE_METADATA") continue;
    if (m->buffer() >= model.buffers()->size()) return {};
    const auto* data = model.buffers()->Get(m->buffer())->data();
    return data == nullptr ? std::vector<uint8_t>() : std::vector<uint8_t>(data->begin(), data->end());
  }
  return {};
}

}  // namespace

Normalization advised_normalization(const tflite::Model& model, const std::string& path) {
  const std::vector<uint8_t> bytes = metadata_of(model);
  if (bytes.empty()) return {};
  flatbuffers::Verifier verifier(bytes.data(), bytes.size());
  if (bytes.size() < 8 || !meta::ModelMetadataBufferHasIdentifier(bytes.data()) ||
      !meta::VerifyModelMetadataBuffer(verifier)) {
    bad_input("{}: its metadata is corrupt", path);
  }
  const auto* graphs = meta::GetModelMetadata(bytes.data())->subgraph_metadata();
  if (graphs == nullptr || graphs->size() == 0) return {};
  const auto* inputs = graphs->Get(0)->input_tensor_metadata();
  if (inputs == nullptr || inputs->size() != 1 || inputs->Get(0)->process_units() == nullptr) return {};
  for (const meta::ProcessUnit* unit : *inputs->Get(0)->process_units()) {
    const auto* options = unit->options_as<meta::NormalizationOptions>();
    if (options == nullptr || options->mean() == nullptr || options->std() == nullptr) continue;
    return {.mean = {options->mean()->begin(), options->mean()->end()},
            .std = {options->std()->begin(), options->std()->end()}};
  }
  return {};
}

}  // namespace mixgrad::models::tflite_file
