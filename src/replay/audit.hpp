// How a store's errors bias the targets of Q learning, transition by transition, and why.
//
// The target of a transition is y = r + gamma (1 - terminated) max_a Q(s', a). With the stored s' + e for s' it is off
// by b = gamma (1 - terminated) (max_a Q(s' + e, a) - max_a Q(s', a)), which is measured with Q itself. To second
// order, of the action a that is best at s',
//
//   b = gamma (1 - terminated) (g . e + e . H e / 2 + kink) + remainder,   g, H of Q(., a) at s',
//
// where the kink is by how much the largest of all actions' second-order values lies above that of a: a maximum is
// never less than one of its branches. On average over the transitions that bootstrap, with m = E e and M = E e e',
//
//   E b = E[g] . m + sum Cov(g_i, e_i) + tr(E[H] M) / 2 + sum Cov(H_ij, e_i e_j) / 2 + kink + remainder.
//
// The usual formula, which takes errors for noise that is the same everywhere, has the first and third terms only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/reporter.hpp"
#include "replay/correction.hpp"
#include "replay/pairs.hpp"
#include "value/q_network.hpp"

namespace ae::replay {

// In the unit of Q, with gamma and (1 - terminated) in them. All finite.
struct AuditedTransition {
  std::int64_t number = 0;
  double measured = 0;
  // measured = gradient + hessian + covariance + kink + remainder:
  double gradient = 0;  // g . m
  double hessian = 0;   // tr(H M) / 2; of large observations e* H e* / 2 of another transition's error, drawn at random
  double covariance = 0;  // g . (e - m) + e H e / 2 - hessian
  double kink = 0;
  double remainder = 0;
  bool terminated = false;
  std::int64_t action = 0, action_stored = 0;  // the best by Q; -1 where the next observation is not there
  double predicted() const { return gradient + hessian + covariance + kink; }
};

struct AuditParts {
  double gradient = 0, gradient_covariance = 0, hessian = 0, hessian_covariance = 0, kink = 0, remainder = 0;
};

struct Audit {
  PairMoments moments;                     // without its sample
  std::int64_t transitions = 0;            // that were audited: terminated ones and those that bootstrap
  double mean_bias = 0, mean_bias_se = 0;  // the error as if transitions were independent
  double rms_bias = 0, largest_bias = 0;
  double predicted_bias = 0;
  // Of predicted and measured, over transitions that bootstrap; NaN where either is constant but for rounding.
  double correlation = 0;
  double action_changes = 0;  // share, of transitions that bootstrap
  AuditParts parts;           // which add up to mean_bias
  double remainder_rms = 0;
  double usual_formula = 0;     // parts.gradient + parts.hessian
  double usual_formula_se = 0;  // of its hessian, where that was drawn; else 0
  // Q(stored observation, a) - Q(observation, a) for the action that was taken, or the best one: errors in what Q is
  // learned from, which attenuate it, not its targets. NaN without observations.
  double input_mean = 0, input_rms = 0;
  double td_rms = 0;           // of the difference of TD errors, target less Q(observation, a); NaN likewise
  CorrectionCheck correction;  // times gamma; of no pairs where it cannot be tried, which is a warning
  bool valid = false;          // see kMostRemainder
};

// The expansion is valid when the rms of the remainder is at most this share of that of the measured bias, so that what
// it leaves is less than a tenth of the mean square.
constexpr double kMostRemainder = 0.3;

struct AuditOptions {
  double gamma = 0.99;
  std::uint64_t seed = 0;
  std::int64_t most_pairs = 8000;  // for the check of the correction
};

// Goes through the files twice, at constant memory. `visit` gets every audited transition in order. InputError as
// for_each_pair() and expand() say, and when there is nothing to audit.
Audit audit(const data::Transitions& original, const data::Transitions& stored, const value::QNetwork& network,
            const AuditOptions& options, const std::function<void(const AuditedTransition&)>& visit,
            Reporter& reporter);

// The rms of the remainder, as a share of that of the bias, over a sample; 0 where nothing is biased, NaN where Q is
// not finite.
double remainder_share(const value::QNetwork& network, const PairSample& sample);

// Some next observations of a file, to try a network on: [n, width], at most 64.
at::Tensor example_observations(const data::Transitions& transitions);

}  // namespace ae::replay
