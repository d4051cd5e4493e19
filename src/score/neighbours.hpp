// Table rows as points, and an exact search for the nearest of stored points.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/repeats.hpp"
#include "model/batch.hpp"

namespace ae::score {

class Pace;

// A number is one coordinate; a category one per code, 1 for the row's code and 0 else, so that two different levels
// are as far apart (squared distance 2) as two random standardised numbers are on average. Unobserved cells are 0.
//
// Optionally the coordinates of numbers that vary are curved: asinh of the scaled value, standardised again, which lets
// far values lie less far and leaves near ones almost as they are.
class Encoding {
 public:
  // `alarm`: factor of the coordinates of columns that were constant in training.
  explicit Encoding(const std::vector<model::Element>& elements, double alarm = 1);
  std::int64_t width() const { return width_; }              // coordinates
  at::Tensor points(const model::Batch& batch) const;        // [samples, width] float32
  at::Tensor spread(const at::Tensor& per_element) const;    // [n, elements] -> [n, width], each cell's value repeated
  at::Tensor gathered(const at::Tensor& coordinates) const;  // [n, width] -> [n, elements], sums over each cell's
  at::Tensor cells(const at::Tensor& coordinates) const;     // [n, width] -> [n, elements]: number, or likeliest code

  const at::Tensor& numeric() const { return numeric_; }  // [width] 1 for numbers, 0 for categories

  void curve(const model::Batch& rows);              // fits the curved coordinates
  void curve(at::Tensor center, at::Tensor spread);  // [width] float64 each, from an earlier fit
  const at::Tensor& curve_center() const { return center_; }
  const at::Tensor& curve_spread() const { return spread_; }

 private:
  at::Tensor straight_points(const model::Batch& batch) const;

  std::vector<model::Element> elements_;
  std::vector<std::int64_t> first_;  // coordinate of each element
  at::Tensor factors_;               // [elements], undefined when all are 1
  at::Tensor owner_;                 // [width] int64: element of each coordinate
  std::int64_t width_ = 0;
  bool plain_ = true;   // one coordinate per element
  at::Tensor numeric_;  // [width]
  at::Tensor curved_;   // [width] 1 where curved
  at::Tensor center_;   // [width] float64, undefined when nothing is curved
  at::Tensor spread_;   // [width]
};

// The k nearest of stored points by Euclidean distance over the coordinates observed in both, scaled up by width /
// #those (Dixon 1979); no common coordinate is infinitely far. Distances are found by matrix products in float32 and
// every candidate that rounding cannot rule out is checked in float64: the answer is exact, ties go to the lower
// index, and it does not depend on the other queries or on the number of threads.
class NeighbourIndex {
 public:
  NeighbourIndex() = default;
  // points [rows, width] float32, finite, 0 where not observed; observed the same shape, or undefined when all are.
  explicit NeighbourIndex(const at::Tensor& points, const at::Tensor& observed = {});

  std::int64_t rows() const { return points_.defined() ? points_.size(0) : 0; }
  const at::Tensor& points() const { return points_; }

  // index [queries * k], nearest first, -1 where there are not so many; squared distances likewise (infinity).
  struct Found {
    std::int64_t k = 0;
    std::vector<std::int64_t> index;
    std::vector<double> distance;
    // How many real neighbours query i has.
    std::int64_t count(std::int64_t i) const;
  };
  // `excluded`: empty, or for each query the stored row that must not be found (-1: none), nor any that `repeats` calls
  // identical to it. `observed` may be undefined. `pace`, if given, is told of the queries as they are answered.
  // Interrupted when a stop signal has arrived.
  Found search(const at::Tensor& queries, const at::Tensor& observed, std::int64_t k,
               const std::vector<std::int64_t>& excluded = {}, const Repeats& repeats = {}, Pace* pace = nullptr) const;

 private:
  at::Tensor points_;    // [rows, width]
  at::Tensor observed_;  // [rows, width] or undefined
  at::Tensor squares_;   // [rows] or, with missing cells, [rows, width]
};

// The mean of each query's first `k` found rows: [queries, width] float64. With `observed` [rows, width] (may be
// undefined: all), of the rows in which the coordinate was observed. 0 without any.
at::Tensor mean_of_found(const NeighbourIndex::Found& found, std::int64_t k, const at::Tensor& points,
                         const at::Tensor& observed = {});

}  // namespace ae::score
