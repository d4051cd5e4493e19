// What the geometry of a backbone is held to: lengths, angles, torsions and planes with their ideal values, and atoms
// that may come to overlap.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "geometry/backbone.hpp"
#include "geometry/covalent.hpp"

namespace ae::geometry {

using Points = std::vector<Point>;

// `plane`: the volume of CA, O and N about C, as that of vectors of length 1; 0 where they lie in a plane.
enum class RestraintKind : std::uint8_t { bond, angle, omega, plane };
constexpr std::size_t kRestraintKinds = 4;

struct Restraint {
  RestraintKind kind;
  std::array<std::size_t, 4> atoms;  // of the observed ones; the first points() count
  double ideal;                      // Angstrom, radians, or cubic Angstrom
  double scale;                      // z of a deviation of 1

  std::size_t points() const { return kind == RestraintKind::bond ? 2 : kind == RestraintKind::angle ? 3 : 4; }
};

// Deviation from the ideal value by its standard deviation, and how that changes with each point.
struct Strain {
  double z = 0;
  std::array<Point, 4> derivatives{};
};
Strain strain_of(const Restraint& restraint, const Points& at);

// Two atoms of residues that are not joined as neighbours.
struct Contact {
  std::size_t first, second;  // of the observed atoms
  double touching;            // sum of their radii
};

// The observed N, CA, C and O of a chain, and its restraints. Which residues are joined, and whether a peptide bond is
// to be trans or cis, is told once, by where they are in the beginning. `backbone` must stay and may move.
class RestrainedChain {
 public:
  explicit RestrainedChain(const Backbone& backbone);

  const Points& start() const { return start_; }
  const std::vector<Restraint>& restraints() const { return restraints_; }
  std::size_t reach() const { return reach_; }  // two atoms of a restraint are no further apart in the list
  // Standard deviation of the noise on coordinates that would make bonds and angles as they are, at most 1 Angstrom.
  double noise() const { return noise_; }
  // Pairs that overlap by `overlap` (Angstrom, may be below 0) or more; see close_pairs().
  std::vector<Contact> contacts(const Points& at, double overlap) const;
  void put(const Points& at, Backbone& backbone) const;

 private:
  std::optional<std::array<std::size_t, 4>> atoms_of(const std::vector<AtomPlace>& places, std::size_t residue) const;
  void add_covalent(std::size_t residue);
  void add_peptide(std::size_t residue);
  bool is_cis(std::size_t residue) const;

  const Backbone& backbone_;
  std::vector<std::size_t> numbers_;  // of all atoms: which observed one each is
  std::vector<char> joined_;
  Points start_;
  std::vector<double> radii_;
  std::vector<Restraint> restraints_;
  std::size_t reach_ = 0;
  double noise_ = 0;
};

}  // namespace ae::geometry
