#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "base/signals.hpp"
#include "fit/completion.hpp"

namespace ae::fit {
namespace {

using Tall = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr std::int64_t kRankStep = 10;  // allowed at first, and how much it may rise from one lambda to the next
constexpr int kMostLambdas = 60;
constexpr int kPatience = 2;  // lambdas in a row that make the error on hidden entries no better, then the path ends

// z = u diag(d) v'; columns of v, and those of u whose d is not 0, are orthonormal.
struct Factors {
  Tall u;             // [rows, width]
  Eigen::VectorXf d;  // [width], >= 0
  Tall v;             // [columns, width]
  std::int64_t rank() const { return (d.array() > 0).count(); }
  float at(std::int64_t row, std::int64_t column) const {
    return (u.row(row).transpose().array() * d.array() * v.row(column).transpose().array()).sum();
  }
};

struct ThinProduct {  // side diag(d) other'
  Tall side;
  Eigen::VectorXf d;
  Eigen::MatrixXf other;
};

Tall orthonormal(const Tall& tall) {
  const Eigen::HouseholderQR<Eigen::MatrixXf> qr(tall);
  return qr.householderQ() * Eigen::MatrixXf::Identity(tall.rows(), tall.cols());
}

ThinProduct singular_values(const Tall& tall) {
  const Eigen::HouseholderQR<Eigen::MatrixXf> qr(tall);
  const Eigen::Index width = tall.cols();
  const Eigen::MatrixXf r = qr.matrixQR().topRows(width).triangularView<Eigen::Upper>();
  const Eigen::JacobiSVD<Eigen::MatrixXf> svd(r, Eigen::ComputeFullU | Eigen::ComputeFullV);
  Eigen::MatrixXf u = Eigen::MatrixXf::Zero(tall.rows(), width);
  u.topRows(width) = svd.matrixU();
  return {qr.householderQ() * u, svd.singularValues(), svd.matrixV()};
}

// Soft-thresholded approximations of one matrix, of its deviations from the columns' means.
class SoftThresholding {
 public:
  SoftThresholding(const PartialMatrix& matrix, std::uint64_t seed)
      : matrix_(matrix), seed_(seed), means_(column_means(matrix).of_observed), residuals_(matrix.values.size()) {}

  const std::vector<double>& means() const { return means_; }

  Factors nothing() const {
    return {Tall::Zero(matrix_.rows(), 0), Eigen::VectorXf::Zero(0), Tall::Zero(matrix_.columns, 0)};
  }

  // The largest singular value of the deviations: with this lambda and any above, z is 0.
  double largest() {
    auto z = nothing();
    widen(z, 4);
    if (z.d.size() == 0) return 0;
    take_residuals(z);
    float value = 0;
    for (int i = 0; i < 30; ++i) {
      const auto [side, d, other] = singular_values(transposed_product(orthonormal(product(z.v))));
      z.v = side;
      value = d[0];
    }
    return value;
  }

  // From z to the solution for this lambda among matrices of a rank of at most `width`.
  void solve(Factors& z, double lambda, std::int64_t width, const LowRankOptions& options) {
    widen(z, width);
    if (z.d.size() == 0) return;  // no lambda was better than none, or the matrix has no rows
    for (std::int64_t sweep = 0; sweep < options.most_sweeps; ++sweep) {
      throw_if_stopped("low-rank completion");
      Factors next = improved(z, lambda);
      const double change = squared_change(z, next);
      z = std::move(next);
      if (change < options.tolerance * options.tolerance) break;
    }
  }

 private:
  // One step: singular values of x* = (observed entries, else z), less lambda. The subspace of the step before is one
  // step of orthogonal iteration away from that of x*.
  Factors improved(const Factors& z, double lambda) {
    take_residuals(z);
    const Tall scaled_u = z.u * z.d.asDiagonal();
    const Tall q = orthonormal(product(z.v) + scaled_u);
    const Eigen::MatrixXf onto = scaled_u.transpose() * q;
    const auto [side, d, other] = singular_values(transposed_product(q) + Tall(z.v * onto));
    return {q * other, (d.array() - static_cast<float>(lambda)).max(0.0f).matrix(), side};
  }

  void widen(Factors& z, std::int64_t width) const {
    const std::int64_t old = z.d.size();
    width = std::min({width, matrix_.rows(), matrix_.columns});
    if (width <= old) return;
    Tall random(matrix_.columns, width - old);
    fill_normal(stream_key(seed_, "low rank", static_cast<std::uint64_t>(width)),
                {random.data(), static_cast<std::size_t>(random.size())});
    random -= z.v * (z.v.transpose() * random).eval();
    z.v.conservativeResize(Eigen::NoChange, width);
    z.v.rightCols(width - old) = orthonormal(random);
    z.u.conservativeResize(Eigen::NoChange, width);
    z.u.rightCols(width - old).setZero();
    z.d.conservativeResize(width);
    z.d.tail(width - old).setZero();
  }

  template <typename Visit>  // (number of the entry, row, column)
  void for_each_entry(const Visit& visit) const {
    std::size_t entry = 0;
    for (std::int64_t row = 0; row < matrix_.rows(); ++row)
      for (const auto column : matrix_.places_of(row)) visit(entry++, row, column);
  }

  void take_residuals(const Factors& z) {
    const Tall scaled = z.u * z.d.asDiagonal();
    for_each_entry([&](std::size_t entry, std::int64_t row, std::int32_t column) {
      residuals_[entry] = matrix_.values[entry] - static_cast<float>(means_[static_cast<std::size_t>(column)]) -
                          scaled.row(row).dot(z.v.row(column));
    });
  }

