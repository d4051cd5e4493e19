#include "data/gemmi/atoms.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "base/text.hpp"

namespace ae::data::molecules {
namespace {

using geometry::Backbone;
using geometry::BackboneResidue;
using geometry::kBackboneAtoms;
using geometry::kBackboneNames;
using geometry::ResidueKind;

bool is_element(const ListedAtom& atom) { return atom.name == "O" || atom.element == atom.name.substr(0, 1); }

bool in_backbone(const ListedAtom& atom) {
  return atom.name != "CB" && is_backbone_name(atom.name) && is_element(atom);
}

// "" where there is but one. CB decides where no other atom has any.
std::string conformation_of(const ListedResidue& residue) {
  std::map<std::string, double> sums, of_cb;
  for (const auto& atom : residue.atoms)
    if (!atom.conformation.empty() && is_element(atom))
      (atom.name == "CB" ? of_cb : sums)[atom.conformation] += atom.occupancy;
  if (sums.empty()) sums = std::move(of_cb);
  const auto most = std::ranges::max_element(sums, {}, [](const auto& sum) { return sum.second; });
  return most == sums.end() ? "" : most->first;
}

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
  for (const auto name : kBackboneNames)
    if (const auto* atom = find(residue, name, conformation, true)) sum += atom->occupancy;
  return sum;
}

BackboneResidue backbone_of(const ListedResidue& listed, bool even_unseen) {
  BackboneResidue residue;
  const auto conformation = conformation_of(listed);
  for (std::size_t a = 0; a < kBackboneAtoms; ++a) {
    const auto* atom = find(listed, kBackboneNames[a], conformation, even_unseen);
    if (atom == nullptr) continue;
    residue.atoms[a] = atom->at;
    residue.observed[a] = true;
  }
  if (const auto* cb = find(listed, "CB", conformation, even_unseen)) residue.cb = cb->at;
  residue.kind = listed.type == "GLY"   ? ResidueKind::glycine
                 : listed.type == "PRO" ? ResidueKind::proline
                                        : ResidueKind::general;
  residue.label = std::to_string(listed.number) + listed.insertion;
  residue.type = listed.type;
  return residue;
}

bool is_next(const ListedResidue& before, const ListedResidue& after) {
  if (before.sequence_place && after.sequence_place)
    return std::int64_t{*after.sequence_place} - *before.sequence_place == 1;
  const auto step = std::int64_t{after.number} - before.number;
  return step == 1 || (step == 0 && before.insertion != after.insertion);
}

// Those that the file does not place, and that may as well be ligands, when nothing is bonded to them.
bool is_stray(const std::vector<const ListedResidue*>& listed, const std::vector<BackboneResidue>& residues,
              std::size_t i) {
  if (listed[i]->place != Place::unknown || !listed[i]->hetero) return false;
  return (i == 0 || !geometry::is_bonded(residues[i - 1], residues[i])) &&
         (i + 1 == residues.size() || !geometry::is_bonded(residues[i], residues[i + 1]));
}

bool is_candidate(const ListedResidue& residue) {
  return residue.place != Place::elsewhere &&
         std::ranges::any_of(residue.atoms, [](const auto& a) { return a.name != "O" && in_backbone(a); });
}

// Of residue types at one number the most occupied one, the first of equal ones; null: there is none.
const ListedResidue* most_occupied(const ListedSite& site) {
  const ListedResidue* most = nullptr;
  for (const auto& residue : site)
    if (is_candidate(residue) && (most == nullptr || occupancy_of(residue) > occupancy_of(*most))) most = &residue;
  return most;
}

Backbone backbone_of(const ListedChain& chain) {
  std::vector<const ListedResidue*> listed;
  bool seen = false;
  for (const auto& site : chain.sites) {
    const auto* residue = most_occupied(site);
    if (residue == nullptr) continue;
    listed.push_back(residue);
    seen = seen || std::ranges::any_of(residue->atoms, [](const auto& atom) { return atom.occupancy > 0; });
  }
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

// Whether both cannot be of one residue.
bool contradict(const ListedSite& a, const ListedSite& b) {
  const auto same = [](const ListedAtom& x, const ListedAtom& y) {
    return x.name == y.name && (x.conformation == y.conformation || x.conformation.empty() || y.conformation.empty());
  };
  for (const auto& one : a)
    for (const auto& other : b)
      for (const auto& atom : one.atoms)
        if (std::ranges::any_of(other.atoms, [&](const auto& y) { return same(atom, y); })) return true;
  return false;
}

ListedResidue& of_type(ListedSite& site, const ListedResidue& residue) {
  const auto found = std::ranges::find(site, residue.type, &ListedResidue::type);
  if (found != site.end()) return *found;
  site.push_back(residue);
  site.back().atoms.clear();
  return site.back();
}

}  // namespace

bool is_backbone_name(std::string_view atom) {
  return atom == "CB" || std::ranges::find(kBackboneNames, atom) != kBackboneNames.end();
}

ChainLister::Number ChainLister::number_of(const ListedResidue& residue) {
  return {residue.number, residue.insertion, residue.sequence_place};
}

bool ChainLister::add(const std::string& chain, const ListedResidue& residue, ListedAtom atom) {
  if (chain != name_) end_part();
  name_ = chain;
  if (part_.empty() || number_of(part_.back().front()) != number_of(residue)) part_.emplace_back();
  auto& atoms = of_type(part_.back(), residue).atoms;
  const auto same = [&](const auto& a) { return a.name == atom.name && a.conformation == atom.conformation; };
  if (std::ranges::any_of(atoms, same)) return false;
  atoms.push_back(std::move(atom));
  return true;
}

bool ChainLister::was_there(const Growing& growing) const {
  return std::ranges::any_of(part_, [&](const auto& site) {
    const auto found = growing.sites.find(number_of(site.front()));
    return found != growing.sites.end() && contradict(chains_[growing.chain].sites[found->second], site);
  });
}

// Behind the TER of a chain stands what is no polymer, but programs also write further chains there, and TER behind
// ligands.
void ChainLister::place(const Growing* before, bool ter) {
  const bool behind = before != nullptr && before->ended;
  const auto is_polymer = [](const ListedSite& site) { return !site.front().hetero; };
  const bool polymer = ter && (!behind || std::ranges::any_of(part_, is_polymer));
  for (auto& site : part_)
    for (auto& residue : site)
      if (polymer)
        residue.place = Place::chain;
      else if (behind && residue.hetero)
        residue.place = Place::elsewhere;
}

void ChainLister::append(Growing& growing) {
  auto& sites = chains_[growing.chain].sites;
  for (auto& site : part_) {
    const auto [found, is_new] = growing.sites.try_emplace(number_of(site.front()), sites.size());
    if (!is_new && !contradict(sites[found->second], site)) {
      for (auto& residue : site) {
        auto& atoms = of_type(sites[found->second], residue).atoms;
        atoms.insert(atoms.end(), residue.atoms.begin(), residue.atoms.end());
      }
      continue;
    }
    found->second = sites.size();
    sites.push_back(std::move(site));
  }
}

void ChainLister::end_part(bool ter) {
  if (part_.empty()) return;
  auto found = growing_.find(name_);
  if (found != growing_.end() && was_there(found->second)) {
    growing_.erase(found);
    found = growing_.end();
  }
  place(found == growing_.end() ? nullptr : &found->second, ter);
  if (found == growing_.end()) {
    found = growing_.emplace(name_, Growing{chains_.size()}).first;
    chains_.push_back({name_, {}});
  }
  append(found->second);
  found->second.ended = found->second.ended || ter;
  part_.clear();
}

std::vector<ListedChain> ChainLister::chains() && {
  end_part();
  return std::move(chains_);
}

InputError listed_twice(const std::string& place, const ListedAtom& atom, const ListedResidue& residue) {
  return InputError(place + ": atom " + ae::quoted(atom.name) + " of residue " + std::to_string(residue.number) +
                    residue.insertion +
                    " comes a second time; expected one of each conformation; keep copies apart by chains or models");
}

std::vector<Backbone> backbones_of(const std::vector<ListedChain>& chains) {
  std::vector<Backbone> backbones;
  std::map<std::string, int> named;
  for (const auto& chain : chains) {
    auto backbone = backbone_of(chain);
    const auto observed = [](const auto& residue) { return std::ranges::count(residue.observed, true) > 0; };
    if (std::ranges::none_of(backbone.residues, observed)) continue;
    if (const int count = ++named[chain.name]; count > 1) backbone.id += '(' + std::to_string(count) + ')';
    backbones.push_back(std::move(backbone));
  }
  return backbones;
}

}  // namespace ae::data::molecules
