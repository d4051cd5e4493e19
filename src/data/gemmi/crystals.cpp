#include "data/gemmi/crystals.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <gemmi/symmetry.hpp>
#include <limits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/crystals/crystals.hpp"
#include "data/gemmi/cif_rows.hpp"
#include "data/gemmi/formats.hpp"
#include "geometry/elements.hpp"

namespace ae::data {
namespace {

using geometry::Crystal;
using geometry::CrystalSite;
using geometry::Point;
using molecules::CifBlock;
using Cells = CifBlock::Cells;

constexpr std::size_t kMostOperations = 1000;  // 192 are the most of a space group in its cell

// Rows and a translation, in fractions.
struct Operation {
  std::array<Point, 3> turn{};
  Point shift{};

  Point operator()(const Point& at) const {
    using geometry::dot;
    return {dot(turn[0], at) + shift[0], dot(turn[1], at) + shift[1], dot(turn[2], at) + shift[2]};
  }
};

// "x, -y+1/2, 0.5+z"; none when it is none.
class OperationText {
 public:
  explicit OperationText(std::string_view text) : text_(lower_case(text)) {
    std::erase_if(text_, [](char c) { return c == ' ' || c == '\t'; });
  }

  std::optional<Operation> read() {
    Operation operation;
    for (std::size_t row = 0; row < 3; ++row) {
      if (row > 0 && !take(',')) return std::nullopt;
      do {
        if (!term(operation.turn[row], operation.shift[row])) return std::nullopt;
      } while (at_ < text_.size() && text_[at_] != ',');
    }
    if (at_ != text_.size()) return std::nullopt;
    return operation;
  }

 private:
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::optional<double> number() {
    const auto end = std::min(text_.find_first_not_of("0123456789.", at_), text_.size());
    const auto value = parse_number(std::string_view(text_).substr(at_, end - at_));
    at_ = end;
    return value;
  }

  // "+1/2", "-x", "2*x", "x/2", "2x".
  bool term(Point& turn, double& shift) {
    double factor = 1;
    if (take('-'))
      factor = -1;
    else
      (void)take('+');
    bool known = at_ < text_.size() && text_.find_first_of("0123456789.", at_) == at_;
    if (known) {
      const auto value = number();
      if (!value) return false;
      factor *= *value;
      (void)take('*');
    }
    double* place = &shift;
    if (at_ < text_.size() && text_[at_] >= 'x' && text_[at_] <= 'z') {
      place = &turn[static_cast<std::size_t>(text_[at_++] - 'x')];
      known = true;
    }
    if (known && take('/')) {
      const auto divisor = number();
      if (!divisor || !(*divisor > 0)) return false;
      factor /= *divisor;
      if (place == &shift) {
        (void)take('*');
        if (at_ < text_.size() && text_[at_] >= 'x' && text_[at_] <= 'z')
          place = &turn[static_cast<std::size_t>(text_[at_++] - 'x')];
      }
    }
    *place += factor;
    return known && std::abs(*place) < 1e6;
  }

  std::string text_;
  std::size_t at_ = 0;
};

class CrystalBlock {
 public:
  CrystalBlock(const CifBlock& block, std::string place, Reporter& reporter)
      : block_(block), place_(std::move(place)), reporter_(reporter) {}

  // None for a block without atoms.
  std::optional<Crystal> crystal() {
    crystal_.id = block_.name();
    std::vector<Cells> atoms;
    for (const char* category : {"_atom_site_", "_atom_site."}) {
      block_.rows(category, kTags, [&](const Cells& row) {
        if (atoms.size() >= geometry::kMostCrystalSites) throw too_many_sites(place_);
        atoms.push_back(row);
      });
    }
    if (atoms.empty()) return std::nullopt;
    read_cell();
    read_operations();
    for (const auto& row : atoms) add(row);
    merge();
    join_shared_sites(crystal_);
    return std::move(crystal_);
  }

 private:
  enum Column : std::uint8_t { kX, kY, kZ, kLabel, kSymbol, kOccupancy, kFlag };
  inline static const Cells kTags{"fract_x",      "fract_y",    "fract_z",   "?label",
                                  "?type_symbol", "?occupancy", "?calc_flag"};

  // The first of these that the file has, in either dictionary's way of writing.
  std::vector<std::string> values(std::initializer_list<const char*> tags) const {
    std::vector<std::string> all;
    for (const char* tag : tags) {
      block_.rows(tag, {""}, [&](const Cells& row) { all.push_back(row.front()); });
      if (!all.empty()) break;
    }
    return all;
  }

