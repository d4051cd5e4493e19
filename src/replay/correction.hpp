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
#include "value/q_network.hpp"

namespace ae::replay {

enum class ErrorModel {
  // The errors depend on what is stored, as where a code leaves out much of an observation: the expectation of
  // V(original) given the stored one, V = max Q, over the errors e of the pairs whose stored observations are nearest:
  // V(stored - mean +- (e - mean)), each with both signs, which takes out the noise of first order that a few errors
  // have. The local mean is that of `centre` nearest pairs.
  local,
  // The errors depend on nothing, as sensors' noise, and as those of fine quantisation on the original (Widrow and
  // Kollar 2008, Quantization Noise, chapter 4): 2 V(stored - mean) - mean of V(stored - mean +- (e - mean)) over
  // errors of all pairs, which is V(original) on average over e for every original, to second order in e. (Simulation
  // extrapolation, Cook and Stefanski 1994, JASA 89, 1314, by one step.) Given the stored observation alone the mean
  // would be another, drawn towards what is frequent, which a learner would take for the truth.
  independent,
};
std::string error_model_name(ErrorModel model);

// What is taken off of a next value: `offset`, the mean of the estimated bias, and `gain` times what an estimate
// differs from it. A gain below 1 where single estimates are noisier than they tell.
struct CorrectionGain {
  double offset = 0, gain = 1;
};

// How a correction by some pairs of a sample does on others. Without `gamma`, which is the caller's.
struct CorrectionCheck {
  ErrorModel model = ErrorModel::local;
  std::int64_t centre = 0;  // of the local model: pairs that tell the local mean
  CorrectionGain gain;      // by which the rms is least
  std::int64_t pairs = 0;   // on which it was tried, and by which neither the model nor its gain was chosen; 0: too few
  // Of the corrected and the uncorrected value less the true one.
  double mean_before = 0, mean_after = 0, rms_before = 0, rms_after = 0;
  // The part of it that a learner would see: the mean, and what is linear in Q of the observation and action (without
  // them, in the true value); root of the mean square.
  double seen_before = 0, seen_after = 0;
  // The mean or the rms grows, beyond two standard errors and 1 %, and beyond 1e-9 of the values; or is not finite.
  bool harms = false;
};

class Correction {
 public:
  // `sample` of at least one pair. The network must outlive this.
  Correction(const value::QNetwork& network, const PairSample& sample, std::uint64_t seed);
  // The estimate of max Q at the originals of `stored` [n, width]: [n]. `plain` [n]: max Q at those. `first`: the
  // number of the first of them, on which alone, with the seed, draws depend. By the model, centre and gain of `how`.
  at::Tensor values(const at::Tensor& stored, const at::Tensor& plain, std::int64_t first,
                    const CorrectionCheck& how) const;
  // Without gain. The local model's for several centres, for which the nearest pairs are looked for once.
  at::Tensor independent(const at::Tensor& stored, std::int64_t first) const;
  std::vector<at::Tensor> local(const at::Tensor& stored, const std::vector<std::int64_t>& centres) const;

 private:
  const value::QNetwork& network_;
  at::Tensor errors_, mean_;  // as QNetwork::embedded_error() has them
  // Of the stored observations, by which distances are taken: less their mean, so that distances do not cancel, in
  // units of their standard deviations.
  at::Tensor stored_, centre_, scale_;
  std::uint64_t seed_;
};

constexpr std::int64_t kFewestPairs = 50;

// Tries both models, and tells of the independent one, unless a local one leaves an rms at least a tenth lower, and not
// clearly more that a learner would see. The errors are those of at least half of the pairs. Of the others a part, at
// most 300, tells each model's gain, another, at most 1500, which model is taken, and a third, at most 2000, how well
// it does. InputError where Q is not finite.
CorrectionCheck check_correction(const value::QNetwork& network, const PairSample& sample, std::uint64_t seed);

// At most `most` of the pairs, drawn at random.
PairSample some_pairs(const PairSample& sample, std::int64_t most, std::uint64_t seed);

// Whether the actions of all pairs are the network's, so that the value of each is known.
bool names_actions(const value::QNetwork& network, const PairSample& sample);

// Q of each row, on all threads, in pieces so that memory stays bounded: [n, actions]; and max Q: [n].
at::Tensor all_values(const value::QNetwork& network, const at::Tensor& observations);
at::Tensor best_values(const value::QNetwork& network, const at::Tensor& observations);

}  // namespace ae::replay
