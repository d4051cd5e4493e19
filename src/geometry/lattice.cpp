#include "geometry/lattice.hpp"

#include <algorithm>
#include <cmath>

namespace ae::geometry {
namespace {

constexpr int kMostSteps = 1000;  // rounding could make a circle of them

// Rows r with r_i . a_j = 1 where i = j and 0 elsewhere.
Lattice reciprocal(const Lattice& lattice) {
  const auto& [a, b, c] = lattice;
  const double triple = dot(a, cross(b, c));
  return {scaled(cross(b, c), 1 / triple), scaled(cross(c, a), 1 / triple), scaled(cross(a, b), 1 / triple)};
}

Point along(const Lattice& reciprocal, const Point& x) {
  return {dot(reciprocal[0], x), dot(reciprocal[1], x), dot(reciprocal[2], x)};
}

void sort_by_length(Lattice& basis) {
  std::ranges::sort(basis, {}, [](const Point& vector) { return dot(vector, vector); });
}

// Lagrange's step; whether it made b shorter.
bool shorten(const Point& a, Point& b) {
  const auto shorter = sum(b, scaled(a, -std::round(dot(a, b) / dot(a, a))));
  if (!(dot(shorter, shorter) < dot(b, b) * (1 - 1e-12))) return false;
  b = shorter;
  return true;
}

// Subtracts from c the nearest of the lattice of a and b, which are reduced: a corner of the mesh it lies above.
bool shorten(const Point& a, const Point& b, Point& c) {
  const double aa = dot(a, a), ab = dot(a, b), bb = dot(b, b), ac = dot(a, c), bc = dot(b, c);
  const double determinant = aa * bb - ab * ab;
  if (!(determinant > 0)) return false;
  const double x = std::floor((ac * bb - bc * ab) / determinant), y = std::floor((bc * aa - ac * ab) / determinant);
  auto best = c;
  for (const double i : {x, x + 1}) {
    for (const double j : {y, y + 1}) {
      const auto other = difference(c, sum(scaled(a, i), scaled(b, j)));
      if (dot(other, other) < dot(best, best)) best = other;
    }
  }
  if (!(dot(best, best) < dot(c, c) * (1 - 1e-12))) return false;
  c = best;
  return true;
}

// Selling's: the basis and the negative of its sum, without acute angles. Few steps, as the basis is reduced.
std::array<Point, 4> obtuse(const Lattice& basis) {
  const auto& [a, b, c] = basis;
  std::array<Point, 4> all{a, b, c, scaled(sum(a, sum(b, c)), -1)};
  const auto step = [&all] {
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t j = i + 1; j < 4; ++j) {
        if (!(dot(all[i], all[j]) > 1e-12 * std::sqrt(dot(all[i], all[i]) * dot(all[j], all[j])))) continue;
        const auto turned = all[i];
        for (std::size_t k = 0; k < 4; ++k)
          if (k != i && k != j) all[k] = sum(all[k], turned);
        all[i] = scaled(turned, -1);
        return true;
      }
    }
    return false;
  };
  for (int steps = 0; steps < kMostSteps && step();) ++steps;
  return all;
}

}  // namespace

std::optional<Lattice> lattice_of(const CellParameters& cell) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double length = cell.lengths[axis], degrees = cell.angles[axis];
    if (!std::isfinite(length) || !(length > 0) || !(degrees > 0 && degrees < 180)) return std::nullopt;
  }
  // Of right angles exactly 0, and not what is left of rounding pi.
  const auto cosine = [](double degrees) { return degrees == 90 ? 0.0 : std::cos(degrees / kDegrees); };
  const auto& [a, b, c] = cell.lengths;
  const double alpha = cosine(cell.angles[0]), beta = cosine(cell.angles[1]), gamma = cosine(cell.angles[2]);
  const double sine = std::sqrt(1 - gamma * gamma);
  const double along_y = (alpha - beta * gamma) / sine;
  const double square = 1 - beta * beta - along_y * along_y;
  if (!(square > 0)) return std::nullopt;
  return Lattice{Point{a, 0, 0}, Point{b * gamma, b * sine, 0}, Point{c * beta, c * along_y, c * std::sqrt(square)}};
}

CellParameters parameters_of(const Lattice& lattice) {
  const Point origin{};
  const auto& [a, b, c] = lattice;
  return {{length(a), length(b), length(c)},
          {angle(b, origin, c) * kDegrees, angle(a, origin, c) * kDegrees, angle(a, origin, b) * kDegrees}};
}

double volume(const Lattice& lattice) { return std::abs(dot(lattice[0], cross(lattice[1], lattice[2]))); }

Point cartesian(const Lattice& lattice, const Point& fractions) {
  return sum(scaled(lattice[0], fractions[0]), sum(scaled(lattice[1], fractions[1]), scaled(lattice[2], fractions[2])));
}

Fractions::Fractions(const Lattice& lattice) : reciprocal_(reciprocal(lattice)) {}

Point Fractions::operator()(const Point& cartesian) const { return along(reciprocal_, cartesian); }

Point plane_spacings(const Lattice& lattice) {
  const auto rows = reciprocal(lattice);
  return {1 / length(rows[0]), 1 / length(rows[1]), 1 / length(rows[2])};
}

Lattice reduced(const Lattice& lattice) {
  auto basis = lattice;
  const bool left_handed = dot(basis[0], cross(basis[1], basis[2])) < 0;
  for (int steps = 0; steps < kMostSteps; ++steps) {
    sort_by_length(basis);
    if (!shorten(basis[0], basis[1]) && !shorten(basis[0], basis[1], basis[2])) break;
  }
  if ((dot(basis[0], cross(basis[1], basis[2])) < 0) != left_handed)
    for (auto& vector : basis) vector = scaled(vector, -1);
  return basis;
}

NearestImage::NearestImage(const Lattice& lattice) : basis_(reduced(lattice)), reciprocal_(reciprocal(basis_)) {
  const auto all = obtuse(basis_);
  for (std::size_t side = 0; side < sides_.size(); ++side) {
    // Subsets of all four, without the empty and the full one, one of each pair that makes the other's negative.
    auto& vector = sides_[side].vector;
    vector = all[3];
    for (std::size_t i = 0; i < 3; ++i)
      if ((side >> i & 1) != 0) vector = sum(vector, all[i]);
    sides_[side].inverse_square = 1 / dot(vector, vector);
  }
  shortest_ = length(basis_[0]);
}

Point NearestImage::operator()(const Point& difference) const {
  auto [x, y, z] = along(reciprocal_, difference);
  auto nearest = geometry::difference(difference, cartesian(basis_, {std::round(x), std::round(y), std::round(z)}));
  for (int steps = 0; steps < kMostSteps; ++steps) {
    bool done = true;
    for (const auto& side : sides_) {
      const double times = dot(nearest, side.vector) * side.inverse_square;
      if (std::abs(times) <= 0.5 + 1e-12) continue;
      nearest = sum(nearest, scaled(side.vector, -std::round(times)));
      done = false;
    }
    if (done) break;
  }
  return nearest;
}

}  // namespace ae::geometry
