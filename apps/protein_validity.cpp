#include "protein_validity.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"
#include "data/gemmi/molecules.hpp"
#include "data/structures/structures.hpp"
#include "geometry/validity.hpp"
#include "validity_output.hpp"

namespace ae::apps {
namespace {

using geometry::Backbone;
using geometry::BackboneValidity;
using geometry::Deviations;

constexpr std::string_view kHeader =
    "id,residues,missing_atoms,chain_breaks,bond_rmsz,bonds_within_4_sigma,bonds_within_12_sigma,worst_bond,"
    "worst_bond_at,angle_rmsz,angles_within_4_sigma,angles_within_12_sigma,worst_angle,worst_angle_at,cis,twisted,"
    "omega_rms,clashes,positive_phi,handedness,cb_volume,chiral_flips,verdict\n";

std::optional<double> ratio(double part, std::int64_t whole) {
  if (whole == 0) return std::nullopt;
  return part / static_cast<double>(whole);
}

std::optional<double> share(std::int64_t part, std::int64_t whole) { return ratio(static_cast<double>(part), whole); }

void add_deviations(CsvLine& line, const Deviations& deviations) {
  line.number(deviations.rmsz())
      .number(share(deviations.within_4, deviations.count))
      .number(share(deviations.within_12, deviations.count))
      .number(deviations.count > 0 ? std::optional(deviations.worst) : std::nullopt)
      .text(deviations.worst_at);
}

std::string csv_line(const std::string& id, const BackboneValidity& validity, const std::string& verdict) {
  CsvLine line;
  line.text(id).count(validity.residues).count(validity.missing_atoms).count(validity.chain_breaks);
  add_deviations(line, validity.bonds);
  add_deviations(line, validity.angles);
  line.count(validity.cis)
      .count(validity.twisted)
      .number(validity.omega_rms())
      .count(validity.clashes)
      .number(share(validity.positive_phis, validity.phis))
      .number(validity.handedness())
      .number(ratio(validity.cb_volume_sum, validity.cb_volumes));
  if (validity.cb_volumes > 0)
    line.count(validity.chiral_flips);
  else
    line.text("");
  return line.text(verdict).finished();
}

// Of all structures together.
class Totals {
 public:
  // Returns the line of the table.
  std::string add(const std::string& id, const BackboneValidity& validity) {
    all_.add(validity, id);
    return csv_line(id, validity, verdicts_.add(geometry::verdict(validity)));
  }

  std::string told() const { return verdicts_.told(); }

  // Whether lengths look like nanometres, in which a bond of 1.5 Angstrom is 0.15.
  bool looks_like_nanometres() const {
    constexpr double kTypical = 57.5, kAround = 4;  // RMSZ of a tenth of the ideal lengths
    const auto rmsz = all_.bonds.rmsz();
    return rmsz && std::abs(*rmsz - kTypical) < kAround && all_.bonds.within_12 == 0;
  }

  std::string json(const ValidityRun& run, const cli::Context& context) const {
    auto json = verdicts_.json("protein", run, context);
    json.update({{"residues", all_.residues},
                 {"missing_atoms", all_.missing_atoms},
                 {"chain_breaks", all_.chain_breaks},
                 {"bonds", deviations_json(all_.bonds)},
                 {"angles", deviations_json(all_.angles)},
                 {"peptides", all_.peptides},
                 {"cis", all_.cis},
                 {"twisted", all_.twisted},
                 {"omega_rms", json_number(all_.omega_rms())},
                 {"clashes", all_.clashes},
                 {"positive_phi", json_number(share(all_.positive_phis, all_.phis))},
                 {"handedness", json_number(all_.handedness())},
                 {"residues_with_cb", all_.cb_volumes},
                 {"cb_volume", json_number(ratio(all_.cb_volume_sum, all_.cb_volumes))},
                 {"chiral_flips", all_.chiral_flips}});
    return summary_text(json);
  }

 private:
  static OrderedJson deviations_json(const Deviations& all) {
    const auto worst = all.count == 0 ? OrderedJson(nullptr)
                                      : OrderedJson{{"z", all.worst}, {"id", all.worst_id}, {"at", all.worst_at}};
    return {{"count", all.count},
            {"rmsz", json_number(all.rmsz())},
            {"within_4_sigma", json_number(share(all.within_4, all.count))},
            {"within_12_sigma", json_number(share(all.within_12, all.count))},
            {"worst", worst}};
  }

  Verdicts<geometry::ValidityFlag> verdicts_{geometry::validity_flags(), "structures"};
  BackboneValidity all_;
};

class Molecules final : public data::Structures {
 public:
  explicit Molecules(std::vector<Backbone> backbones) : backbones_(std::move(backbones)) {}
  bool next(Backbone& backbone) override {
    if (given_ == backbones_.size()) return false;
    backbone = std::move(backbones_[given_++]);
    return true;
  }

 private:
  std::vector<Backbone> backbones_;
  std::size_t given_ = 0;
};

// They are read in places, more than once. `head`: of what was read of it, decompressed.
std::unique_ptr<data::Structures> open_arrays(const std::string& path, const std::string& name, std::string_view head) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path == "-" ? "/dev/stdin" : path, ignored))
    throw InputError(name + ": found arrays in a pipe; expected a file; write them to one and give its name");
  const std::shared_ptr<data::RandomAccess> file = data::RandomAccess::open(path);
  std::array<char, 2> begin{};
  file->read_at(0, begin.data(), std::min<std::uint64_t>(begin.size(), file->size()));
  if (!head.starts_with(std::string_view(begin.data(), begin.size())))
    throw InputError(name + ": found compressed arrays; expected NPY or NPZ; decompress the file first");
  return data::open_structure_arrays(data::open_numpy_arrays(file));
}

// `prefix` is to stand before ids where several files are read, and before the names of chains.
std::unique_ptr<data::Structures> open_structures(const std::string& path, bool several, std::string& prefix,
                                                  Reporter& reporter) {
  auto source = data::ByteSource::open(path);
  auto head = data::read_head(*source);
  const bool arrays = data::begins_npy(head) || head.starts_with("PK");
  prefix = arrays && !several ? "" : path + ":";
  if (arrays) return open_arrays(path, source->name(), head);
  if (head.starts_with("\xEF\xBB\xBF")) head.erase(0, 3);
  if (const auto* type = data::recognise(head); type != nullptr && !type->what.ends_with("structure file"))
    throw data::wrong_kind(source->name(), *type, "", "structures: NPY, NPZ, PDB or mmCIF");
  auto whole = data::with_prefix(head, std::move(source));
  return std::make_unique<Molecules>(data::read_molecules(std::move(whole), head, reporter));
}

}  // namespace

std::string run_protein_validity(const ValidityRun& run, cli::Context& context) {
  Totals totals;
  run.output.write(kHeader);
  Backbone backbone;
  std::uint64_t done = 0;
  for (const auto& input : run.inputs) {
    std::string prefix;
    const auto structures = open_structures(input, run.inputs.size() > 1, prefix, context.reporter);
    while (structures->next(backbone)) {
      throw_if_stopped("checking structures");
      const auto validity = geometry::validate(backbone);
      const auto id = prefix + backbone.id;
      run.output.write(totals.add(id, validity));
      context.reporter.progress("structures", ++done, 0);
    }
  }
  context.reporter.progress_done();
  if (totals.looks_like_nanometres())
    context.reporter.warning("bonds are about a tenth as long as they should be: are these nanometres? Multiply by 10");
  if (run.summary != nullptr) run.summary->write(totals.json(run, context));
  return totals.told();
}

}  // namespace ae::apps