  std::optional<double> cell_number(const std::string& underscored, const std::string& dotted) const {
    const auto found = values({underscored.c_str(), dotted.c_str()});
    if (found.empty() || found.front().empty()) return std::nullopt;
    const auto number = molecules::cif_number(found.front());
    if (!number)
      throw InputError(place_ + ": " + underscored + " " + ae::quoted(found.front()) + "; expected a number");
    return number;
  }

  void read_cell() {
    geometry::CellParameters cell;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const std::string length = std::array{"length_a", "length_b", "length_c"}[axis];
      const std::string angle = std::array{"angle_alpha", "angle_beta", "angle_gamma"}[axis];
      cell.lengths[axis] =
          cell_number("_cell_" + length, "_cell." + length).value_or(std::numeric_limits<double>::quiet_NaN());
      cell.angles[axis] = cell_number("_cell_" + angle, "_cell." + angle).value_or(90);
    }
    crystal_.lattice = checked_lattice(cell, place_);
    angles_ = cell.angles;
  }

  void read_operations() {
    const auto listed = values({"_space_group_symop_operation_xyz", "_space_group_symop.operation_xyz",
                                "_symmetry_equiv_pos_as_xyz", "_symmetry_equiv.pos_as_xyz"});
    if (listed.size() > kMostOperations)
      throw InputError(place_ + ": found " + std::to_string(listed.size()) +
                       " operations of symmetry, expected at most " + std::to_string(kMostOperations));
    for (const auto& text : listed) {
      const auto operation = OperationText(text).read();
      if (!operation)
        throw InputError(place_ + ": operation of symmetry " + ae::quoted(text) +
                         "; expected one such as \"x, -y+1/2, z\"");
      operations_.push_back(*operation);
    }
    if (operations_.empty()) read_space_group();
  }

