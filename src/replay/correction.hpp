// What a target would have been if the store had not changed the next observation, estimated from the stored one and
// pairs of others.
//
// Derivatives would be taken at the wrong end, the stored observation, and know nothing of the kinks of a maximum; so Q
// itself is asked, at the stored observation with errors of pairs put in or taken out.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "replay/pairs.hpp"
#include "replay/q_network.hpp"

namespace ae::replay {

enum class ErrorModel {
  // The errors depend on what is stored, as those of quantisation: the mean of V(stored - e) over the errors e of the
  // pairs whose stored observations are nearest, V = max Q: the expectation of V(original) given the stored one.
  local,
  // The errors depend on nothing, as sensors' noise: 2 V(stored - mean) - mean of V(stored - mean +- (e - mean)) over
  // errors of all pairs, which is V(original) on average over e for every original, to second order in e. (Simulation
  // extrapolation, Cook and Stefanski 1994, JASA 89, 1314, by one step.) Given the stored observation alone the mean
  // would be another, drawn towards what is frequent, which a learner would take for the truth.
  independent,
};
std::string error_model_name(ErrorModel model);

class Correction {
 public:
  // `sample` of at least one pair.
  Correction(const PairSample& sample, ErrorModel model, std::uint64_t seed);
  // The estimate of max Q at the originals of `stored` [n, width]: [n]. `first`: the number of the first of them, on
  // which alone, with the seed, draws depend.
  at::Tensor values(const QNetwork& network, const at::Tensor& stored, std::int64_t first) const;
  ErrorModel model() const { return model_; }

 private:
  at::Tensor errors_, stored_, scale_, mean_;
  ErrorModel model_;
  std::uint64_t seed_;
};

// How a correction by one half of a sample does on the other. Without `gamma`, which is the caller's.
struct CorrectionCheck {
  ErrorModel model = ErrorModel::local;
  std::int64_t pairs = 0;  // in the half on which it was tried; 0: too few to tell
  // Of the corrected and the uncorrected value less the true one.
  double mean_before = 0, mean_after = 0, rms_before = 0, rms_after = 0;
  // The part of it that a learner would see: the mean, and what is linear in Q of the observation and action (without
  // them, in the true value); root of the mean square.
  double seen_before = 0, seen_after = 0;
  bool harms = false;  // the mean or the rms grows, beyond two standard errors and 1 %
};
constexpr std::int64_t kFewestPairs = 50;

// Tries both models, and tells of the local one, unless a learner would clearly see less of the other.
CorrectionCheck check_correction(const QNetwork& network, const PairSample& sample, std::uint64_t seed);

// max Q of each row, in pieces so that memory stays bounded: [n].
at::Tensor best_values(const QNetwork& network, const at::Tensor& observations);

}  // namespace ae::replay
