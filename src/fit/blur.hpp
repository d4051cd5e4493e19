// How a variable is blurred: the probability of observed bins for each bin of the truth.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fit/deconvolution.hpp"
#include "fit/grid.hpp"

namespace ae::fit {

// Of the observed value at one true value.
struct NormalError {
  double mean = 0;
  double deviation = 0;  // >= 0; 0 = observed exactly
};

// Normal errors whose mean and deviation are functions of the truth, which is spread evenly over its bins. What falls
// outside an observed axis that is not periodic is lost from the column.
Blur normal_blur(const Axis& truth, const Axis& observed, const std::function<NormalError(double)>& error);

// Of two variables with independent errors. UsageError when it would be too large.
Blur product_blur(const Blur& first, const Blur& second);

// InputError, with the name of a file, unless observed = line.first + line.second * truth tells bins of the truth
// apart.
void check_line(const std::string& name, std::pair<double, double> line, const Axis& truth, const Axis& observed);

// Calibration: the truth and what was observed of it, of one or two variables.
struct CalibrationPairs {
  std::string name;                                  // of the file, for errors
  std::vector<std::vector<double>> truth, observed;  // [variables][pairs]
  // [pairs], > 0: how much more often the pair would be there without bias, such as e^{V / kT}. The errors at a true
  // value are those of the unbiased ensemble, as other variables, which they depend on, are biased as well.
  std::vector<double> weight;

  std::size_t size() const { return weight.size(); }
};

// What pairs tell of the blur. Of one variable the mean of the observed value is a smooth function of the truth
// (penalised least squares on second differences); the deviation around it, and the shape of errors, are those of pairs
// of similar truth, mixed with all pairs where few are near, the shape smoothed without making errors larger (Silverman
// 1986, 6.4), which makes it the more normal the wider the bandwidth. Of two variables the mean is linear and errors
// are normal with one covariance. Smoothness and bandwidths are the simplest that do as well as the best on held-out
// blocks of pairs.
class PairBlur {
 public:
  static constexpr std::size_t kFewest = 20;  // pairs
  // At least kFewest pairs in order of time, cut into `blocks` blocks. InputError when all truths
  // are the same, or what was observed does not depend on them.
  PairBlur(const CalibrationPairs& pairs, const Grid& truth, const Grid& observed, std::int32_t blocks);

  // `times` [blocks]: how often each block counts. Empty: all once. `share`: errors are taken to be so much of theirs.
  // Of two variables InputError when errors are wider than half of an axis.
  Blur blur(std::span<const std::int32_t> times = {}, double share = 1) const;
  std::int32_t blocks() const { return blocks_; }  // fewer where there are few pairs
  // The observed value is about intercept + slope * truth: the weighted least squares line.
  std::pair<double, double> line() const { return line_; }

 private:
  struct Mean {
    Eigen::VectorXd at;  // [true bins + 1], at the bins' edges
  };
  struct Bandwidths {
    double truth = 0;     // in bins
    double observed = 0;  // in standard deviations of errors
  };
  struct Errors {
    Eigen::VectorXd deviation;  // [true bins]
    Eigen::MatrixXd shape;      // [true bins, steps of errors over their deviation], rows sum to 1
  };
  Eigen::VectorXd block_weights(std::span<const std::int32_t> times) const;
  Mean fit_mean(const Eigen::VectorXd& weights, double smoothness) const;
  double mean_at(const Mean& mean, double truth) const;
  double error_of(const Mean& mean, std::size_t pair) const;
  Errors fit_errors(const Mean& mean, const Eigen::VectorXd& weights, const Bandwidths& bandwidths) const;
  Blur one_variable(const Eigen::VectorXd& weights, double share) const;
  Blur two_variables(const Eigen::VectorXd& weights, double share) const;
  Eigen::VectorXd without_fold(Eigen::Index fold) const;
  void choose_smoothness();
  void choose_bandwidths();
  double periodic_difference(double observed, double truth) const;

  const CalibrationPairs& pairs_;
  Grid truth_, observed_;
  std::int32_t blocks_;
  std::vector<std::int32_t> block_;  // [pairs]
  Eigen::VectorXd relative_;         // [pairs]: weights over those usual at a like truth
  std::pair<double, double> line_{0, 1};
  double smoothness_ = 0;
  std::vector<Eigen::Index> bin_;  // [pairs]: of the truth, the nearest one for pairs outside
  Bandwidths bandwidths_;
};

}  // namespace ae::fit
