#include "geometry/clashes.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>

namespace ae::geometry {
namespace {

struct PlacedAtom {
  Point at;
  double radius;
  std::size_t residue;
  std::size_t number;  // see AtomPair
};

constexpr double kMostReach = 2 * *std::max_element(kRadii.begin(), kRadii.end());
using CellIndex = std::array<std::int64_t, 3>;

CellIndex cell_of(const Point& at, double edge) {
  CellIndex cell{};
  for (std::size_t axis = 0; axis < cell.size(); ++axis)
    cell[axis] = static_cast<std::int64_t>(std::floor(at[axis] / edge));
  return cell;
}

// 21 bits an axis, which kMostCoordinate leaves enough.
std::uint64_t key_of(const CellIndex& cell) {
  constexpr std::int64_t kHalf = std::int64_t{1} << 20;
  static_assert(kMostCoordinate / (kMostReach - kClashOverlap) + 2 < kHalf);
  std::uint64_t key = 0;
  for (const auto index : cell) key = key << 21 | static_cast<std::uint64_t>(index + kHalf);
  return key;
}

double overlap_of(const PlacedAtom& a, const PlacedAtom& b) { return a.radius + b.radius - distance(a.at, b.at); }

// Atoms are compared with those that came before them in their own cell and those around it. Calls
// visit(before, atom) for those that overlap by `overlap` or more, until it returns false; cells keep their first
// `most` atoms.
template <typename Visit>
void visit_close_atoms(const Backbone& backbone, double overlap, std::size_t most, Visit visit) {
  const double edge = kMostReach - overlap;
  std::unordered_map<std::uint64_t, std::vector<PlacedAtom>> cells;
  const auto add = [&](const PlacedAtom& atom) {
    const auto own = cell_of(atom.at, edge);
    for (std::int64_t x = own[0] - 1; x <= own[0] + 1; ++x) {
      for (std::int64_t y = own[1] - 1; y <= own[1] + 1; ++y) {
        for (std::int64_t z = own[2] - 1; z <= own[2] + 1; ++z) {
          const auto found = cells.find(key_of({x, y, z}));
          if (found == cells.end()) continue;
          for (const auto& before : found->second)
            if (overlap_of(before, atom) >= overlap && !visit(before, atom)) return false;
        }
      }
    }
    auto& cell = cells[key_of(own)];
    if (cell.size() < most) cell.push_back(atom);
    return true;
  };
  for (std::size_t residue = 0; residue < backbone.residues.size(); ++residue)
    for (std::size_t a = 0; a < kBackboneAtoms; ++a)
      if (backbone.residues[residue].observed[a] &&
          !add({backbone.residues[residue].atoms[a], kRadii[a], residue, residue * kBackboneAtoms + a}))
        return;
}

}  // namespace

// Most atoms of a cell clash with each other where there are many, so that the end of counting bounds the work.
std::int64_t clashes(const Backbone& backbone) {
  std::int64_t count = 0;
  std::size_t residue = 0;
  bool joined = false;
  visit_close_atoms(backbone, kClashOverlap, std::numeric_limits<std::size_t>::max(),
                    [&](const PlacedAtom& before, const PlacedAtom& atom) {
                      if (std::exchange(residue, atom.residue) != atom.residue) joined = is_joined(backbone, residue);
                      if (before.residue + (joined ? 1 : 0) < atom.residue) ++count;
                      return count < kMostClashes;
                    });
  return count;
}

std::vector<AtomPair> close_pairs(const Backbone& backbone, const std::vector<char>& joined, double overlap) {
  constexpr std::size_t kMostInCell = 24;
  std::vector<AtomPair> pairs;
  visit_close_atoms(backbone, overlap, kMostInCell, [&](const PlacedAtom& before, const PlacedAtom& atom) {
    if (before.residue + (joined[atom.residue] != 0 ? 1 : 0) < atom.residue)
      pairs.push_back({before.number, atom.number});
    return true;
  });
  return pairs;
}

}  // namespace ae::geometry
