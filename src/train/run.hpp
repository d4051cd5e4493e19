// A whole training run: from a config to the files in its folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "base/world.hpp"
#include "recipe/config.hpp"
#include "train/process_group.hpp"

namespace ae::train {

struct RunOptions {
  std::filesystem::path folder;  // --out: model.safetensors, config.json, metrics.csv, training.svg, run.json
  std::filesystem::path from;    // a model whose weights are the first ones; empty: by the seed
  bool resume = false;
  bool force = false;                  // start over although the folder holds a model or an interrupted run
  int threads = 0;                     // 0 = by the size of the work
  std::vector<std::string> arguments;  // for the manifest
  World world;                         // all of it trains together; rank 0 writes and reports
  double peer_timeout = kPeerTimeoutSeconds;
};

// Refusals (existing output, another run's state) come before any long work. See Loop for how it can end.
void run(recipe::Config& config, const RunOptions& options, Reporter& reporter);

}  // namespace ae::train
