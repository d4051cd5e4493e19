#include "crystal_validity.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"
#include "data/crystals/crystals.hpp"
#include "data/gemmi/cif_head.hpp"
#include "data/gemmi/crystals.hpp"
#include "data/tables/csv.hpp"
#include "geometry/crystal.hpp"
#include "geometry/crystal_match.hpp"
#include "validity_output.hpp"

namespace ae::apps {
namespace {

using geometry::Crystal;
using geometry::CrystalValidity;

constexpr std::string_view kHeader =
    "id,formula,sites,missing_sites,merged_sites,partial_sites,a,b,c,alpha,beta,gamma,volume,density,shortest_distance,"
    "shortest_at,overlaps,";
constexpr std::string_view kReferenceHeader =
    "type_accuracy,match,rms,max_distance,normalised_rms,strain,match_types_forced,";

class Cif final : public data::Crystals {
 public:
  explicit Cif(std::vector<Crystal> crystals) : crystals_(std::move(crystals)) {}
  bool next(Crystal& crystal) override {
    if (given_ == crystals_.size()) return false;
    crystal = std::move(crystals_[given_++]);
    return true;
  }

 private:
  std::vector<Crystal> crystals_;
  std::size_t given_ = 0;
};

struct OpenedCrystals {
  std::unique_ptr<data::Crystals> crystals;
  bool table = false;
};

OpenedCrystals open_crystals(const std::string& path, Reporter& reporter) {
  auto source = data::ByteSource::open(path);
  auto head = data::read_head(*source);
  const auto name = source->name();
  if (head.starts_with("\xEF\xBB\xBF")) head.erase(0, 3);
  constexpr std::string_view kExpected = "crystals: a CIF file or a table (CSV)";
  if (data::begins_npy(head) || head.starts_with("PK\3\4"))
    throw InputError(name + ": found arrays, or an archive; expected " + std::string(kExpected));
  const bool cif = data::begins_cif(head);
  if (!cif)
    if (const auto* type = data::recognise(head); type != nullptr && type->kind != "table")
      throw data::wrong_kind(name, *type, "", kExpected);
  auto whole = data::with_prefix(head, std::move(source));
  if (!cif) return {data::open_crystal_table(data::open_csv(std::move(whole))), true};
  return {std::make_unique<Cif>(data::read_crystals(std::move(whole), reporter)), false};
}

// Whether it may be compared: published match rates count only crystals that are possible.
bool is_sound(const CrystalValidity& validity) {
  return validity.cell && validity.missing_sites == 0 && validity.shortest_distance.value_or(0) >= geometry::kTooClose;
}

struct Comparison {
  std::optional<double> type_accuracy;
  std::optional<bool> same, same_with_types;  // none: not decided
  std::optional<geometry::CrystalMatch> match;
  bool sound = false;  // both are
};

// The crystals that should have been found.
class Reference {
 public:
  Reference(const std::string& path, Reporter& reporter) : path_(path) {
    const auto opened = open_crystals(path, reporter);
    Crystal crystal;
    while (opened.crystals->next(crystal)) {
      throw_if_stopped("reading the reference");
      Known known{crystal, is_sound(geometry::validate(crystal))};
      if (!known_.emplace(crystal.id, std::move(known)).second)
        throw InputError(path + ": found crystal " + ae::quoted(crystal.id) +
                         " twice, expected each once; ids tell what is compared with what");
    }
  }

  Comparison compare(const Crystal& crystal, bool sound, const std::string& place) {
    const auto found = known_.find(crystal.id);
    if (found == known_.end())
      throw InputError(place + ": crystal " + ae::quoted(crystal.id) + " has no reference in " + path_ +
                       "; expected the same ids in both");
    auto& known = found->second;
    known.compared = true;
    Comparison comparison;
    comparison.sound = sound && known.sound;
    std::tie(comparison.same, comparison.match) = match(crystal, known.crystal);
    compare_types(crystal, known.crystal, comparison);
    return comparison;
  }

  std::int64_t not_compared() const {
    return std::ranges::count_if(known_, [](const auto& known) { return !known.second.compared; });
  }

