#include <array>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/lines.hpp"
#include "data/gemmi/formats.hpp"
#include "data/structures/structures.hpp"

namespace ae::data::molecules {
namespace {

constexpr std::size_t kCoordinates = 30, kCoordinateWidth = 8, kCoordinatesEnd = 54;

// Columns of wwpdb.org/documentation/file-format-content/format33/sect9.html, from 0; "" behind the line's end.
std::string_view field(std::string_view line, std::size_t begin, std::size_t width) {
  return begin < line.size() ? trimmed(line.substr(begin, width)) : std::string_view();
}

// Whole, or hybrid-36 (cci.lbl.gov/hybrid_36), which goes on behind 9999 with A000 to ZZZZ and a000 to zzzz.
std::optional<int> residue_number(std::string_view text) {
  constexpr int kFirst = 10 * 36 * 36 * 36, kLetters = 26 * 36 * 36 * 36, kBefore = 10'000;
  const bool small = !text.empty() && text.front() >= 'a' && text.front() <= 'z';
  const bool hybrid = small || (!text.empty() && text.front() >= 'A' && text.front() <= 'Z');
  if (hybrid && (text.size() != 4 || (!small && upper_case(text) != text))) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, hybrid ? 36 : 10);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!hybrid) return number;
  return number - kFirst + kBefore + (small ? kLetters : 0);
}

// The backbone of the first model, line by line.
class Records {
 public:
  explicit Records(std::unique_ptr<ByteSource> source) : lines_(std::move(source)) {}

  Listing listing() {
    std::string_view line;
    std::size_t bytes = 0;
    while (!more_models_ && lines_.next(line)) {
      bytes += line.size() + 1;
      if (bytes > kMostTextBytes) throw too_much_text(lines_.source().name());
      if (line.starts_with("MODEL") || line.starts_with("ENDMDL") || field(line, 0, 6) == "END") {
        ended_ = ended_ || any_;
      } else if (line.starts_with("ATOM  ") || line.starts_with("HETATM")) {
        take_atom(line);
      } else if (line.starts_with("TER") && !ended_) {
        lister_.end_part(true);
      }
    }
    if (!any_)
      throw InputError(lines_.source().name() +
                       ": found no atoms; expected ATOM records of a PDB file, an mmCIF file, or NPY");
    return {std::move(lister_).chains(), more_models_};
  }

 private:
  void take_atom(std::string_view line) {
    more_models_ = ended_;
    any_ = true;
    if (ended_) return;
    if (line.size() < kCoordinatesEnd)
      throw InputError(lines_.place() + ": the line ends before column " + std::to_string(kCoordinatesEnd) +
                       ", where an atom's coordinates end; copy or write the file again");
    if (!is_backbone_name(field(line, 12, 4))) return;
    ListedResidue residue;
    residue.type = field(line, 17, 3);
    residue.number = number(line.substr(22, 4));
    residue.insertion = field(line, 26, 1);
    residue.hetero = line.starts_with('H');
    const auto listed = atom(line);
    if (!lister_.add(std::string(field(line, 20, 2)), residue, listed))
      throw listed_twice(lines_.place(), listed, residue);
  }

  ListedAtom atom(std::string_view line) const {
    ListedAtom atom;
    atom.name = field(line, 12, 4);
    // Old files have elements in the name's first two columns alone: a calcium ion is further left than a CA.
    const auto element = field(line, 76, 2);
    const bool told = element.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") < element.size();
    atom.element = upper_case(told ? element : field(line, 12, 2));
    atom.conformation = field(line, 16, 1);
    atom.occupancy = occupancy(line);
    for (std::size_t axis = 0; axis < atom.at.size(); ++axis)
      atom.at[axis] = coordinate(line.substr(kCoordinates + axis * kCoordinateWidth, kCoordinateWidth));
    return atom;
  }

  InputError wrong(const std::string& what, std::string_view found, const std::string& expected) const {
    return InputError(lines_.place() + ": " + what + " " + ae::quoted(found) + "; expected " + expected);
  }

  int number(std::string_view text) const {
    const auto number = residue_number(trimmed(text));
    if (!number) throw wrong("residue number", text, "a whole number, or hybrid-36, in columns 23 to 26");
    return *number;
  }

  double occupancy(std::string_view line) const {
    const auto text = field(line, kCoordinatesEnd, 6);
    if (text.empty()) return 1;
    const auto number = parse_number(text);
    if (!number || !std::isfinite(*number)) throw wrong("occupancy", text, "a number in columns 55 to 60, or blanks");
    return *number;
  }

  double coordinate(std::string_view text) const {
    const auto number = parse_number(trimmed(text));
    if (!number || std::isnan(*number)) throw wrong("coordinate", text, "a number in columns 31 to 54");
    check_coordinate(*number, lines_.place());
    return *number;
  }

  Lines lines_;
  ChainLister lister_;
  bool any_ = false, ended_ = false, more_models_ = false;
};

}  // namespace

Listing read_pdb(std::unique_ptr<ByteSource> source) { return Records(std::move(source)).listing(); }

}  // namespace ae::data::molecules
