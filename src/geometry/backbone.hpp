// The backbone of a protein chain, as far as its geometry needs it. Coordinates are in Angstrom.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "geometry/vectors.hpp"

namespace ae::geometry {

enum class BackboneAtom : std::uint8_t { n, ca, c, o };
constexpr auto kN = BackboneAtom::n, kCa = BackboneAtom::ca, kC = BackboneAtom::c, kO = BackboneAtom::o;
constexpr std::size_t kBackboneAtoms = 4;
constexpr std::int64_t kResidueNumbers = 3 * std::int64_t{kBackboneAtoms};  // coordinates of a residue
constexpr std::array<std::string_view, kBackboneAtoms> kBackboneNames{"N", "CA", "C", "O"};

// What changes the ideal values; `unknown`, without a sequence, has those of most residues, and may be proline.
enum class ResidueKind : std::uint8_t { unknown, general, glycine, proline };

struct BackboneResidue {
  std::array<Point, kBackboneAtoms> atoms{};
  std::array<bool, kBackboneAtoms> observed{};  // the others are missing, whatever stands in `atoms`
  std::optional<Point> cb;
  ResidueKind kind = ResidueKind::unknown;
  bool follows = false;  // the file numbers it as the next one of the residue before it
  std::string label;     // "52A"; "" = counted from 1
  std::string type;      // "GLY"; "" = not known

  bool has(BackboneAtom atom) const { return observed[static_cast<std::size_t>(atom)]; }
  const Point& at(BackboneAtom atom) const { return atoms[static_cast<std::size_t>(atom)]; }
};

// In the order of the chain. Coordinates of observed atoms are finite, and no further than kMostCoordinate from 0.
struct Backbone {
  std::string id;
  std::vector<BackboneResidue> residues;

  std::string label(std::size_t residue) const;
};
constexpr double kMostCoordinate = 1e6;

// A C and an N that are further apart are not bonded: nearly half-way from a peptide bond (1.34) to touching atoms
// (3.2).
constexpr double kMostPeptideBond = 2.5;
bool is_bonded(const BackboneResidue& before, const BackboneResidue& after);

// Whether there should be a peptide bond between `residue` - 1 and it: the file says that they are neighbours, or they
// are bonded. Residues that the file calls neighbours are, however far apart: that is a wrong bond, and not a break.
bool is_joined(const Backbone& backbone, std::size_t residue);

}  // namespace ae::geometry
