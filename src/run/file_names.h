// SPDX-License-Identifier: Apache-2.0
// Names of the files in a run's folder.
#pragma once

namespace mixgrad {

constexpr const char *summary_name = "summary.json", *network_name = "model.safetensors",
                     *float_name = "float.safetensors", *report_name = "report.html",
                     *confusion_name = "confusion.json", *teacher_name = "teacher.safetensors",
                     *front_name = "front.safetensors", *front_table_name = "front.csv";
/// Of the names of a run's settings in the metadata of checkpoints and fronts.
constexpr const char* settings_prefix = "settings/";

}  // namespace mixgrad