 private:
  struct Known {
    Crystal crystal;
    bool sound = false, compared = false;
  };

  static std::pair<std::optional<bool>, std::optional<geometry::CrystalMatch>> match(const Crystal& crystal,
                                                                                     const Crystal& reference) {
    const auto result = geometry::match(crystal, reference);
    if (result.too_large) return {};
    return {result.match.has_value(), result.match};
  }

  // Sites are those of the same place in the two files.
  static void compare_types(const Crystal& crystal, const Crystal& reference, Comparison& comparison) {
    if (crystal.sites.size() != reference.sites.size() || reference.sites.empty()) return;
    auto forced = crystal;
    std::size_t right = 0;
    for (std::size_t i = 0; i < reference.sites.size(); ++i) {
      right += crystal.sites[i].occupants == reference.sites[i].occupants ? 1 : 0;
      forced.sites[i].occupants = reference.sites[i].occupants;
    }
    comparison.type_accuracy = static_cast<double>(right) / static_cast<double>(reference.sites.size());
    const bool as_it_is = right == reference.sites.size() || comparison.same.value_or(false);
    comparison.same_with_types = as_it_is ? comparison.same : match(forced, reference).first;
  }

  std::string path_;
  std::map<std::string, Known> known_;
};

// Without what is left of making vectors of lengths and angles, and back.
double rounded(double value) { return std::round(value * 1e9) / 1e9; }

std::string csv_line(const std::string& id, const Crystal& crystal, const CrystalValidity& validity,
                     const std::optional<Comparison>& comparison, const std::string& verdict) {
  CsvLine line;
  line.text(id)
      .text(geometry::formula(crystal))
      .count(validity.sites)
      .count(validity.missing_sites)
      .count(validity.merged_sites)
      .count(validity.partial_sites);
  for (std::size_t i = 0; i < 6; ++i) {
    line.number(validity.cell ? std::optional(rounded(i < 3 ? validity.cell->lengths[i] : validity.cell->angles[i - 3]))
                              : std::nullopt);
  }
  line.number(validity.cell ? std::optional(validity.volume) : std::nullopt)
      .number(validity.density > 0 ? std::optional(validity.density) : std::nullopt)
      .number(validity.shortest_distance)
      .text(validity.shortest_at)
      .count(validity.shortest_distance ? std::optional(validity.overlaps) : std::nullopt);
  if (comparison) {
    const auto& match = comparison->match;
    line.number(comparison->type_accuracy)
        .count(comparison->same)
        .number(match ? std::optional(match->rms) : std::nullopt)
        .number(match ? std::optional(match->largest) : std::nullopt)
        .number(match ? std::optional(match->normalised_rms) : std::nullopt)
        .number(match ? std::optional(match->strain) : std::nullopt)
        .count(comparison->same_with_types);
  }
  return line.text(verdict).finished();
}

class Mean {
 public:
  void add(double value) {
    sum_ += value;
    ++count_;
  }
  OrderedJson json() const {
    return json_number(count_ == 0 ? std::nullopt : std::optional(sum_ / static_cast<double>(count_)));
  }

 private:
  double sum_ = 0;
  std::int64_t count_ = 0;
};

// Of all crystals together.
class Totals {
 public:
  // Returns the line of the table.
  std::string add(const std::string& id, const Crystal& crystal, const CrystalValidity& validity,
                  const std::optional<Comparison>& comparison) {
    sites_ += validity.sites;
    missing_sites_ += validity.missing_sites;
    merged_sites_ += validity.merged_sites;
    partial_sites_ += validity.partial_sites;
    overlaps_ += validity.overlaps;
    if (const auto shortest = validity.shortest_distance; shortest && (!shortest_ || *shortest < *shortest_)) {
      shortest_ = shortest;
      shortest_id_ = id;
    }
    if (comparison) add(*comparison);
    return csv_line(id, crystal, validity, comparison, verdicts_.add(geometry::verdict(validity)));
  }

  std::string told(std::optional<std::int64_t> not_compared) const {
    if (!not_compared) return verdicts_.told();
    return verdicts_.told() + "; " + std::to_string(matches_) + " of " + std::to_string(compared_ + *not_compared) +
           " match the reference";
  }

