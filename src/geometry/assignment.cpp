#include "geometry/assignment.hpp"

#include <limits>

namespace ae::geometry {

// Prices of rows and columns are kept so that cost - row - column is never below 0, and 0 where a row has its column.
// Column n is no column: the row that is to be given one begins there.
void Assignment::give(std::span<const double> cost, std::size_t n, std::size_t row) {
  slack_.assign(n + 1, std::numeric_limits<double>::infinity());
  before_.assign(n + 1, n);
  done_.assign(n + 1, false);
  row_of_[n] = row;
  std::size_t column = n;
  while (row_of_[column] != n) {
    done_[column] = true;
    const auto here = row_of_[column];
    double least = std::numeric_limits<double>::infinity();
    auto next = n;
    for (std::size_t j = 0; j < n; ++j) {
      if (done_[j]) continue;
      const double rest = cost[here * n + j] - row_price_[here] - column_price_[j];
      if (rest < slack_[j]) {
        slack_[j] = rest;
        before_[j] = column;
      }
      if (slack_[j] < least) {
        least = slack_[j];
        next = j;
      }
    }
    for (std::size_t j = 0; j <= n; ++j) {
      if (done_[j]) {
        row_price_[row_of_[j]] += least;
        column_price_[j] -= least;
      } else {
        slack_[j] -= least;
      }
    }
    column = next;
  }
  while (column != n) {
    row_of_[column] = row_of_[before_[column]];
    column = before_[column];
  }
}

std::span<const std::size_t> Assignment::operator()(std::span<const double> cost, std::size_t n) {
  row_price_.assign(n, 0);
  column_price_.assign(n + 1, 0);
  row_of_.assign(n + 1, n);
  for (std::size_t row = 0; row < n; ++row) give(cost, n, row);
  column_of_.resize(n);
  for (std::size_t column = 0; column < n; ++column) column_of_[row_of_[column]] = column;
  return column_of_;
}

}  // namespace ae::geometry
