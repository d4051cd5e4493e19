// Lattices of crystals: cells, their reduction, and the true nearest image in them.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "geometry/vectors.hpp"

namespace ae::geometry {

// Vectors a, b, c of a cell as rows, in Angstrom.
using Lattice = std::array<Point, 3>;

// Lengths in Angstrom, angles alpha (b, c), beta (a, c), gamma (a, b) in degrees.
struct CellParameters {
  Point lengths{};
  Point angles{};
};

// a along x, b in the plane of x and y. None where these make no cell: a number is not finite or not above 0, or the
// angles do not close.
std::optional<Lattice> lattice_of(const CellParameters& cell);
CellParameters parameters_of(const Lattice& lattice);

// Cubic Angstrom, never negative.
double volume(const Lattice& lattice);

// Of fractions of the cell's vectors, and back.
Point cartesian(const Lattice& lattice, const Point& fractions);
class Fractions {
 public:
  explicit Fractions(const Lattice& lattice);  // of a volume above 0
  Point operator()(const Point& cartesian) const;

 private:
  Lattice reciprocal_{};
};

// Distances between lattice planes, Angstrom: volume / |b x c| and so on.
Point plane_spacings(const Lattice& lattice);

// Another basis of the same lattice, right-handed or left-handed as the first one: the three shortest vectors that are
// one (Minkowski's; Semaev 2001), sorted by length.
Lattice reduced(const Lattice& lattice);

// Of a difference of two positions that of their nearest images. Rounding fractions finds it in cells with right angles
// only. Exact in any cell: the seven pairs of vectors that can bound the Voronoi cell of a lattice are the sums of
// subsets of a basis a, b, c and -(a + b + c) of which no two enclose an acute angle (Selling 1874; Conway and Sloane
// 1992, Proc. R. Soc. A 436, 55); a vector is shortened by these until none does.
class NearestImage {
 public:
  explicit NearestImage(const Lattice& lattice);  // of a volume above 0
  Point operator()(const Point& difference) const;
  double shortest_vector() const { return shortest_; }  // of the lattice

 private:
  struct Side {
    Point vector;
    double inverse_square;
  };
  Lattice basis_{};
  Lattice reciprocal_{};
  std::array<Side, 7> sides_{};
  double shortest_ = 0;
};

}  // namespace ae::geometry