  Tall product(const Tall& right) const {  // residuals times [columns, width]
    Tall result = Tall::Zero(matrix_.rows(), right.cols());
    for_each_entry([&](std::size_t entry, std::int64_t row, std::int32_t column) {
      result.row(row) += residuals_[entry] * right.row(column);
    });
    return result;
  }

  Tall transposed_product(const Tall& left) const {
    Tall result = Tall::Zero(matrix_.columns, left.cols());
    for_each_entry([&](std::size_t entry, std::int64_t row, std::int32_t column) {
      result.row(column) += residuals_[entry] * left.row(row);
    });
    return result;
  }

  // |a - b|^2 / |b|^2, by the factors, which are orthonormal to float precision only: nothing may rest on that here.
  static double squared_change(const Factors& a, const Factors& b) {
    const Eigen::Index first = a.d.size(), second = b.d.size();
    Eigen::MatrixXd left(a.u.rows(), first + second), right(a.v.rows(), first + second);
    left << (a.u * a.d.asDiagonal()).cast<double>(), (b.u * b.d.asDiagonal()).cast<double>() * -1;
    right << a.v.cast<double>(), b.v.cast<double>();
    const double change = (left.transpose() * left).cwiseProduct(right.transpose() * right).sum();
    const double size = b.d.cast<double>().squaredNorm();
    return size > 0 ? change / size : change;
  }

  const PartialMatrix& matrix_;
  std::uint64_t seed_;
  std::vector<double> means_;
  std::vector<float> residuals_;  // of each entry
};

struct HiddenEntry {
  std::int64_t row;
  std::int32_t column;
  float value;
};

struct Split {
  PartialMatrix kept;
  std::vector<HiddenEntry> hidden;
};

Split split(const PartialMatrix& matrix, double share, std::uint64_t seed) {
  Split result;
  result.kept.columns = matrix.columns;
  result.kept.begins.reserve(matrix.begins.size());
  Random random(stream_key(seed, "low rank held out"));
  for (std::int64_t row = 0; row < matrix.rows(); ++row) {
    const auto places = matrix.places_of(row);
    const auto values = matrix.values_of(row);
    for (std::size_t e = 0; e < places.size(); ++e) {
      if (random.uniform() < share) {
        result.hidden.push_back({row, places[e], values[e]});
      } else {
        result.kept.places.push_back(places[e]);
        result.kept.values.push_back(values[e]);
      }
    }
    result.kept.begins.push_back(std::ssize(result.kept.places));
  }
  return result;
}

class SoftImpute final : public LowRankCompletion {
 public:
  explicit SoftImpute(const LowRankOptions& options) : options_(options) {}

  void fit(const PartialMatrix& matrix, std::uint64_t seed, Reporter& reporter) override {
    SoftThresholding all(matrix, seed);
    means_ = all.means();
    z_ = all.nothing();
    std::int64_t width = options_.most_rank;
    if (options_.lambda < 0) {
      choose(matrix, seed, reporter);
      width = z_.d.size();
    } else {
      lambda_ = options_.lambda;
      double lambda = all.largest();
      for (int i = 0; i < kMostLambdas && lambda * options_.step > lambda_; ++i)
        all.solve(z_, lambda *= options_.step, next_width(), options_);
    }
    all.solve(z_, lambda_, width, options_);
  }

  void row(std::int64_t row, std::span<float> guess) const override {
    const Eigen::VectorXf deviations = z_.v * (z_.u.row(row).transpose().array() * z_.d.array()).matrix();
    for (std::size_t c = 0; c < guess.size(); ++c)
      guess[c] = static_cast<float>(means_[c]) + deviations[static_cast<Eigen::Index>(c)];
  }
  double lambda() const override { return lambda_; }
  std::int64_t rank() const override { return z_.rank(); }

 private:
  std::int64_t next_width() const { return std::min(options_.most_rank, z_.rank() + kRankStep); }

  // lambda_, and its solution without the hidden entries as z_, from which that with them is near.
  void choose(const PartialMatrix& matrix, std::uint64_t seed, Reporter& reporter) {
    const auto [kept, hidden] = split(matrix, options_.held_out, seed);
    SoftThresholding path(kept, seed);
    double lambda = lambda_ = path.largest();
    double best = error(path, hidden);  // of the means alone
    Factors best_z = z_;
    int worse = 0;
    for (int i = 0; i < kMostLambdas && worse < kPatience && lambda > 0; ++i) {
      lambda *= options_.step;
      path.solve(z_, lambda, next_width(), options_);
      const double now = error(path, hidden);
      reporter.progress("lambdas", static_cast<std::uint64_t>(i + 1), 0, "low rank");
      worse = now < best ? 0 : worse + 1;
      if (worse > 0) continue;
      best = now;
      best_z = z_;
      lambda_ = lambda;
    }
    reporter.progress_done();
    z_ = std::move(best_z);
  }

  double error(const SoftThresholding& path, const std::vector<HiddenEntry>& hidden) const {
    double squares = 0;
    for (const auto& [row, column, value] : hidden) {
      const double error = value - path.means()[static_cast<std::size_t>(column)] - z_.at(row, column);
      squares += error * error;
    }
    return squares;
  }

  LowRankOptions options_;
  std::vector<double> means_;
  Factors z_;
  double lambda_ = 0;
};

}  // namespace

std::unique_ptr<LowRankCompletion> low_rank_completion(const LowRankOptions& options) {
  return std::make_unique<SoftImpute>(options);
}

}  // namespace ae::fit
