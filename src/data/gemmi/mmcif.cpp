#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/gemmi/cif_rows.hpp"
#include "data/gemmi/formats.hpp"
#include "data/structures/structures.hpp"

namespace ae::data::molecules {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 29;

// The library wants the whole text.
std::string whole_text(ByteSource& source) {
  constexpr std::size_t kStep = 1 << 16;
  std::string text;
  for (;;) {
    const auto size = text.size();
    text.resize(size + std::max(kStep, size / 2));
    const auto count = read_fully(source, text.data() + size, text.size() - size);
    text.resize(size + count);
    if (count == 0) return text;
    if (text.size() > kMostBytes) throw InputError(source.name() + ": more than 512 MiB of text; split the file");
  }
}

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
      listing_.more_models = true;
    else if (is_backbone_name(first_text(row, kAuthAtom, kAtom)))
      take(row);
  }

  Listing listing() && {
    place(listing_);
    return std::move(listing_);
  }

 private:
  using ResidueKey = std::tuple<std::size_t, std::string, std::string, std::string, std::string>;

  static const std::string& first_text(const Cells& row, Column first, Column other) {
    return row[first].empty() ? row[other] : row[first];
  }

  InputError wrong(const std::string& tag, const std::string& found, const std::string& expected) const {
    return InputError(name_ + ": atom " + std::to_string(row_) + " of _atom_site: " + tag + " " + ae::quoted(found) +
                      "; expected " + expected);
  }

  double coordinate(const Cells& row, Column column) const {
    const auto& found = row[column];
    // A standard uncertainty may stand behind the number: 1.23(4).
    const auto number = parse_number(std::string_view(found).substr(0, found.find('(')));
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
    const auto number = parse_number(std::string_view(found).substr(0, found.find('(')));
    if (!number || !std::isfinite(*number)) throw wrong("occupancy", found, "a number");
    return *number;
  }

  ListedAtom atom(const Cells& row) const {
    ListedAtom atom;
    atom.name = first_text(row, kAuthAtom, kAtom);
    const auto& symbol = row[kSymbol];
    const bool ion = symbol.empty() && first_text(row, kAuthType, kType) == atom.name;
    atom.carbon = symbol.empty() ? atom.name.starts_with('C') && !ion : symbol == "C";
    atom.nitrogen = symbol.empty() ? atom.name == "N" : symbol == "N";
    atom.conformation = row[kAlternate];
    atom.occupancy = occupancy(row);
    atom.at = {coordinate(row, kX), coordinate(row, kY), coordinate(row, kZ)};
    return atom;
  }

  void take(const Cells& row) {
    const auto& chain_name = first_text(row, kAuthAsym, kAsym);
    const auto [chain, new_chain] = chains_.try_emplace(chain_name, listing_.chains.size());
    if (new_chain) listing_.chains.push_back({chain_name, {}});
    auto& residues = listing_.chains[chain->second].residues;
    const auto& type = first_text(row, kAuthType, kType);
    const ResidueKey key{chain->second, row[kNumber], row[kInsertion], row[kSequence], type};
    const auto [residue, new_residue] = residues_.try_emplace(key, residues.size());
    if (new_residue) {
      ListedResidue listed;
      listed.type = type;
      listed.sequence_place = whole(row, kSequence);
      listed.number = whole(row, kNumber).value_or(listed.sequence_place.value_or(0));
      listed.insertion = row[kInsertion];
      listed.hetero = row[kGroup] == "HETATM";
      residues.push_back(std::move(listed));
    }
    residues[residue->second].atoms.push_back(atom(row));
  }

  // A file that places any residue in its sequence does so with all that have a place there.
  static void place(Listing& listing) {
    const auto placed = [](const ListedResidue& residue) { return residue.sequence_place.has_value(); };
    const bool known =
        std::ranges::any_of(listing.chains, [&](const auto& c) { return std::ranges::any_of(c.residues, placed); });
    if (!known) return;
    for (auto& chain : listing.chains)
      for (auto& residue : chain.residues) residue.place = placed(residue) ? Place::chain : Place::elsewhere;
  }

  std::string name_, first_model_;
  Listing listing_;
  std::size_t row_ = 0;
  std::map<std::string, std::size_t> chains_;
  std::map<ResidueKey, std::size_t> residues_;
};

}  // namespace

Listing read_mmcif(std::unique_ptr<ByteSource> source) {
  const auto name = source->name();
  const auto text = whole_text(*source);
  AtomSites sites(name);
  const auto rows = for_each_cif_row(text, name, "_atom_site.", kTags, [&](const Cells& row) { sites.add(row); });
  if (rows == 0)
    throw InputError(name + ": found no atoms; expected a loop of _atom_site with Cartn_x, Cartn_y and Cartn_z");
  return std::move(sites).listing();
}

}  // namespace ae::data::molecules
