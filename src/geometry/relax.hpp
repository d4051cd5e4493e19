// The nearest backbone whose geometry is as measured structures have it.
//
// The least squared displacement such that
// - root mean squares of z of bonds and of angles (see covalent.hpp), of omega, and of what carbonyls lie out of their
//   planes, are no larger than those of crystal structures,
// - no z is beyond 4, and no atoms clash (see clashes.hpp).
// What holds already is no reason to move: a structure of which all hold stays as it is, bit by bit. The limits are
// those of measured structures and not 0, which none has: the discrepancy principle (Morozov 1966). Found by a
// Levenberg-Marquardt method for displacement + weights x squares of z, whose weights rise and fall until each root
// mean square is at its limit, or below it without weight.
#pragma once

#include <cstdint>

#include "geometry/backbone.hpp"

namespace ae::geometry {

struct RelaxOptions {
  std::int64_t steps = 100;  // at most; each solves one linear system
};

struct Relaxed {
  std::int64_t steps = 0;  // that were made
  bool converged = false;  // all limits are kept, and steps no longer bring anything
  double moved = 0;        // root mean square over the observed N, CA, C and O, in Angstrom; 0 where there are none
};

// Moves the observed N, CA, C and O. Peptide bonds become trans or cis, whichever is likelier by where their atoms are
// and by the residue behind. CB is carried along in the frame of N, CA and C, so that no chiral volume changes its
// sign. What is missing stays missing, and residues that are not joined (see is_joined()) get no bond.
//
// The result turns and shifts with the input. Coordinates stay finite and within kMostCoordinate of 0; where they would
// not, nothing moves, and `converged` is false. Time and memory are proportional to residues and steps. Interrupted,
// as throw_if_stopped(), after a stop signal.
Relaxed relax(Backbone& backbone, const RelaxOptions& options);

}  // namespace ae::geometry
