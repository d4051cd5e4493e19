// Backbones of proteins that are as they should be.
#pragma once

#include <cmath>
#include <cstddef>

#include "geometry/backbone.hpp"

namespace ae::geometry {

inline double radians(double degrees) { return degrees / kDegrees; }

// The natural extension of a chain (NeRF, Parsons et al. 2005): D at a distance from C, an angle B-C-D, and a torsion
// about B-C.
inline Point extended(const Point& a, const Point& b, const Point& c, double distance_cd, double angle_bcd,
                      double about) {
  const auto unit = [](const Point& v) { return Point{v[0] / length(v), v[1] / length(v), v[2] / length(v)}; };
  const auto along = unit(difference(c, b));
  const auto normal = unit(cross(difference(b, a), along));
  const auto upright = cross(normal, along);
  Point d{};
  for (std::size_t i = 0; i < d.size(); ++i)
    d[i] = c[i] + distance_cd * (-std::cos(angle_bcd) * along[i] +
                                 std::sin(angle_bcd) * (std::cos(about) * upright[i] + std::sin(about) * normal[i]));
  return d;
}

// All lengths and angles ideal; O, whose angles to CA and N add to 360 degrees with that between these, in their plane.
inline Backbone helix(std::size_t residues, double phi = -57, double psi = -47, double omega = 180) {
  Backbone backbone;
  backbone.residues.resize(residues + 1);
  auto* all = backbone.residues.data();
  const auto point = [&](std::size_t i, BackboneAtom atom) -> Point& {
    return all[i].atoms[static_cast<std::size_t>(atom)];
  };
  point(0, kN) = {0, 0, 0};
  point(0, kCa) = {1.459, 0, 0};
  point(0, kC) = extended({0, 1, 0}, point(0, kN), point(0, kCa), 1.525, radians(111), radians(psi));
  for (std::size_t i = 0; i < residues; ++i) {
    const auto &n = point(i, kN), &ca = point(i, kCa), &c = point(i, kC);
    point(i, kO) = extended(n, ca, c, 1.229, radians(120.1), radians(psi + 180));
    point(i + 1, kN) = extended(n, ca, c, 1.336, radians(117.2), radians(psi));
    point(i + 1, kCa) = extended(ca, c, point(i + 1, kN), 1.459, radians(121.7), radians(omega));
    point(i + 1, kC) = extended(c, point(i + 1, kN), point(i + 1, kCa), 1.525, radians(111), radians(phi));
  }
  backbone.residues.pop_back();
  for (std::size_t i = 0; i < residues; ++i) {
    all[i].observed.fill(true);
    all[i].follows = i > 0;
  }
  return backbone;
}

}  // namespace ae::geometry
