#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/crystals/crystals.hpp"
#include "geometry/elements.hpp"

namespace ae::data {
namespace {

using geometry::Crystal;
using geometry::CrystalSite;
using geometry::Lattice;
using geometry::Point;

using Column = std::size_t;
using Triple = std::array<Column, 3>;

// Columns by their names.
class Names {
 public:
  explicit Names(const std::vector<std::string>& columns) {
    for (const auto& column : columns) names_.push_back(lower_case(column));
  }

  std::optional<Column> find(std::string_view name) const {
    const auto found = std::ranges::find(names_, name);
    if (found == names_.end()) return std::nullopt;
    return static_cast<Column>(found - names_.begin());
  }

  std::optional<Column> any(std::initializer_list<std::string_view> names, const std::string& suffix = "") const {
    for (const auto name : names)
      if (auto found = find(std::string(name) + suffix)) return found;
    return std::nullopt;
  }

  std::optional<Triple> all(const std::array<std::string_view, 3>& names, const std::string& suffix = "") const {
    Triple columns{};
    for (std::size_t i = 0; i < 3; ++i) {
      const auto found = find(std::string(names[i]) + suffix);
      if (!found) return std::nullopt;
      columns[i] = *found;
    }
    return columns;
  }

  // Of names that end with a number, what stands before it and the number.
  std::vector<std::pair<std::string, std::string>> numbered() const {
    std::vector<std::pair<std::string, std::string>> all;
    for (const auto& name : names_) {
      const auto end = name.find_last_not_of("0123456789") + 1;
      if (end > 0 && end < name.size()) all.emplace_back(name.substr(0, end), name.substr(end));
    }
    return all;
  }

 private:
  std::vector<std::string> names_;
};

struct SiteColumns {
  Column element = 0;
  Triple at{};
  bool in_angstrom = false;
  std::optional<Column> occupancy;
};

std::optional<SiteColumns> site_columns(const Names& names, const std::string& number) {
  SiteColumns columns;
  const auto element = names.any({"z", "element", "species", "symbol"}, number);
  const auto fractions = names.all({"fx", "fy", "fz"}, number);
  const auto positions = names.all({"p_x", "p_y", "p_z"}, number);
  if (!element || (!fractions && !positions)) return std::nullopt;
  return SiteColumns{*element, fractions ? *fractions : *positions, !fractions, names.find("occupancy" + number)};
}

// A site that is not read would be a silent misreading: numbers are 1 to `sites`.
void require_all_sites(const Names& names, std::size_t sites, const std::string& file) {
  constexpr std::array<std::string_view, 11> kOfSites{"z",  "element", "species", "symbol", "fx",       "fy",
                                                      "fz", "p_x",     "p_y",     "p_z",    "occupancy"};
  for (const auto& [name, number] : names.numbered()) {
    if (std::ranges::find(kOfSites, name) == kOfSites.end()) continue;
    bool read = false;
    for (std::size_t site = 1; site <= sites && !read; ++site) read = number == std::to_string(site);
    if (read) continue;
    throw InputError(file + ": found column " + ae::quoted(name + number) + " beside " + std::to_string(sites) +
                     " whole sites; expected z, fx, fy, fz of each, numbered from 1 without a gap");
  }
}

struct CellColumns {
  std::vector<Triple> triples;  // lengths and angles, or three vectors
  bool vectors() const { return triples.size() == 3; }
};

CellColumns cell_columns(const Names& names) {
  CellColumns cell;
  const auto lengths = names.all({"a", "b", "c"}), angles = names.all({"alpha", "beta", "gamma"});
  if (lengths && angles) {
    cell.triples = {*lengths, *angles};
    return cell;
  }
  const auto a = names.all({"a_x", "a_y", "a_z"}), b = names.all({"b_x", "b_y", "b_z"}),
             c = names.all({"c_x", "c_y", "c_z"});
  if (a && b && c) cell.triples = {*a, *b, *c};
  return cell;
}

// What the rows of both forms have.
class Table : public Crystals {
 public:
  Table(std::unique_ptr<RowSource> rows, const Names& names, CellColumns cell)
      : rows_(std::move(rows)), id_(names.any({"structure", "material_id", "id"})), cell_(std::move(cell)) {}

 protected:
  std::optional<double> number(Column column) const {
    const auto text = rows_->text(column);
    if (text.empty()) return std::nullopt;
    const auto number = parse_number(text);
    if (!number) throw wrong(column, "a number");
    return std::isnan(*number) ? std::nullopt : number;
  }

