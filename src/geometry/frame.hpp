// A place and three axes at right angles, right-handed, in which coordinates can be told.
#pragma once

#include <array>
#include <optional>

#include "geometry/backbone.hpp"

namespace ae::geometry {

// x = origin + axes[0] y[0] + axes[1] y[1] + axes[2] y[2]
struct Frame {
  Point origin{};
  std::array<Point, 3> axes{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};

  Point into(const Point& x) const;    // y
  Point out_of(const Point& y) const;  // x
};

// At CA; the first axis points to C, the second lies in the plane of N, CA and C, on the side of N. None where one of
// them is missing, or they lie within 0.001 Angstrom of a line.
std::optional<Frame> frame_of(const BackboneResidue& residue);

}  // namespace ae::geometry
