// Lengths, angles, torsions and volumes of points with their derivatives by each coordinate.
//
// Where a derivative has no direction (two atoms at one place, three on a line) it is 0 or bounded, never NaN.
#pragma once

#include <algorithm>

#include "geometry/vectors.hpp"

namespace ae::geometry {

template <std::size_t count>
struct Measured {
  double value = 0;
  std::array<Point, count> derivatives{};  // by the coordinates of each point
};

constexpr double kLeastLength = 1e-3;  // Angstrom; shorter ones count as so long where something is divided by them

// Of length 1, or shorter where `a` is shorter than kLeastLength.
inline Point direction(const Point& a) { return scaled(a, 1 / std::max(length(a), kLeastLength)); }

inline Measured<2> distance_derivatives(const Point& a, const Point& b) {
  const auto along = direction(difference(a, b));
  return {distance(a, b), {along, scaled(along, -1)}};
}

// Radians, as angle().
inline Measured<3> angle_derivatives(const Point& a, const Point& b, const Point& c) {
  constexpr double kLeastSine = 1e-3;
  const auto u = difference(a, b), v = difference(c, b);
  const auto u1 = direction(u), v1 = direction(v);
  const double cosine = dot(u1, v1), sine = std::max(length(cross(u1, v1)), kLeastSine);
  const auto away = [&](const Point& own, const Point& other, double arm) {
    return scaled(difference(scaled(own, cosine), other), 1 / (std::max(arm, kLeastLength) * sine));
  };
  const auto of_a = away(u1, v1, length(u)), of_c = away(v1, u1, length(v));
  return {angle(a, b, c), {of_a, scaled(sum(of_a, of_c), -1), of_c}};
}

// Radians, as torsion(). Blondel and Karplus (1996), J. Comput. Chem. 17, 1132.
inline Measured<4> torsion_derivatives(const Point& a, const Point& b, const Point& c, const Point& d) {
  constexpr double kLeastSquare = 1e-4;  // of twice the area of three points
  const auto f = difference(a, b), g = difference(b, c), h = difference(d, c);
  const auto left = cross(f, g), right = cross(h, g);
  const double axis = std::max(length(g), kLeastLength);
  const double left_square = std::max(dot(left, left), kLeastSquare),
               right_square = std::max(dot(right, right), kLeastSquare);
  const auto of_a = scaled(left, -axis / left_square), of_d = scaled(right, axis / right_square);
  const auto shift =
      difference(scaled(left, dot(f, g) / (left_square * axis)), scaled(right, dot(h, g) / (right_square * axis)));
  return {torsion(a, b, c, d), {of_a, difference(shift, of_a), scaled(sum(shift, of_d), -1), of_d}};
}

// (a - b) . [(c - b) x (d - b)]: six times the volume between four points, 0 when they lie in a plane.
inline Measured<4> volume_derivatives(const Point& a, const Point& b, const Point& c, const Point& d) {
  const auto u = difference(a, b), v = difference(c, b), w = difference(d, b);
  const auto of_a = cross(v, w), of_c = cross(w, u), of_d = cross(u, v);
  return {dot(u, of_a), {of_a, scaled(sum(of_a, sum(of_c, of_d)), -1), of_c, of_d}};
}

}  // namespace ae::geometry
