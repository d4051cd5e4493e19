// The products with a blur that are most of the time of a deconvolution, by the widest vectors of the processor. Within
// this room.
#pragma once

#include <Eigen/Core>
#include <Eigen/SparseCore>
#include <vector>

namespace ae::fit {

using Blur = Eigen::SparseMatrix<double>;  // [observed bins, true bins]; columns sum to 1 or, at the edges, to less

// A matrix whose rows hold something in one stretch each, as those of a blur of few bins.
class Band {
 public:
  Band() = default;
  explicit Band(const Eigen::MatrixXd& matrix);
  bool empty() const { return rows_ == 0; }
  Eigen::VectorXd operator*(const Eigen::VectorXd& x) const;
  // Adds A' A to the lower triangle of `sum` [columns, columns], A being diag(weight)^(1/2) * this * diag(scale).
  // `weight` [rows] >= 0, `scale` [columns].
  void add_gram(const Eigen::VectorXd& weight, const Eigen::VectorXd& scale, Eigen::MatrixXd& sum) const;

 private:
  using RowTable = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Index rows_ = 0, columns_ = 0;
  RowTable values_;
  std::vector<Eigen::Index> first_, last_;  // of each row: its stretch
};

// Several problems with one blur side by side: numbers [bins, lanes], those of one bin together. A lane's numbers do
// not depend on what is in the others.
class BlurLanes {
 public:
  // `problems` <= 12.
  BlurLanes(const Blur& blur, Eigen::Index problems);
  Eigen::Index lanes() const { return lanes_; }
  void times(const std::vector<double>& p, std::vector<double>& q) const;             // q = K p
  void transposed_times(const std::vector<double>& q, std::vector<double>& p) const;  // p = K' q

 private:
  void scatter(const Blur& blur, const std::vector<double>& from, std::vector<double>& to) const;

  const Blur& blur_;
  Blur transposed_;
  Eigen::Index lanes_;
};

// Natural logarithms of numbers, which are taken to be at least 1e-300; within 3e-16 of each or of 1.
void logarithms(const std::vector<double>& numbers, std::vector<double>& logs);

}  // namespace ae::fit
