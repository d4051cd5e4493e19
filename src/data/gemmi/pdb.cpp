#include <algorithm>
#include <array>
#include <cmath>
#include <gemmi/pdb.hpp>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/lines.hpp"
#include "data/gemmi/formats.hpp"
#include "data/structures/structures.hpp"

namespace ae::data::molecules {
namespace {

constexpr std::size_t kCoordinates = 30, kCoordinateWidth = 8, kCoordinatesEnd = 54, kElementEnd = 78;

// What is read of a file, line by line: the backbone of the first model. The library would take a coordinate that is no
// number for 0.
class Records {
 public:
  explicit Records(std::unique_ptr<ByteSource> source) : lines_(std::move(source)) {}

  std::string first_model() {
    std::string kept;
    std::string_view line;
    while (lines_.next(line)) {
      if (line.starts_with("MODEL") || line.starts_with("ENDMDL")) {
        ended_ = ended_ || atoms_ > 0;
      } else if (line.starts_with("ATOM  ") || line.starts_with("HETATM")) {
        take_atom(line, kept);
      } else if (line.starts_with("TER") && !ended_) {
        kept += "TER\n";
      }
    }
    return kept;
  }

  std::int64_t atoms() const { return atoms_; }
  std::int64_t models() const { return models_; }

 private:
  void take_atom(std::string_view line, std::string& kept) {
    if (ended_) {
      models_ = std::max<std::int64_t>(models_, 2);
      return;
    }
    ++atoms_;
    if (line.size() < kCoordinatesEnd)
      throw InputError(lines_.place() + ": the line ends before column " + std::to_string(kCoordinatesEnd) +
                       ", where an atom's coordinates end; copy or write the file again");
    if (!is_backbone_name(trimmed(line.substr(12, 4)))) return;
    for (std::size_t axis = 0; axis < 3; ++axis) check(line.substr(kCoordinates + axis * kCoordinateWidth, 8));
    // Charges, which are of no use here, are as often written wrongly.
    kept.append(line.substr(0, kElementEnd));
    if (line.size() <= kCoordinatesEnd + 5 || trimmed(line.substr(kCoordinatesEnd, 6)).empty()) {
      kept.resize(kept.size() - std::min(line.size(), kElementEnd) + kCoordinatesEnd);
      kept += "  1.00";
      if (line.size() > kCoordinatesEnd + 6)
        kept.append(line.substr(kCoordinatesEnd + 6, kElementEnd - kCoordinatesEnd - 6));
    }
    kept += '\n';
  }

  void check(std::string_view text) const {
    const auto number = parse_number(trimmed(text));
    if (!number || std::isnan(*number))
      throw InputError(lines_.place() + ": coordinate " + ae::quoted(text) + "; expected a number in columns 31 to 54");
    check_coordinate(*number, lines_.place());
  }

  Lines lines_;
  std::int64_t atoms_ = 0, models_ = 1;
  bool ended_ = false;
};

ListedAtom listed(const gemmi::Atom& atom) {
  return {atom.name,
          atom.element == gemmi::El::C,
          atom.element == gemmi::El::N,
          atom.altloc == '\0' ? "" : std::string(1, atom.altloc),
          atom.occ,
          {atom.pos.x, atom.pos.y, atom.pos.z}};
}

ListedResidue listed(const gemmi::Residue& residue) {
  ListedResidue result;
  result.type = residue.name;
  result.number = residue.seqid.num.has_value() ? *residue.seqid.num : 0;
  if (residue.seqid.icode != ' ') result.insertion = residue.seqid.icode;
  result.hetero = residue.het_flag == 'H';
  // Behind the first TER of a chain stands what is no polymer, but programs also write further chains there.
  if (residue.entity_type == gemmi::EntityType::Polymer)
    result.place = Place::chain;
  else if (residue.entity_type != gemmi::EntityType::Unknown && result.hetero)
    result.place = Place::elsewhere;
  for (const auto& atom : residue.atoms) result.atoms.push_back(listed(atom));
  return result;
}

}  // namespace

Listing read_pdb(std::unique_ptr<ByteSource> source) {
  const auto name = source->name();
  Records records(std::move(source));
  const auto text = records.first_model();
  if (records.atoms() == 0)
    throw InputError(name + ": found no atoms; expected ATOM records of a PDB file, an mmCIF file, or NPY");
  auto structure = gemmi::read_pdb_from_memory(text.data(), text.size(), name);
  structure.merge_chain_parts();
  Listing listing{{}, records.models() > 1};
  if (structure.models.empty()) return listing;
  for (const auto& chain : structure.models.front().chains) {
    ListedChain result{chain.name, {}};
    for (const auto& residue : chain.residues) result.residues.push_back(listed(residue));
    listing.chains.push_back(std::move(result));
  }
  return listing;
}

}  // namespace ae::data::molecules
