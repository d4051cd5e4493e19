// Loss terms that know what a protein's backbone is, for the registry. Internal to this room.
//
// Their elements are coordinates in Angstrom: of each residue N, CA, C and O, of each atom x, y and z. They judge in
// that unit, whatever scale the network has; an atom counts where all its coordinates are observed. Residues are taken
// to follow each other and to be of most kinds, neither glycine nor proline. Each is one number a sample, which all its
// elements have, but kabsch_mse, which has one for each.
#pragma once

#include <memory>

#include "loss/term.hpp"

namespace ae::loss {

// Means over a chain of the squared z-scores of its bonds, or angles, against Engh and Huber (see
// geometry/covalent.hpp); beyond 3 standard deviations they grow linearly (Huber 1964), so that the first steps of
// training stay small.
std::unique_ptr<Term> make_bond();
std::unique_ptr<Term> make_angle();
// Likewise of peptide bonds: sin^2(omega) / sin^2(5.8 degrees), which is 0 for trans and cis: a cis peptide before
// proline is none to be mended. The standard deviation is that of PROCHECK (Laskowski et al. 1993).
std::unique_ptr<Term> make_planarity();
// For each residue the squares of overlaps beyond those allowed, in units of what is allowed (see
// geometry/clashes.hpp).
std::unique_ptr<Term> make_clash();
// Mean of 1 - cos(difference) of phi, psi and omega between prediction and target: of the four terms above none knows a
// chain from its mirror image.
std::unique_ptr<Term> make_torsion();
// bond + angle + planarity + clash
std::unique_ptr<Term> make_geometry();
// Squared error of each coordinate after the rotation and translation that make their sum least (Kabsch 1976, without
// reflections), in square Angstrom. The rotation is not differentiated: the gradient is exact all the same, since the
// sum is least in it.
std::unique_ptr<Term> make_kabsch();

}  // namespace ae::loss
