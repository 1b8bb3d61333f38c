// SPDX-License-Identifier: Apache-2.0
// The whole library.
#pragma once

#include <mixgrad/bench.h>
#include <mixgrad/communicator.h>
#include <mixgrad/cost.h>
#include <mixgrad/data.h>
#include <mixgrad/deploy.h>
#include <mixgrad/dry_run.h>
#include <mixgrad/error.h>
#include <mixgrad/fisher.h>
#include <mixgrad/front.h>
#include <mixgrad/front_run.h>
#include <mixgrad/graph.h>
#include <mixgrad/inspect.h>
#include <mixgrad/integer.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/nn.h>
#include <mixgrad/normalization.h>
#include <mixgrad/ops.h>
#include <mixgrad/optim.h>
#include <mixgrad/predict.h>
#include <mixgrad/profile.h>
#include <mixgrad/quant.h>
#include <mixgrad/report.h>
#include <mixgrad/rng.h>
#include <mixgrad/run.h>
#include <mixgrad/run_config.h>
#include <mixgrad/run_folder.h>
#include <mixgrad/search.h>
#include <mixgrad/settings.h>
#include <mixgrad/state.h>
#include <mixgrad/sweep.h>
#include <mixgrad/tape.h>
#include <mixgrad/tensor.h>
#include <mixgrad/train.h>
