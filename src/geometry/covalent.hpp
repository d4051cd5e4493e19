// Bonds and angles of a backbone against the ideal values of Engh and Huber (1999): International Tables for
// Crystallography, volume F, chapter 18.3. As z-scores: deviation from the ideal value by its standard deviation among
// small molecules.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "geometry/backbone.hpp"

namespace ae::geometry {

struct IdealValue {
  double mean;   // Angstrom; of angles degrees
  double sigma;  // likewise
};

// Of a residue, or (`next`) of the one behind it.
struct AtomPlace {
  BackboneAtom atom;
  bool next = false;
};

// Two atoms of a bond, three of an angle.
struct CovalentType {
  std::vector<AtomPlace> atoms;
  IdealValue general, glycine, proline;
  bool of_next = false;  // it is the next residue that tells which value holds
};

// Of the residue that tells, where its kind is `kind`.
const IdealValue& ideal_value(const CovalentType& type, ResidueKind kind);

// N-CA, CA-C, C-O, C-N. The length C-N is told by the residue that N belongs to.
const std::vector<CovalentType>& bond_types();
// N-CA-C, CA-C-O, CA-C-N, O-C-N, C-N-CA. Those of most residues are taken for glycine and proline, too: they differ by
// less than their standard deviation, but for C-N-CA of cis proline, which is 2 of them wider.
const std::vector<CovalentType>& angle_types();

struct Deviation {
  const CovalentType* type;
  std::size_t residue;  // of atoms that are not the next one's
  double value;         // Angstrom; of angles degrees
  double z;
};

// The residue that tells the ideal value of a place that begins at `residue`.
inline std::size_t telling_residue(const CovalentType& type, std::size_t residue) {
  return residue + (type.of_next ? 1 : 0);
}

// Those whose atoms are all observed; of two residues where is_joined() says so.
std::vector<Deviation> bond_deviations(const Backbone& backbone);
std::vector<Deviation> angle_deviations(const Backbone& backbone);

// "C(52)-N(53)"
std::string place_of(const Deviation& deviation, const Backbone& backbone);

}  // namespace ae::geometry
