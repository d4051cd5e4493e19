#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/gemmi/cif_rows.hpp"
#include "data/gemmi/formats.hpp"
#include "data/structures/structures.hpp"

namespace ae::data::molecules {
namespace {

enum Column : std::uint8_t {
  kX,
  kY,
  kZ,
  kGroup,
  kSymbol,
  kAtom,
  kAuthAtom,
  kAlternate,
  kType,
  kAuthType,
  kAsym,
  kAuthAsym,
  kSequence,
  kNumber,
  kInsertion,
  kOccupancy,
  kModel
};

// Of atom_site (mmcif.wwpdb.org); what is not needed may be missing.
using Cells = std::vector<std::string>;
const Cells kTags{"Cartn_x",
                  "Cartn_y",
                  "Cartn_z",
                  "?group_PDB",
                  "?type_symbol",
                  "?label_atom_id",
                  "?auth_atom_id",
                  "?label_alt_id",
                  "?label_comp_id",
                  "?auth_comp_id",
                  "?label_asym_id",
                  "?auth_asym_id",
                  "?label_seq_id",
                  "?auth_seq_id",
                  "?pdbx_PDB_ins_code",
                  "?occupancy",
                  "?pdbx_PDB_model_num"};

class AtomSites {
 public:
  explicit AtomSites(std::string name) : name_(std::move(name)) {}

  void add(const Cells& row) {
    if (++row_ == 1) first_model_ = row[kModel];
    if (row[kModel] != first_model_)
      more_models_ = true;
    else if (is_backbone_name(first_text(row, kAuthAtom, kAtom)))
      take(row);
  }

  Listing listing() && {
    Listing listing{std::move(lister_).chains(), more_models_};
    place(listing);
    return listing;
  }

 private:
  static const std::string& first_text(const Cells& row, Column first, Column other) {
    return row[first].empty() ? row[other] : row[first];
  }

  InputError wrong(const std::string& tag, const std::string& found, const std::string& expected) const {
    return InputError(name_ + ": atom " + std::to_string(row_) + " of _atom_site: " + tag + " " + ae::quoted(found) +
                      "; expected " + expected);
  }

  double coordinate(const Cells& row, Column column) const {
    const auto& found = row[column];
    const auto number = cif_number(found);
    if (!number || std::isnan(*number)) throw wrong(kTags[column], found, "a number");
    check_coordinate(*number, name_ + ": atom " + std::to_string(row_) + " of _atom_site");
    return *number;
  }

  std::optional<int> whole(const Cells& row, Column column) const {
    const auto& found = row[column];
    if (found.empty()) return std::nullopt;
    int number = 0;
    const auto [end, error] = std::from_chars(found.data(), found.data() + found.size(), number);
    if (error != std::errc() || end != found.data() + found.size())
      throw wrong(kTags[column].substr(1), found, "a whole number");
    return number;
  }

  double occupancy(const Cells& row) const {
    const auto& found = row[kOccupancy];
    if (found.empty()) return 1;
    const auto number = cif_number(found);
    if (!number || !std::isfinite(*number)) throw wrong("occupancy", found, "a number");
    return *number;
  }

  ListedAtom atom(const Cells& row) const {
    ListedAtom atom;
    atom.name = first_text(row, kAuthAtom, kAtom);
    const bool ion = first_text(row, kAuthType, kType) == atom.name;
    const auto& symbol = row[kSymbol];
    atom.element = symbol.empty() ? atom.name.substr(0, ion ? atom.name.size() : 1) : upper_case(symbol);
    atom.conformation = row[kAlternate];
    atom.occupancy = occupancy(row);
    atom.at = {coordinate(row, kX), coordinate(row, kY), coordinate(row, kZ)};
    return atom;
  }

  void take(const Cells& row) {
    const auto& chain = first_text(row, kAuthAsym, kAsym);
    if (row[kAsym] != asym_) lister_.end_part();
    asym_ = row[kAsym];
    ListedResidue residue;
    residue.type = first_text(row, kAuthType, kType);
    residue.sequence_place = whole(row, kSequence);
    residue.number = whole(row, kNumber).value_or(residue.sequence_place.value_or(0));
    residue.insertion = row[kInsertion];
    residue.hetero = row[kGroup] == "HETATM";
    const auto listed = atom(row);
    if (!lister_.add(chain, residue, listed))
      throw listed_twice(name_ + ": atom " + std::to_string(row_) + " of _atom_site", listed, residue);
  }

  // A file that places any residue in its sequence does so with all that have a place there.
  static void place(Listing& listing) {
    const auto placed = [](const ListedResidue& residue) { return residue.sequence_place.has_value(); };
    bool known = false;
    for (const auto& chain : listing.chains)
      for (const auto& site : chain.sites) known = known || std::ranges::any_of(site, placed);
    if (!known) return;
    for (auto& chain : listing.chains)
      for (auto& site : chain.sites)
        for (auto& residue : site) residue.place = placed(residue) ? Place::chain : Place::elsewhere;
  }

  std::string name_, first_model_, asym_;
  ChainLister lister_;
  bool more_models_ = false;
  std::size_t row_ = 0;
};

}  // namespace

Listing read_mmcif(std::unique_ptr<ByteSource> source) {
  const auto name = source->name();
  const auto text = whole_text(*source);
  AtomSites sites(name);
  std::size_t count = 0;
  bool more_blocks = false;
  for_each_cif_block(text, name, [&](const CifBlock& block) {
    if (count == 0) {
      count = block.rows("_atom_site.", kTags, [&](const Cells& row) { sites.add(row); });
      return true;
    }
    more_blocks = block.rows("_atom_site.", kTags, [](const Cells&) {}) > 0;
    return !more_blocks;
  });
  if (count == 0)
    throw InputError(name + ": found no atoms; expected a loop of _atom_site with Cartn_x, Cartn_y and Cartn_z");
  auto listing = std::move(sites).listing();
  listing.more_blocks = more_blocks;
  return listing;
}

}  // namespace ae::data::molecules
