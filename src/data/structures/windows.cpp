#include "data/structures/windows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ae::data {
namespace {

using geometry::BackboneResidue;
using geometry::kBackboneAtoms;
using geometry::Point;

// Of all atoms of a kind, or of all kinds.
std::optional<Point> mean_place(std::span<const BackboneResidue> residues, std::optional<geometry::BackboneAtom> kind) {
  Point total{};
  double count = 0;
  for (const auto& residue : residues) {
    for (std::size_t a = 0; a < kBackboneAtoms; ++a) {
      if (!residue.observed[a] || (kind && a != static_cast<std::size_t>(*kind))) continue;
      total = geometry::sum(total, residue.atoms[a]);
      ++count;
    }
  }
  if (count == 0) return std::nullopt;
  return geometry::scaled(total, 1 / count);
}

}  // namespace

geometry::Frame frame_of(std::span<const BackboneResidue> residues) {
  geometry::Frame frame;
  if (const auto place = mean_place(residues, geometry::kCa))
    frame.origin = *place;
  else if (const auto any = mean_place(residues, std::nullopt))
    frame.origin = *any;
  const std::size_t count = residues.size(), middle = count / 2;
  for (std::size_t step = 0; step <= count; ++step) {
    for (const auto at : {middle + step, middle - step}) {  // below 0 it wraps to beyond the last one
      if (at >= count) continue;
      if (const auto own = geometry::frame_of(residues[at])) {
        frame.axes = own->axes;
        return frame;
      }
    }
  }
  return frame;
}

std::int64_t Windows::begin(geometry::Backbone backbone) {
  backbone_ = std::move(backbone);
  given_ = 0;
  first_.clear();
  const std::size_t count = backbone_.residues.size();
  if (cut_.residues == 0) {
    residues_ = count;
    if (count > 0) first_.push_back(0);
    return 0;
  }
  residues_ = static_cast<std::size_t>(cut_.residues);
  std::size_t covered = 0, end_of_covered = 0;
  for (std::size_t begin = 0, end = 0; begin < count; begin = end) {
    end = begin + 1;
    while (end < count && geometry::is_joined(backbone_, end)) ++end;
    for (std::size_t first = begin; first + residues_ <= end; first += static_cast<std::size_t>(cut_.stride)) {
      first_.push_back(first);
      covered += first + residues_ - std::max(first, end_of_covered);
      end_of_covered = first + residues_;
    }
  }
  const auto any = [](const BackboneResidue& residue) { return std::ranges::count(residue.observed, true) > 0; };
  const auto there = static_cast<std::size_t>(std::ranges::count_if(backbone_.residues, any));
  return static_cast<std::int64_t>(there - std::min(there, covered));
}

bool Windows::next(Window& window) {
  if (given_ == first_.size()) return false;
  const auto first = first_[given_++];
  const auto residues = std::span(backbone_.residues).subspan(first, residues_);
  window.id = backbone_.id;
  if (cut_.residues != 0) window.id += ':' + backbone_.label(first) + '-' + backbone_.label(first + residues_ - 1);
  window.frame = cut_.own_frame ? frame_of(residues) : geometry::Frame{};
  window.numbers.clear();
  for (const auto& residue : residues) {
    for (std::size_t a = 0; a < kBackboneAtoms; ++a) {
      const double nothing = std::numeric_limits<double>::quiet_NaN();
      const auto place = residue.observed[a] ? window.frame.into(residue.atoms[a]) : Point{nothing, nothing, nothing};
      window.numbers.insert(window.numbers.end(), place.begin(), place.end());
    }
  }
  return true;
}

std::vector<std::string> window_columns(std::int64_t residues) {
  std::vector<std::string> names;
  for (std::int64_t r = 1; r <= residues; ++r)
    for (const auto atom : geometry::kBackboneNames)
      for (const char axis : {'x', 'y', 'z'})
        names.push_back("r" + std::to_string(r) + "_" + std::string(atom) + "_" + axis);
  return names;
}

}  // namespace ae::data
