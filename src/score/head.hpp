// Score heads: from the pair's answer to one number per sample that is larger the stranger the sample, and to the share
// each element has in it. Fitted on normal samples, stored in the checkpoint.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/fields.hpp"
#include "data/safetensors.hpp"
#include "loss/autoencoder.hpp"

namespace ae::score {

using Arrays = std::map<std::string, data::NamedArray>;

class Head : public config::Section {
 public:
  void fields(config::Fields&) override {}
  virtual bool judges(const model::Domain& domain) const { return !domain.images(); }
  // Learns what it needs from normal samples (those the network was trained on).
  virtual void fit(const loss::Autoencoder&, const model::Samples&) {}
  // [samples, elements] float64: shares whose sum over elements is the sample's score. Of images, every pixel of every
  // channel is one element: [samples, channels * height * width].
  virtual at::Tensor shares(const model::Batch& batch, const loss::Reconstruction& reconstruction) const = 0;
  virtual Arrays state() const { return {}; }
  virtual void restore(const Arrays&) {}  // InputError when arrays are missing or have wrong shapes
};

std::span<const config::Entry<Head>> heads();  // loss, map

// scores [samples]; shares and expected [samples, elements] float64, contiguous (expected in network units).
// Every row of `shares` sums to its score exactly, in any order of summation.
struct Scored {
  std::vector<double> scores;
  at::Tensor shares;
  at::Tensor expected;
};
Scored score(const loss::Autoencoder& autoencoder, const Head& head, const model::Batch& batch);

// Scores of a whole set, in batches.
std::vector<double> scores_of(const loss::Autoencoder& autoencoder, const Head& head, const model::Samples& samples);

// Rounds shares of one row to multiples of a power of two about 2^-51 of their absolute sum: sums of such numbers
// are exact in double, hence the same in any order. Returns the sum.
double make_sum_exact(double* shares, std::int64_t count);

}  // namespace ae::score
