// SPDX-License-Identifier: Apache-2.0
// One run on several processes: rank 0 reports and writes; all start from its checkpoint.
#pragma once

#include "options.h"
#include "progress.h"
#include "run_place.h"

#include <mixgrad/communicator.h>
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>

#include <string>

namespace mixgrad::cli {

class DataParallel {
 public:
  /// `command`: its name, for messages.
  DataParallel(const char* command, const Communicator& communicator)
      : command_(command), communicator_(communicator) {}

  void add_to(Options& o) {
    o.add("data-parallel", &on_,
          "under mpirun: distribute the images of every search and fine-tuning step over the processes");
  }

  /// For the run; null if this process is alone.
  const Communicator* communicator() const { return communicator_.size() > 1 ? &communicator_ : nullptr; }

  /// Rank 0 calls `lead` with the run's folder and its name for messages, unless the run there is finished. The others
  /// call `follow` with an observer and the checkpoint to start from, and take part in that run.
  template <typename Follow, typename Lead>
  void run(RunConfig& config, const RunPlace& place, const Follow& follow, const Lead& lead) const {
    share_cores(config);
    config.validate();
    if (communicator_.rank() > 0) {
      const std::string start = communicator_.broadcast(0, std::string());
      if (start.empty()) return;
      train::Checkpoints checkpoints(io::from_bytes(start, "checkpoint"));
      Progress progress(config, Progress::Show::nothing);
      follow(progress, checkpoints);
      return;
    }
    const std::string path = place.path();
    RunFolder folder(path, place.options);
    tell_start(folder);
    if (folder.finished()) return place.say_finished();
    lead(folder, path);
  }

 private:
  /// Throws bad_input if there are several processes that were not asked for; gives each its share of the cores.
  void share_cores(RunConfig& config) const {
    if (communicator_.size() > 1 && !on_)
      bad_input(
          "{}: started as one of {} processes: expected --data-parallel, which distributes every step over them, or "
          "mixgrad sweep",
          command_, communicator_.size());
    if (communicator_.size() > 1 && config.threads == 0) config.threads = communicator_.cores();
  }

  /// Sends the other processes the checkpoint to start from: an empty one for a new run, an empty string for a
  /// finished run.
  void tell_start(const RunFolder& folder) const {
    std::string damage;  // reported by the run of rank 0
    const io::Safetensors checkpoint = folder.resumes() ? folder.checkpoint(damage) : io::Safetensors();
    communicator_.broadcast(0, folder.finished() ? "" : io::to_bytes(checkpoint, folder.path()));
  }

  const char* command_;
  const Communicator& communicator_;
  bool on_ = false;
};

}  // namespace mixgrad::cli
