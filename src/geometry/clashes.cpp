#include "geometry/clashes.hpp"

#include <algorithm>
#include <unordered_map>

namespace ae::geometry {
namespace {

struct PlacedAtom {
  Point at;
  double radius;
  std::size_t residue;
};

constexpr double kCell = 2 * *std::max_element(kRadii.begin(), kRadii.end()) - kClashOverlap;  // no clash is longer
using CellIndex = std::array<std::int64_t, 3>;

CellIndex cell_of(const Point& at) {
  CellIndex cell{};
  for (std::size_t axis = 0; axis < cell.size(); ++axis)
    cell[axis] = static_cast<std::int64_t>(std::floor(at[axis] / kCell));
  return cell;
}

// 21 bits an axis, which kMostCoordinate leaves enough.
std::uint64_t key_of(const CellIndex& cell) {
  constexpr std::int64_t kHalf = std::int64_t{1} << 20;
  static_assert(kMostCoordinate / kCell + 2 < kHalf);
  std::uint64_t key = 0;
  for (const auto index : cell) key = key << 21 | static_cast<std::uint64_t>(index + kHalf);
  return key;
}

bool overlap(const PlacedAtom& a, const PlacedAtom& b) {
  return a.radius + b.radius - distance(a.at, b.at) >= kClashOverlap;
}

}  // namespace

// Atoms are compared with those that came before them in their own cell and those around it. Most atoms of a cell clash
// with each other where there are many, so that the end of counting bounds the work.
std::int64_t clashes(const Backbone& backbone) {
  std::unordered_map<std::uint64_t, std::vector<PlacedAtom>> cells;
  std::int64_t count = 0;
  const auto add = [&](const PlacedAtom& atom) {
    const bool joined = is_joined(backbone, atom.residue);
    const auto clash = [&](const PlacedAtom& before) {
      return before.residue + (joined ? 1 : 0) < atom.residue && overlap(before, atom);
    };
    const auto own = cell_of(atom.at);
    for (std::int64_t x = own[0] - 1; x <= own[0] + 1; ++x)
      for (std::int64_t y = own[1] - 1; y <= own[1] + 1; ++y)
        for (std::int64_t z = own[2] - 1; z <= own[2] + 1; ++z)
          if (const auto found = cells.find(key_of({x, y, z})); found != cells.end())
            count += std::ranges::count_if(found->second, clash);
    cells[key_of(own)].push_back(atom);
  };
  for (std::size_t residue = 0; residue < backbone.residues.size(); ++residue) {
    for (std::size_t a = 0; a < kBackboneAtoms; ++a) {
      if (!backbone.residues[residue].observed[a]) continue;
      add({backbone.residues[residue].atoms[a], kRadii[a], residue});
      if (count >= kMostClashes) return kMostClashes;
    }
  }
  return count;
}

}  // namespace ae::geometry
