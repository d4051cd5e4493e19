// How the scores of several judges become one. A typical normal row gets about 1, whatever the units of the judges'
// scores s: "ratio" is the weighted mean of s / median; "log_z" is exp of the weighted mean of
// z = (log(s + offset) - mean) / deviation. Medians, means and deviations are those of honest scores of normal rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "score/head.hpp"

namespace ae::score {

class Combination {
 public:
  static std::span<const config::Choice> kinds();

  Combination() = default;
  // Learns nothing yet: every judge is taken as it is. The weights sum to 1.
  Combination(std::string kind, std::vector<double> weights);

  // Learns what judge `judge` gives normal rows, after that was fitted by the same context.
  void fit(std::size_t judge, const SampleHead& head, const FitContext& context);

  // The judges' answers to one batch, in one: shares sum to the combined score; what would have been normal is told by
  // the judge that complains most about the element.
  Answer combine(const std::vector<Answer>& answers, const at::Tensor& observed) const;

  Arrays state() const;
  void restore(const Arrays& arrays);  // InputError as Head::restore

 private:
  void standardise(std::int64_t judge, std::vector<double> scores);

  std::string kind_ = "ratio";
  std::vector<double> weights_;
  at::Tensor medians_;     // [judges] float64
  at::Tensor means_;       // [judges] of logarithms
  at::Tensor deviations_;  // [judges] of logarithms
};

}  // namespace ae::score
