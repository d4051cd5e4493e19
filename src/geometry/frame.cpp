#include "geometry/frame.hpp"

namespace ae::geometry {

Point Frame::into(const Point& x) const {
  const auto from = difference(x, origin);
  return {dot(from, axes[0]), dot(from, axes[1]), dot(from, axes[2])};
}

Point Frame::out_of(const Point& y) const {
  return sum(sum(origin, scaled(axes[0], y[0])), sum(scaled(axes[1], y[1]), scaled(axes[2], y[2])));
}

std::optional<Frame> frame_of(const BackboneResidue& residue) {
  constexpr double kLeast = 1e-3;  // Angstrom: below, a direction is rounding
  if (!residue.has(kN) || !residue.has(kCa) || !residue.has(kC)) return std::nullopt;
  const auto& ca = residue.at(kCa);
  const auto along = difference(residue.at(kC), ca), side = difference(residue.at(kN), ca);
  const double size = length(along);
  if (!(size > kLeast)) return std::nullopt;
  const auto first = scaled(along, 1 / size);
  const auto across = sum(side, scaled(first, -dot(side, first)));
  const double width = length(across);
  if (!(width > kLeast)) return std::nullopt;
  const auto second = scaled(across, 1 / width);
  return Frame{ca, {first, second, cross(first, second)}};
}

}  // namespace ae::geometry
