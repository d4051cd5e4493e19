// The same transitions twice: as they were, and as a store gives them back.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/reporter.hpp"
#include "data/arrays/transitions.hpp"

namespace ae::replay {

// Some transitions. Observations are [n, width] double; errors are stored less original.
struct PairBlock {
  std::int64_t first = 0, count = 0;
  at::Tensor original, stored;            // observations; undefined when either file has next observations only
  at::Tensor next_original, next_stored;  // next observations; 0 where there is none
  std::vector<double> actions, rewards;   // as TransitionBlock has them, of the original
  // Of each transition: whether a target takes a next value, which its end denies; whether both next observations are
  // there; whether it is none, as the reset of a vector environment.
  std::vector<std::uint8_t> terminated, has_next, left_out;
};

// Calls `visit` for all blocks in order. InputError for observations that are not finite, with the transition.
// The next observation of a transition that ends an episode counts only where it is stored as such, in both files.
void for_each_pair(const data::Transitions& original, const data::Transitions& stored, Reporter& reporter,
                   const std::function<void(const PairBlock&)>& visit);

// The bootstrapping transitions: not terminated, with both next observations.
inline bool bootstraps(const PairBlock& block, std::size_t i) {
  return block.has_next[i] && !block.terminated[i] && !block.left_out[i];
}
at::Tensor bootstrapping(const PairBlock& block);  // their places in it, int64

// Next observations of some bootstrapping transitions, drawn at random, with what a learner sees of each.
struct PairSample {
  at::Tensor original, stored;        // next observations [m, width]
  at::Tensor observations;            // [m, width] of the original; undefined when there are none
  std::vector<std::int64_t> actions;  // [m]; empty when actions are not single whole numbers
  std::int64_t size() const { return original.defined() ? original.size(0) : 0; }
};

// What one pass over the pairs tells without Q.
struct PairMoments {
  std::int64_t transitions = 0, bootstrapping = 0, terminated = 0, without_next = 0, left_out = 0;
  at::Tensor mean;    // [width] of the errors of bootstrapping transitions
  at::Tensor second;  // [width, width] of e e'; undefined for observations of more than kMostExact elements
  double rms = 0;     // over all elements
  double spread = 0;  // of the original next observations: root of the mean variance of an element
  PairSample sample;
};
constexpr std::int64_t kMostExact = 16;

// The sample has at most `most` pairs, and fewer where they would take more than 256 MB. The same for the same seed.
PairMoments moments_of(const data::Transitions& original, const data::Transitions& stored, std::int64_t most,
                       std::uint64_t seed, Reporter& reporter);

}  // namespace ae::replay