  InputError wrong(Column column, const std::string& expected) const {
    return InputError(rows_->where(column) + ": found " + ae::quoted(rows_->text(column)) + ", expected " + expected);
  }

  Point point(const Triple& columns) const {
    const auto of = [this](Column column) { return number(column).value_or(std::numeric_limits<double>::quiet_NaN()); };
    return {of(columns[0]), of(columns[1]), of(columns[2])};
  }

  std::optional<Lattice> lattice() const {
    const auto& triples = cell_.triples;
    const auto place = rows_->where(triples[0][0]);
    if (!cell_.vectors()) return checked_lattice({point(triples[0]), point(triples[1])}, place);
    const Lattice vectors{point(triples[0]), point(triples[1]), point(triples[2])};
    const auto cell = geometry::parameters_of(vectors);
    if (!checked_lattice(cell, place)) return std::nullopt;
    return vectors;
  }

  // Whether the row's cell is written as that of the row before.
  bool same_cell() {
    std::string text;
    for (const auto& triple : cell_.triples)
      for (const auto column : triple) text.append(rows_->text(column)).push_back('\n');
    return std::exchange(cell_text_, text) == text;
  }

  void add_site(Crystal& crystal, const SiteColumns& columns) const {
    const auto element = element_of(columns.element);
    auto at = point(columns.at);
    const auto place = rows_->where(columns.at[0]);
    if (crystal.sites.size() >= geometry::kMostCrystalSites) throw too_many_sites(place);
    if (columns.in_angstrom) at = crystal.lattice ? geometry::Fractions(*crystal.lattice)(at) : Point{};
    const auto fractions = checked_fractions(at, place);
    if (!element || !fractions) {
      ++crystal.missing_sites;
      return;
    }
    double occupancy = 1;
    if (columns.occupancy) {
      const auto& column = *columns.occupancy;
      occupancy = checked_occupancy(number(column).value_or(1), std::string(rows_->text(column)), rows_->where(column));
    }
    if (occupancy > 0) crystal.sites.push_back({*fractions, {{*element, occupancy}}});
  }

  bool is_empty(const SiteColumns& columns) const {
    const auto empty = [this](Column column) {
      const auto text = rows_->text(column);
      return text.empty() || lower_case(text) == "nan";
    };
    return empty(columns.element) && std::ranges::all_of(columns.at, empty);
  }

  std::optional<int> element_of(Column column) const {
    const auto text = rows_->text(column);
    if (const int named = geometry::element_number(text); named != 0) return named;
    const auto number = text.empty() ? std::nullopt : parse_number(text);
    if (text.empty() || (number && std::isnan(*number))) return std::nullopt;
    if (!number || *number != std::round(*number) || *number < 1 || *number > geometry::kElements)
      throw wrong(column, "an atomic number from 1 to " + std::to_string(geometry::kElements) + ", or a symbol");
    return static_cast<int>(*number);
  }

  std::string id() const { return std::string(rows_->text(*id_)); }

  std::unique_ptr<RowSource> rows_;
  std::optional<Column> id_;

 private:
  CellColumns cell_;
  std::string cell_text_;
};

class WideTable final : public Table {
 public:
  WideTable(std::unique_ptr<RowSource> rows, const Names& names, CellColumns cell, std::vector<SiteColumns> sites)
      : Table(std::move(rows), names, std::move(cell)), sites_(std::move(sites)) {}

  bool next(Crystal& crystal) override {
    if (!rows_->next()) return false;
    crystal = {id_ ? id() : std::to_string(rows_->row()), lattice(), {}, 0, 0};
    for (const auto& site : sites_)
      if (!is_empty(site)) add_site(crystal, site);
    join_shared_sites(crystal);
    return true;
  }

 private:
  std::vector<SiteColumns> sites_;
};

class LongTable final : public Table {
 public:
  LongTable(std::unique_ptr<RowSource> rows, const Names& names, CellColumns cell, const SiteColumns& site)
      : Table(std::move(rows), names, std::move(cell)),
        site_(site),
        count_(names.any({"n_atoms", "num_atoms"})),
        more_(rows_->next()) {}

