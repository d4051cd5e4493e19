#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <gemmi/cif.hpp>
#include <map>
#include <tuple>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/gemmi/formats.hpp"
#include "data/structures/structures.hpp"

namespace ae::data::molecules {
namespace {

namespace cif = gemmi::cif;

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
const std::vector<std::string> kTags{"Cartn_x",
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
  AtomSites(std::string name, cif::Block& block) : name_(std::move(name)), table_(block.find("_atom_site.", kTags)) {
    if (!table_.ok() || table_.length() == 0)
      throw InputError(name_ + ": found no atoms; expected a loop of _atom_site with Cartn_x, Cartn_y and Cartn_z");
  }

  Listing read() {
    Listing listing;
    const auto first_model = text(table_[0], kModel);
    const auto count = table_.length();
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = table_[i];
      row_ = i + 1;
      if (text(row, kModel) != first_model)
        listing.more_models = true;
      else if (is_backbone_name(first_text(row, kAuthAtom, kAtom)))
        take(row, listing);
    }
    place(listing);
    return listing;
  }

 private:
  using Row = cif::Table::Row;
  using ResidueKey = std::tuple<std::size_t, std::string, std::string, std::string, std::string>;

  static std::string text(const Row& row, Column column) {
    return row.has(column) ? cif::as_string(row[column]) : std::string();
  }
  static std::string first_text(const Row& row, Column first, Column other) {
    auto found = text(row, first);
    return found.empty() ? text(row, other) : found;
  }

  InputError wrong(const std::string& tag, const std::string& found, const std::string& expected) const {
    return InputError(name_ + ": atom " + std::to_string(row_) + " of _atom_site: " + tag + " " + ae::quoted(found) +
                      "; expected " + expected);
  }

  double coordinate(const Row& row, Column column) const {
    const auto found = text(row, column);
    // A standard uncertainty may stand behind the number: 1.23(4).
    const auto number = parse_number(std::string_view(found).substr(0, found.find('(')));
    if (!number || std::isnan(*number)) throw wrong(kTags[column], found, "a number");
    check_coordinate(*number, name_ + ": atom " + std::to_string(row_) + " of _atom_site");
    return *number;
  }

  std::optional<int> whole(const Row& row, Column column) const {
    const auto found = text(row, column);
    if (found.empty()) return std::nullopt;
    int number = 0;
    const auto [end, error] = std::from_chars(found.data(), found.data() + found.size(), number);
    if (error != std::errc() || end != found.data() + found.size())
      throw wrong(kTags[column].substr(1), found, "a whole number");
    return number;
  }

  double occupancy(const Row& row) const {
    const auto found = text(row, kOccupancy);
    if (found.empty()) return 1;
    const auto number = parse_number(std::string_view(found).substr(0, found.find('(')));
    if (!number || !std::isfinite(*number)) throw wrong("occupancy", found, "a number");
    return *number;
  }

  ListedAtom atom(const Row& row) const {
    ListedAtom atom;
    atom.name = first_text(row, kAuthAtom, kAtom);
    const auto symbol = text(row, kSymbol);
    const bool ion = symbol.empty() && first_text(row, kAuthType, kType) == atom.name;
    atom.carbon = symbol.empty() ? atom.name.starts_with('C') && !ion : symbol == "C";
    atom.nitrogen = symbol.empty() ? atom.name == "N" : symbol == "N";
    atom.conformation = text(row, kAlternate);
    atom.occupancy = occupancy(row);
    atom.at = {coordinate(row, kX), coordinate(row, kY), coordinate(row, kZ)};
    return atom;
  }

  void take(const Row& row, Listing& listing) {
    const auto chain_name = first_text(row, kAuthAsym, kAsym);
    const auto [chain, new_chain] = chains_.try_emplace(chain_name, listing.chains.size());
    if (new_chain) listing.chains.push_back({chain_name, {}});
    auto& residues = listing.chains[chain->second].residues;
    const auto number = text(row, kNumber), sequence = text(row, kSequence), insertion = text(row, kInsertion),
               type = first_text(row, kAuthType, kType);
    const ResidueKey key{chain->second, number, insertion, sequence, type};
    const auto [residue, new_residue] = residues_.try_emplace(key, residues.size());
    if (new_residue) {
      ListedResidue listed;
      listed.type = type;
      listed.sequence_place = whole(row, kSequence);
      listed.number = whole(row, kNumber).value_or(listed.sequence_place.value_or(0));
      listed.insertion = insertion;
      listed.hetero = text(row, kGroup) == "HETATM";
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

  std::string name_;
  cif::Table table_;
  std::size_t row_ = 0;
  std::map<std::string, std::size_t> chains_;
  std::map<ResidueKey, std::size_t> residues_;
};

}  // namespace

Listing read_mmcif(std::unique_ptr<ByteSource> source) {
  const auto name = source->name();
  const auto text = whole_text(*source);
  auto document = cif::read_memory(text.data(), text.size(), name.c_str());
  if (document.blocks.empty()) throw InputError(name + ": found no data block; expected an mmCIF file");
  return AtomSites(name, document.blocks.front()).read();
}

}  // namespace ae::data::molecules
