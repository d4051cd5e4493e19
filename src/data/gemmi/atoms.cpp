#include "data/gemmi/atoms.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace ae::data::molecules {
namespace {

using geometry::Backbone;
using geometry::BackboneResidue;
using geometry::kBackboneAtoms;
using geometry::ResidueKind;

constexpr std::array<std::string_view, kBackboneAtoms> kNames{"N", "CA", "C", "O"};

bool is_element(const ListedAtom& atom) {
  if (atom.name == "N") return atom.nitrogen;
  return atom.name == "O" || atom.carbon;
}

bool in_backbone(const ListedAtom& atom) {
  return atom.name != "CB" && is_backbone_name(atom.name) && is_element(atom);
}

// "" where there is but one.
std::string conformation_of(const ListedResidue& residue) {
  std::map<std::string, double> sums;
  for (const auto& atom : residue.atoms)
    if (in_backbone(atom) && !atom.conformation.empty()) sums[atom.conformation] += atom.occupancy;
  const auto most = std::ranges::max_element(sums, {}, [](const auto& sum) { return sum.second; });
  return most == sums.end() ? "" : most->first;
}

// The first one that is listed, as some programs write an atom twice.
const ListedAtom* find(const ListedResidue& residue, std::string_view name, const std::string& conformation,
                       bool even_unseen) {
  const ListedAtom* shared = nullptr;
  for (const auto& atom : residue.atoms) {
    if (atom.name != name || !is_element(atom) || (atom.occupancy <= 0 && !even_unseen)) continue;
    if (atom.conformation == conformation) return &atom;
    if (atom.conformation.empty() && shared == nullptr) shared = &atom;
  }
  return shared;
}

double occupancy_of(const ListedResidue& residue) {
  const auto conformation = conformation_of(residue);
  double sum = 0;
  for (const auto name : kNames)
    if (const auto* atom = find(residue, name, conformation, true)) sum += atom->occupancy;
  return sum;
}

BackboneResidue backbone_of(const ListedResidue& listed, bool even_unseen) {
  BackboneResidue residue;
  const auto conformation = conformation_of(listed);
  for (std::size_t a = 0; a < kBackboneAtoms; ++a) {
    const auto* atom = find(listed, kNames[a], conformation, even_unseen);
    if (atom == nullptr) continue;
    residue.atoms[a] = atom->at;
    residue.observed[a] = true;
  }
  if (const auto* cb = find(listed, "CB", conformation, even_unseen)) residue.cb = cb->at;
  residue.kind = listed.type == "GLY"   ? ResidueKind::glycine
                 : listed.type == "PRO" ? ResidueKind::proline
                                        : ResidueKind::general;
  residue.label = std::to_string(listed.number) + listed.insertion;
  return residue;
}

bool same_number(const ListedResidue& a, const ListedResidue& b) {
  return a.number == b.number && a.insertion == b.insertion && a.sequence_place == b.sequence_place;
}

bool is_next(const ListedResidue& before, const ListedResidue& after) {
  if (before.sequence_place && after.sequence_place)
    return std::int64_t{*after.sequence_place} - *before.sequence_place == 1;
  const auto step = std::int64_t{after.number} - before.number;
  return step == 1 || (step == 0 && before.insertion != after.insertion);
}

// Of residue types at one number the most occupied one, the first of equal ones.
std::vector<const ListedResidue*> one_a_number(const std::vector<const ListedResidue*>& residues) {
  std::vector<const ListedResidue*> chosen;
  for (const auto* residue : residues) {
    if (chosen.empty() || !same_number(*chosen.back(), *residue))
      chosen.push_back(residue);
    else if (occupancy_of(*residue) > occupancy_of(*chosen.back()))
      chosen.back() = residue;
  }
  return chosen;
}

bool is_bonded(const BackboneResidue& before, const BackboneResidue& after) {
  return before.has(geometry::kC) && after.has(geometry::kN) &&
         geometry::distance(before.at(geometry::kC), after.at(geometry::kN)) <= geometry::kMostPeptideBond;
}

// Those that the file does not place, and that may as well be ligands, when nothing is bonded to them.
bool is_stray(const std::vector<const ListedResidue*>& listed, const std::vector<BackboneResidue>& residues,
              std::size_t i) {
  if (listed[i]->place != Place::unknown || !listed[i]->hetero) return false;
  return (i == 0 || !is_bonded(residues[i - 1], residues[i])) &&
         (i + 1 == residues.size() || !is_bonded(residues[i], residues[i + 1]));
}

bool is_candidate(const ListedResidue& residue) {
  return residue.place != Place::elsewhere &&
         std::ranges::any_of(residue.atoms, [](const auto& a) { return a.name != "O" && in_backbone(a); });
}

Backbone backbone_of(const ListedChain& chain) {
  std::vector<const ListedResidue*> candidates;
  bool seen = false;
  for (const auto& residue : chain.residues) {
    if (!is_candidate(residue)) continue;
    candidates.push_back(&residue);
    seen = seen || std::ranges::any_of(residue.atoms, [](const auto& atom) { return atom.occupancy > 0; });
  }
  const auto listed = one_a_number(candidates);
  std::vector<BackboneResidue> residues;
  for (const auto* residue : listed) residues.push_back(backbone_of(*residue, !seen));
  Backbone backbone{chain.name, {}};
  const ListedResidue* before = nullptr;
  for (std::size_t i = 0; i < residues.size(); ++i) {
    if (is_stray(listed, residues, i)) continue;
    residues[i].follows = before != nullptr && is_next(*before, *listed[i]);
    before = listed[i];
    backbone.residues.push_back(std::move(residues[i]));
  }
  return backbone;
}

}  // namespace

bool is_backbone_name(std::string_view atom) { return atom == "CB" || std::ranges::find(kNames, atom) != kNames.end(); }

std::vector<Backbone> backbones_of(const std::vector<ListedChain>& chains) {
  std::vector<Backbone> backbones;
  for (const auto& chain : chains) {
    auto backbone = backbone_of(chain);
    const auto observed = [](const auto& residue) { return std::ranges::count(residue.observed, true) > 0; };
    if (std::ranges::any_of(backbone.residues, observed)) backbones.push_back(std::move(backbone));
  }
  return backbones;
}

}  // namespace ae::data::molecules
