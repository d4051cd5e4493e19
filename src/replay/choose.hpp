// The store that changes targets by no more than a budget at the fewest bytes: models' codes at various bits, and JPEG.
//
// A code that is read back with an error moves the value by that error times how much the value changes with the
// latent. The bits of a code are shared out among its latents so that the sum of those squares is small: each bit goes
// where it takes most off (greedy, as for transform codes: Gersho and Gray 1992, Vector Quantization and Signal
// Compression, chapter 8.3), in units of value instead of the mean squared error of the reconstruction.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/arrays/transitions.hpp"
#include "value/q_network.hpp"

namespace ae::replay {

// What a store may do to targets; limits are held with a confidence of 95 % each.
struct ChoiceBudget {
  double bias = 0;     // the largest mean bias of targets, either way, in the unit of Q
  double changes = 1;  // share of the transitions that bootstrap whose greedy action may be another one
  double td_rms = std::numeric_limits<double>::infinity();  // of what the difference makes to TD errors
};

struct StoreCandidate {
  std::string model;                  // its file; "" of JPEG
  std::vector<std::int64_t> bits;     // of each latent; of one only where all are alike
  std::int64_t quality = 0;           // of JPEG
  double bytes = 0;                   // of an observation
  double rms_error = 0;               // of next observations, over all elements
  double mean_bias = 0, bias_se = 0;  // of targets
  double rms_bias = 0;
  double action_changes = 0;
  double td_rms = 0;  // NaN where the file has next observations only
  bool meets = false;
};

struct Choice {
  std::vector<StoreCandidate> candidates;  // by models in the order given, then JPEG; of each by bytes
  std::optional<std::size_t> chosen;       // nothing: none meets the budget
  std::int64_t transitions = 0;            // on which each was tried
  double bytes = 0;                        // of an observation as it is
  double value_spread = 0;                 // standard deviation of the best values
};

struct ChooseOptions {
  ChoiceBudget budget;
  double gamma = 0.99;
  std::uint64_t seed = 0;
  std::int64_t most_transitions = 8000;
};

// Tries the models' codes and, where observations are frames of whole numbers of 8 bits, JPEG, on transitions drawn at
// random. UsageError as LatentCodec says, and without models where there are no frames; InputError when there is
// nothing to bootstrap.
Choice choose(const std::vector<std::string>& models, const data::Transitions& transitions,
              const value::QNetwork& network, const ChooseOptions& options, Reporter& reporter);

}  // namespace ae::replay