  bool next(Crystal& crystal) override {
    if (!more_) return false;
    const auto place = rows_->where(*id_);
    crystal = {id(), lattice(), {}, 0, 0};
    (void)same_cell();
    if (!count_ && !seen_.insert(crystal.id).second)
      throw InputError(place + ": crystal " + ae::quoted(crystal.id) +
                       ": found further rows of it; expected all of its sites one after another");
    const std::int64_t expected = count_ ? whole(*count_) : 0;  // 0: the file does not say
    std::int64_t found = 0;
    do {
      if (!same_cell()) throw wrong_cell();
      add_site(crystal, site_);
      ++found;
      more_ = rows_->next();
    } while (more_ && id() == crystal.id && found != expected);
    if (expected != 0 && found != expected)
      throw InputError(place + ": crystal " + ae::quoted(crystal.id) + ": found rows of " + std::to_string(found) +
                       " sites, expected " + std::to_string(expected) + " that follow each other");
    join_shared_sites(crystal);
    return true;
  }

 private:
  std::int64_t whole(Column column) const {
    const auto value = number(column);
    if (!value) return 0;
    if (*value != std::round(*value) || *value < 1 || *value > 1e9) throw wrong(column, "a number of sites");
    return static_cast<std::int64_t>(*value);
  }

  InputError wrong_cell() const {
    return InputError(rows_->where(*id_) + ": crystal " + ae::quoted(id()) +
                      ": found another cell than in the row before, expected the same for all of its sites");
  }

  SiteColumns site_;
  std::optional<Column> count_;
  std::unordered_set<std::string> seen_;  // where nothing tells how many sites a crystal has
  bool more_;
};

}  // namespace

std::unique_ptr<Crystals> open_crystal_table(std::unique_ptr<RowSource> rows) {
  const Names names(rows->columns());
  auto cell = cell_columns(names);
  if (cell.triples.empty())
    throw InputError(rows->name() +
                     ": found no columns of a cell; expected a, b, c, alpha, beta, gamma (Angstrom, degrees), or a_x, "
                     "a_y, a_z, b_x, ... c_z (Angstrom)");
  if (const auto site = site_columns(names, "")) {
    if (!names.any({"structure", "material_id", "id"}))
      throw InputError(rows->name() +
                       ": found a row for each site; expected a column structure, material_id or id, which tells what "
                       "crystal it is of");
    return std::make_unique<LongTable>(std::move(rows), names, std::move(cell), *site);
  }
  std::vector<SiteColumns> sites;
  while (const auto site = site_columns(names, std::to_string(sites.size() + 1))) sites.push_back(*site);
  if (sites.empty())
    throw InputError(rows->name() +
                     ": found no columns of sites; expected z, fx, fy, fz (or p_x, p_y, p_z in Angstrom) in a row for "
                     "each site, or z1, fx1, fy1, fz1, z2, ... in a row for each crystal");
  require_all_sites(names, sites.size(), rows->name());
  return std::make_unique<WideTable>(std::move(rows), names, std::move(cell), std::move(sites));
}

std::optional<Lattice> checked_lattice(const geometry::CellParameters& cell, const std::string& place) {
  for (const double length : cell.lengths)
    if (length > geometry::kMostCellLength)
      throw InputError(place + ": found a cell of " + number_text(length) + " Angstrom, expected at most " +
                       number_text(geometry::kMostCellLength));
  return geometry::lattice_of(cell);
}

std::optional<Point> checked_fractions(const Point& fractions, const std::string& place) {
  Point all{};
  bool known = true;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double fraction = fractions[axis];
    known = known && !std::isnan(fraction);
    if (std::abs(fraction) > kMostFraction)
      throw InputError(place + ": found a site " + number_text(fraction) + " cells away, expected at most " +
                       number_text(kMostFraction));
    all[axis] = fraction - std::floor(fraction);
    if (all[axis] >= 1) all[axis] = 0;  // of a tiny negative
  }
  if (!known) return std::nullopt;
  return all;
}

double checked_occupancy(std::optional<double> occupancy, const std::string& found, const std::string& place) {
  constexpr double kMost = 100;  // percent would be, too; above 1 it is told as disorder
  if (!occupancy || !(*occupancy >= 0 && *occupancy <= kMost))
    throw InputError(place + ": found occupancy " + ae::quoted(found) + ", expected a number from 0 to 1");
  return *occupancy;
}

InputError too_many_sites(const std::string& place) {
  return InputError(place + ": found more than " + std::to_string(geometry::kMostCrystalSites) +
                    " sites in a cell, which are too many to compare with each other");
}

}  // namespace ae::data