  std::string json(const ValidityRun& run, std::optional<std::int64_t> not_compared,
                   const cli::Context& context) const {
    auto json = summary_head("crystal", run, context);
    json.update(verdicts_.json());
    json.update({{"sites", sites_},
                 {"missing_sites", missing_sites_},
                 {"merged_sites", merged_sites_},
                 {"partial_sites", partial_sites_},
                 {"overlaps", overlaps_},
                 {"shortest_distance",
                  shortest_ ? OrderedJson{{"distance", *shortest_}, {"id", shortest_id_}} : OrderedJson(nullptr)}});
    if (not_compared) {
      const auto all = compared_ + *not_compared;
      const auto rate = [all](std::int64_t part) {
        return json_number(all == 0 ? std::nullopt
                                    : std::optional(static_cast<double>(part) / static_cast<double>(all)));
      };
      json["reference"] = {{"file", run.reference},
                           {"compared", compared_},
                           {"without_a_crystal", *not_compared},
                           {"undecided", undecided_},
                           {"matches", matches_},
                           {"match_rate", rate(matches_)},
                           {"match_rate_of_valid", rate(sound_matches_)},
                           {"match_rate_with_types_forced", rate(matches_with_types_)},
                           {"mean_type_accuracy", type_accuracy_.json()},
                           {"mean_rms", rms_.json()},
                           {"mean_normalised_rms", normalised_rms_.json()},
                           {"mean_strain", strain_.json()}};
    }
    return summary_text(json);
  }

 private:
  void add(const Comparison& comparison) {
    ++compared_;
    undecided_ += comparison.same ? 0 : 1;
    matches_ += comparison.same.value_or(false) ? 1 : 0;
    sound_matches_ += comparison.same.value_or(false) && comparison.sound ? 1 : 0;
    matches_with_types_ += comparison.same_with_types.value_or(false) ? 1 : 0;
    if (comparison.type_accuracy) type_accuracy_.add(*comparison.type_accuracy);
    if (!comparison.match) return;
    rms_.add(comparison.match->rms);
    normalised_rms_.add(comparison.match->normalised_rms);
    strain_.add(comparison.match->strain);
  }

  Verdicts<geometry::CrystalFlag> verdicts_{geometry::crystal_flags(), "crystals"};
  std::int64_t sites_ = 0, missing_sites_ = 0, merged_sites_ = 0, partial_sites_ = 0, overlaps_ = 0;
  std::optional<double> shortest_;
  std::string shortest_id_;
  std::int64_t compared_ = 0, undecided_ = 0, matches_ = 0, sound_matches_ = 0, matches_with_types_ = 0;
  Mean type_accuracy_, rms_, normalised_rms_, strain_;
};

}  // namespace

std::string run_crystal_validity(const ValidityRun& run, cli::Context& context) {
  Totals totals;
  std::optional<Reference> reference;
  if (!run.reference.empty()) reference.emplace(run.reference, context.reporter);
  run.output.write(kHeader);
  if (reference) run.output.write(kReferenceHeader);
  run.output.write("verdict\n");
  Crystal crystal;
  std::uint64_t done = 0;
  for (const auto& input : run.inputs) {
    const auto opened = open_crystals(input, context.reporter);
    const auto prefix = opened.table && run.inputs.size() == 1 ? "" : input + ":";
    while (opened.crystals->next(crystal)) {
      throw_if_stopped("checking crystals");
      const auto validity = geometry::validate(crystal);
      std::optional<Comparison> comparison;
      if (reference) comparison = reference->compare(crystal, is_sound(validity), input);
      run.output.write(totals.add(prefix + crystal.id, crystal, validity, comparison));
      context.reporter.progress("crystals", ++done, 0);
    }
  }
  context.reporter.progress_done();
  const auto not_compared = reference ? std::optional(reference->not_compared()) : std::nullopt;
  if (run.summary != nullptr) run.summary->write(totals.json(run, not_compared, context));
  return totals.told(not_compared);
}

}  // namespace ae::apps
