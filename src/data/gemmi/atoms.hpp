// Atoms of a molecule as its file lists them, and chains made of them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.hpp"
#include "geometry/backbone.hpp"

namespace ae::data::molecules {

enum class Place : std::uint8_t { chain, elsewhere, unknown };  // whether a residue is of a polymer, as the file says

struct ListedAtom {
  std::string name;          // "CA"
  std::string element;       // "C", in capitals
  std::string conformation;  // "" = the only one
  double occupancy = 1;
  geometry::Point at{};
};

// Those of one type at one number.
struct ListedResidue {
  std::string type;  // "GLY"
  int number = 0;
  std::string insertion;              // "A" of 52A
  std::optional<int> sequence_place;  // label_seq_id
  bool hetero = false;
  Place place = Place::unknown;
  std::vector<ListedAtom> atoms;
};

// What stands at one number: a residue, or several types of it that exclude each other.
using ListedSite = std::vector<ListedResidue>;

struct ListedChain {
  std::string name;
  std::vector<ListedSite> sites;
};

bool is_backbone_name(std::string_view atom);  // also CB

// Puts atoms into residues and chains in the file's order. A number that comes again is another residue (some programs
// count on from 0 behind 9999), or what was missing of the first one: other atoms, or other conformations. A part of a
// file, such as what stands before TER, whose residues were there in the chain before is a further chain of its name.
class ChainLister {
 public:
  // `residue` without atoms. False when its atom was there, next to it.
  bool add(const std::string& chain, const ListedResidue& residue, ListedAtom atom);
  void end_part(bool ter = false);  // `ter`: which ends polymers
  std::vector<ListedChain> chains() &&;

 private:
  using Number = std::tuple<int, std::string, std::optional<int>>;
  struct Growing {
    std::size_t chain;                         // in chains_
    std::map<Number, std::size_t> sites = {};  // the last one of a number
    bool ended = false;                        // by TER
  };

  static Number number_of(const ListedResidue& residue);
  bool was_there(const Growing& growing) const;
  void place(const Growing* before, bool ter);
  void append(Growing& growing);

  std::string name_;
  std::vector<ListedSite> part_;
  std::vector<ListedChain> chains_;
  std::map<std::string, Growing> growing_;  // the last one of a name
};

// For what add() refuses.
InputError listed_twice(const std::string& place, const ListedAtom& atom, const ListedResidue& residue);

// Chains without a backbone are left out. Further ones of a name are "A(2)" and so on.
std::vector<geometry::Backbone> backbones_of(const std::vector<ListedChain>& chains);

}  // namespace ae::data::molecules