  void read_space_group() {
    const auto names = values({"_space_group_name_H-M_alt", "_space_group.name_H-M_alt",
                               "_symmetry_space_group_name_H-M", "_symmetry.space_group_name_H-M"});
    const auto name = names.empty() ? std::string() : names.front();
    if (name.empty()) {
      if (const auto numbers =
              values({"_space_group_IT_number", "_space_group.IT_number", "_symmetry_Int_Tables_number"});
          !numbers.empty() && molecules::cif_number(numbers.front()).value_or(1) != 1)
        throw InputError(place_ + ": found space group number " + ae::quoted(numbers.front()) +
                         " alone, which has several settings; expected its operations or its Hermann-Mauguin name");
      operations_.push_back({{Point{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, {}});
      return;
    }
    const auto* group = gemmi::find_spacegroup_by_name(name, angles_[0], angles_[2]);
    if (group == nullptr)
      throw InputError(place_ + ": found space group " + ae::quoted(name) +
                       " without operations; expected these, or a Hermann-Mauguin name");
    if ((group->ext == '1' || group->ext == '2') && name.find(':') == std::string::npos)
      reporter_.warning(place_ + ": the space group " + ae::quoted(name) +
                        " has two origins, and no operations tell which; the first is taken");
    for (const auto& found : group->operations()) {
      Operation operation;
      for (std::size_t row = 0; row < 3; ++row) {
        for (std::size_t column = 0; column < 3; ++column)
          operation.turn[row][column] = static_cast<double>(found.rot[row][column]) / gemmi::Op::DEN;
        operation.shift[row] = static_cast<double>(found.tran[row]) / gemmi::Op::DEN;
      }
      operations_.push_back(operation);
    }
  }

  std::string place_of(const Cells& row) const { return place_ + ": site " + ae::quoted(row[kLabel]); }

  // "Fe3+" of a type; of a label, "Fe1" or "CA1", a second letter belongs to it when it is a small one.
  int element_of(const Cells& row) const {
    const bool typed = !row[kSymbol].empty();
    const auto& text = typed ? row[kSymbol] : row[kLabel];
    std::size_t letters = 0;
    while (letters < text.size() && std::isalpha(static_cast<unsigned char>(text[letters])) != 0) ++letters;
    const auto whole = text.substr(0, letters);
    if (typed || (letters >= 2 && std::islower(static_cast<unsigned char>(text[1])) != 0))
      if (const int number = geometry::element_number(whole.substr(0, 2)); number != 0 && (!typed || letters <= 2))
        return number;
    const int number = typed ? 0 : geometry::element_number(whole.substr(0, 1));
    if (number == 0)
      throw InputError(place_of(row) + ": " + (typed ? "type_symbol " : "label ") + ae::quoted(text) +
                       "; expected an element's symbol at its beginning");
    return number;
  }

  void add(const Cells& row) {
    if (lower_case(row[kFlag]) == "dum") return;
    Point at{};
    for (const auto axis : {kX, kY, kZ}) {
      const auto number =
          row[axis].empty() ? std::numeric_limits<double>::quiet_NaN() : molecules::cif_number(row[axis]);
      if (!number)
        throw InputError(place_of(row) + ": " + kTags[axis] + " " + ae::quoted(row[axis]) + "; expected a number");
      at[axis] = *number;
    }
    CrystalSite site;
    const auto& share = row[kOccupancy];
    const double occupancy = share.empty() ? 1 : checked_occupancy(molecules::cif_number(share), share, place_of(row));
    site.occupants = {{element_of(row), occupancy}};
    const auto first = checked_fractions(at, place_of(row));
    if (!first) {
      ++crystal_.missing_sites;
      return;
    }
    if (occupancy > 0) add_images(site, *first);
  }

  bool measurable() const { return crystal_.lattice && geometry::volume(*crystal_.lattice) >= geometry::kLeastVolume; }

  bool together(const geometry::NearestImage& nearest, const Point& a, const Point& b) const {
    using geometry::cartesian, geometry::difference, geometry::length;
    return length(nearest(cartesian(*crystal_.lattice, difference(a, b)))) <= geometry::kOneSite;
  }

  void add_images(CrystalSite& site, const Point& first) {
    const auto begin = crystal_.sites.size();
    site.at = first;
    rows_.push_back(begin);
    crystal_.sites.push_back(site);
    if (!measurable() || operations_.size() == 1) return;
    const geometry::NearestImage nearest(*crystal_.lattice);
    for (const auto& operation : operations_) {
      const auto image = checked_fractions(operation(first), place_);
      bool known = !image;
      for (auto i = begin; i < crystal_.sites.size() && !known; ++i)
        known = together(nearest, *image, crystal_.sites[i].at);
      if (known) continue;
      if (crystal_.sites.size() >= geometry::kMostCrystalSites) throw too_many_sites(place_);
      site.at = *image;
      crystal_.sites.push_back(site);
    }
  }

  // Of rows that symmetry makes of others.
  void merge() {
    if (!measurable() || operations_.size() == 1) return;
    const geometry::NearestImage nearest(*crystal_.lattice);
    std::vector<CrystalSite> kept;
    std::size_t of_others = 0, row = 0;  // kept sites of rows before that of the site
    for (std::size_t i = 0; i < crystal_.sites.size(); ++i) {
      auto& site = crystal_.sites[i];
      if (row < rows_.size() && rows_[row] == i) {
        of_others = kept.size();
        ++row;
      }
      const auto same = [&](const CrystalSite& other) {
        return site.occupants == other.occupants && !site.partial() && together(nearest, site.at, other.at);
      };
      if (std::any_of(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(of_others), same))
        ++crystal_.merged_sites;
      else
        kept.push_back(std::move(site));
    }
    crystal_.sites = std::move(kept);
  }

  const CifBlock& block_;
  std::string place_;
  Reporter& reporter_;
  Crystal crystal_;
  Point angles_{};
  std::vector<Operation> operations_;
  std::vector<std::size_t> rows_;  // the first site of each
};

}  // namespace

std::vector<Crystal> read_crystals(std::unique_ptr<ByteSource> source, Reporter& reporter) {
  const auto name = source->name();
  constexpr molecules::Expectation kExpected{"a crystal", "a CIF file"};
  auto crystals = molecules::read_by_library(name, kExpected, [&] {
    std::vector<Crystal> all;
    const auto text = molecules::whole_text(*source);
    molecules::for_each_cif_block(text, name, [&](const CifBlock& block) {
      if (auto crystal = CrystalBlock(block, name + ": data_" + ae::printable(block.name()), reporter).crystal())
        all.push_back(std::move(*crystal));
      return true;
    });
    return all;
  });
  if (crystals.empty())
    throw InputError(name + ": found no sites; expected a loop of _atom_site with fract_x, fract_y and fract_z");
  return crystals;
}

}  // namespace ae::data
