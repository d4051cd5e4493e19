#include "geometry/crystal.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/text.hpp"
#include "geometry/elements.hpp"

namespace ae::geometry {
namespace {

constexpr double kFull = 1.001;                          // occupancies are rounded
constexpr double kGramsOfCubicAngstrom = 1.66053906660;  // g/cm^3 of a unified atomic mass unit in 1 A^3 (CODATA 2018)

void append_share(std::string& text, double share) {
  if (share != 1) append_number(text, std::round(share * 1e4) / 1e4);
}

std::vector<Point> positions(const Crystal& crystal) {
  std::vector<Point> all;
  all.reserve(crystal.sites.size());
  for (const auto& site : crystal.sites) all.push_back(cartesian(*crystal.lattice, site.at));
  return all;
}

bool never_together(const CrystalSite& a, const CrystalSite& b) {
  return (a.partial() || b.partial()) && a.occupancy() + b.occupancy() <= kFull;
}

std::string label(const Crystal& crystal, std::size_t site) {
  return crystal.sites[site].kind() + "(" + std::to_string(site + 1) + ")";
}

void measure_distances(const Crystal& crystal, CrystalValidity& validity) {
  const NearestImage nearest(*crystal.lattice);
  const auto at = positions(crystal);
  const auto partial = [&](std::size_t i) { return crystal.sites[i].partial(); };
  double least = nearest.shortest_vector();
  std::size_t first = 0, second = 0;
  for (std::size_t i = 0; i < at.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const auto apart = length(nearest(difference(at[i], at[j])));
      const bool close = apart < kTooClose;
      if (!close && apart >= least) continue;
      if (close && (partial(i) || partial(j)) && never_together(crystal.sites[i], crystal.sites[j])) continue;
      validity.overlaps += close ? 1 : 0;
      if (apart >= least) continue;
      least = apart;
      first = j;
      second = i;
    }
  }
  validity.shortest_distance = least;
  validity.shortest_at = label(crystal, first) + "-" + label(crystal, second);
}

}  // namespace

double CrystalSite::occupancy() const {
  double sum = 0;
  for (const auto& occupant : occupants) sum += occupant.occupancy;
  return sum;
}

bool CrystalSite::partial() const { return occupants.size() > 1 || std::abs(occupancy() - 1) > kFull - 1; }

std::string CrystalSite::kind() const {
  std::string text;
  for (const auto& occupant : occupants) {
    text += element_symbol(occupant.element);
    append_share(text, occupant.occupancy);
  }
  return text;
}

std::string formula(const Crystal& crystal) {
  std::map<std::string, double> counts;
  for (const auto& site : crystal.sites)
    for (const auto& occupant : site.occupants)
      counts[std::string(element_symbol(occupant.element))] += occupant.occupancy;
  std::string text;
  const auto take = [&](const std::string& symbol) {
    const auto found = counts.find(symbol);
    if (found == counts.end()) return;
    text += symbol;
    append_share(text, found->second);
    counts.erase(found);
  };
  if (counts.contains("C")) {
    take("C");
    take("H");
  }
  while (!counts.empty()) take(counts.begin()->first);
  return text;
}

void join_shared_sites(Crystal& crystal) {
  if (!crystal.lattice || volume(*crystal.lattice) < kLeastVolume) return;
  if (std::ranges::none_of(crystal.sites, &CrystalSite::partial)) return;
  const NearestImage nearest(*crystal.lattice);
  std::vector<CrystalSite> joined;
  std::vector<Point> at;
  for (auto& site : crystal.sites) {
    const auto own = cartesian(*crystal.lattice, site.at);
    std::size_t found = joined.size();
    for (std::size_t i = 0; i < joined.size() && found == joined.size(); ++i)
      if (never_together(joined[i], site) && length(nearest(difference(own, at[i]))) <= kOneSite) found = i;
    if (found == joined.size()) {
      at.push_back(own);
      joined.push_back(std::move(site));
      continue;
    }
    auto& all = joined[found].occupants;
    for (const auto& occupant : site.occupants) {
      const auto same = std::ranges::find(all, occupant.element, &Occupant::element);
      if (same == all.end())
        all.push_back(occupant);
      else
        same->occupancy += occupant.occupancy;
    }
    std::ranges::sort(all, {}, &Occupant::element);
  }
  crystal.sites = std::move(joined);
}

CrystalValidity validate(const Crystal& crystal) {
  CrystalValidity validity;
  validity.sites = std::ssize(crystal.sites);
  validity.missing_sites = crystal.missing_sites;
  validity.merged_sites = crystal.merged_sites;
  validity.partial_sites = std::ranges::count_if(crystal.sites, &CrystalSite::partial);
  if (!crystal.lattice) return validity;
  validity.cell = parameters_of(*crystal.lattice);
  validity.volume = volume(*crystal.lattice);
  if (validity.volume < kLeastVolume) return validity;
  double weight = 0;
  for (const auto& site : crystal.sites)
    for (const auto& occupant : site.occupants) weight += element_weight(occupant.element) * occupant.occupancy;
  validity.density = kGramsOfCubicAngstrom * weight / validity.volume;
  if (!crystal.sites.empty()) measure_distances(crystal, validity);
  return validity;
}

const std::vector<CrystalFlag>& crystal_flags() {
  using Validity = CrystalValidity;
  static const std::vector<CrystalFlag> flags{
      {"missing", "there is no cell or no site, or a site has no coordinates",
       [](const Validity& v) { return !v.cell || v.sites == 0 || v.missing_sites > 0; }},
      {"volume", "the volume of the cell is below 0.1 cubic Angstrom",
       [](const Validity& v) { return v.cell && v.volume < kLeastVolume; }},
      {"too_close", "two atoms, or one and its image, are closer than 0.5 Angstrom",
       [](const Validity& v) { return v.shortest_distance.value_or(kTooClose) < kTooClose; }},
      {"disordered", "a site is partially occupied, or several elements share it",
       [](const Validity& v) { return v.partial_sites > 0; }},
  };
  return flags;
}

std::vector<std::string> verdict(const CrystalValidity& validity) { return verdict(crystal_flags(), validity); }

}  // namespace ae::geometry
