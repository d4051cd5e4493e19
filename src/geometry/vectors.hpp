// Points in space, in double precision: lengths, angles, torsions.
#pragma once

#include <array>
#include <cmath>
#include <numbers>

namespace ae::geometry {

constexpr double kDegrees = 180 / std::numbers::pi;  // of a radian

using Point = std::array<double, 3>;

inline Point difference(const Point& a, const Point& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }

inline Point sum(const Point& a, const Point& b) { return {a[0] + b[0], a[1] + b[1], a[2] + b[2]}; }

inline Point scaled(const Point& a, double factor) { return {a[0] * factor, a[1] * factor, a[2] * factor}; }

inline double dot(const Point& a, const Point& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

inline Point cross(const Point& a, const Point& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

inline double length(const Point& a) { return std::sqrt(dot(a, a)); }

inline double distance(const Point& a, const Point& b) { return length(difference(a, b)); }

// At b, in radians, [0, pi]. By both sine and cosine, so that it is exact at 0 and pi too, where acos is not.
inline double angle(const Point& a, const Point& b, const Point& c) {
  const auto u = difference(a, b), v = difference(c, b);
  return std::atan2(length(cross(u, v)), dot(u, v));
}

// About b-c, in radians, [-pi, pi]: 0 where a and d lie on the same side, positive where d is turned clockwise as seen
// from b (IUPAC 1970).
inline double torsion(const Point& a, const Point& b, const Point& c, const Point& d) {
  const auto axis = difference(c, b);
  const auto first = cross(difference(b, a), axis), second = cross(axis, difference(d, c));
  return std::atan2(dot(difference(b, a), second) * length(axis), dot(first, second));
}

}  // namespace ae::geometry
