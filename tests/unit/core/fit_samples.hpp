// A small sample with outcomes of all families, made by formulas that fit_reference.R repeats.
#pragma once

#include <Eigen/Core>
#include <cmath>

#include "fit/linear_model.hpp"
#include "fit/outcome.hpp"

namespace ae::test {

constexpr Eigen::Index kSampleRows = 60;

inline double sample_noise(Eigen::Index i) { return static_cast<double>((i * 37) % 61) / 61; }

inline fit::Columns sample_columns() {
  fit::Columns columns{{}, {}, Eigen::MatrixXd(kSampleRows, 4)};
  for (int j = 1; j <= 4; ++j) {
    columns.names.push_back("x" + std::to_string(j));
    columns.controls.push_back(false);
    for (Eigen::Index row = 0; row < kSampleRows; ++row) {
      const double i = static_cast<double>(row + 1);
      columns.values(row, j - 1) = std::sin(i * j * 1.3 + j) * j + std::cos(i * i * 0.7 * j);
    }
  }
  return columns;
}

// More columns than rows.
inline fit::Columns wide_columns() {
  fit::Columns columns{{}, {}, Eigen::MatrixXd(kSampleRows, 70)};
  for (int j = 1; j <= 70; ++j) {
    columns.names.push_back("w" + std::to_string(j));
    columns.controls.push_back(false);
    for (Eigen::Index row = 0; row < kSampleRows; ++row)
      columns.values(row, j - 1) = std::sin(static_cast<double>(row + 1) * (j + 3) * 0.9 + j);
  }
  return columns;
}

inline fit::Outcome sample_survival() {
  const auto x = sample_columns().values;
  fit::Outcome outcome{fit::Family::cox};
  for (Eigen::Index row = 0; row < kSampleRows; ++row) {
    const double hazard = std::exp(-0.4 * x(row, 0) + 0.2 * x(row, 2));
    outcome.times.push_back(std::ceil(12 * hazard * (0.2 + sample_noise(row + 1))));
    outcome.events.push_back(((row + 1) * 17) % 10 < 7);
  }
  return outcome;
}

inline fit::Outcome sample_numbers() {
  const auto x = sample_columns().values;
  fit::Outcome outcome{fit::Family::ridge};
  for (Eigen::Index row = 0; row < kSampleRows; ++row)
    outcome.values.push_back(2 + x(row, 0) - 0.5 * x(row, 3) + 3 * (sample_noise(row + 1) - 0.5));
  return outcome;
}

inline fit::Outcome sample_classes(int classes) {
  const auto x = sample_columns().values;
  fit::Outcome outcome{fit::Family::logistic};
  for (int k = 0; k < classes; ++k) outcome.class_names.push_back(std::to_string(k));
  for (Eigen::Index row = 0; row < kSampleRows; ++row) {
    const double noise = sample_noise(row + 1) - 0.5;
    if (classes == 2)
      outcome.classes.push_back(x(row, 0) - 0.3 * x(row, 1) + 4 * noise > 0);
    else
      outcome.classes.push_back(x(row, 0) + 5 * noise > 1 ? 2 : x(row, 1) + 4 * noise > 0 ? 1 : 0);
  }
  return outcome;
}

}  // namespace ae::test
