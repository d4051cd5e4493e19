#include "protein_validity.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/error.hpp"
#include "base/parallel_tasks.hpp"
#include "base/signals.hpp"
#include "data/gemmi/open_structures.hpp"
#include "data/structures/structure_writer.hpp"
#include "data/structures/structures.hpp"
#include "geometry/relax.hpp"
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
    "omega_rms,clashes,positive_phi,handedness,cb_volume,chiral_flips,verdict";
// Behind them, of structures that were relaxed.
constexpr std::string_view kRelaxedHeader =
    ",moved,relax_steps,converged,bond_rmsz_before,bonds_within_4_sigma_before,bonds_within_12_sigma_before,"
    "worst_bond_before,angle_rmsz_before,angles_within_4_sigma_before,angles_within_12_sigma_before,"
    "worst_angle_before,cis_before,twisted_before,omega_rms_before,clashes_before,handedness_before,verdict_before";

std::optional<double> ratio(double part, std::int64_t whole) {
  if (whole == 0) return std::nullopt;
  return part / static_cast<double>(whole);
}

std::optional<double> share(std::int64_t part, std::int64_t whole) { return ratio(static_cast<double>(part), whole); }

CsvLine& add_deviations(CsvLine& line, const Deviations& deviations) {
  return line.number(deviations.rmsz())
      .number(share(deviations.within_4, deviations.count))
      .number(share(deviations.within_12, deviations.count))
      .number(deviations.count > 0 ? std::optional(deviations.worst) : std::nullopt);
}

std::string verdict_of(const BackboneValidity& validity) {
  return ae::join(geometry::verdict(validity), " ", geometry::validity_flags().size());
}

// A structure, as it was and as it is.
struct Judged {
  std::string id;
  Backbone backbone;
  std::int64_t model = 0;  // see data::StructureWriter
  BackboneValidity validity;
  BackboneValidity before;  // it was relaxed
  geometry::Relaxed relaxed;
};

std::string csv_line(const Judged& judged, bool relaxed) {
  const auto& validity = judged.validity;
  CsvLine line;
  line.text(judged.id).count(validity.residues).count(validity.missing_atoms).count(validity.chain_breaks);
  add_deviations(line, validity.bonds).text(validity.bonds.worst_at);
  add_deviations(line, validity.angles).text(validity.angles.worst_at);
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
  line.text(verdict_of(validity));
  if (!relaxed) return line.finished();
  const auto& before = judged.before;
  line.number(judged.relaxed.moved).count(judged.relaxed.steps).count(judged.relaxed.converged ? 1 : 0);
  add_deviations(line, before.bonds);
  add_deviations(line, before.angles);
  return line.count(before.cis)
      .count(before.twisted)
      .number(before.omega_rms())
      .count(before.clashes)
      .number(before.handedness())
      .text(verdict_of(before))
      .finished();
}

// Of all structures together.
class Totals {
 public:
  void add(const std::string& id, const BackboneValidity& validity) {
    all_.add(validity, id);
    verdicts_.add(geometry::verdict(validity));
  }

  std::string told() const { return verdicts_.told(); }

  // Whether lengths look like nanometres, in which a bond of 1.5 Angstrom is 0.15.
  bool looks_like_nanometres() const {
    constexpr double kTypical = 57.5, kAround = 4;  // RMSZ of a tenth of the ideal lengths
    const auto rmsz = all_.bonds.rmsz();
    return rmsz && std::abs(*rmsz - kTypical) < kAround && all_.bonds.within_12 == 0;
  }

  OrderedJson json() const {
    auto json = verdicts_.json();
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
    return json;
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

// What relaxing did to all structures together.
class Relaxations {
 public:
  explicit Relaxations(std::int64_t most) : most_(most) {}

  void add(const Judged& judged) {
    before_.add(judged.id, judged.before);
    steps_ += judged.relaxed.steps;
    const auto atoms = static_cast<double>(judged.validity.residues * std::ssize(geometry::kBackboneNames) -
                                           judged.validity.missing_atoms);
    atoms_ += atoms;
    squares_ += atoms * judged.relaxed.moved * judged.relaxed.moved;
    if (judged.relaxed.converged) return;
    if (unfinished_++ == 0) first_ = judged.id;
  }

  void warn(Reporter& reporter) const {
    if (unfinished_ == 0) return;
    reporter.warning(counted(unfinished_, "structures") + " did not settle within " + std::to_string(most_) +
                     " steps of --relax; the first is " + ae::quoted(first_, 200) +
                     "; see their verdicts, or give more steps");
  }

  std::string told() const { return "; before relaxing: " + before_.told(); }

  OrderedJson json() const {
    return {{"most_steps", most_},
            {"steps", steps_},
            {"not_converged", unfinished_},
            {"moved", json_number(atoms_ > 0 ? std::optional(std::sqrt(squares_ / atoms_)) : std::nullopt)},
            {"before", before_.json()}};
  }

 private:
  std::int64_t most_, steps_ = 0, unfinished_ = 0;
  double atoms_ = 0, squares_ = 0;
  std::string first_;
  Totals before_;
};

class Judging {
 public:
  Judging(const ValidityRun& run, cli::Context& context) : run_(run), context_(context) {
    run.output.write(std::string(kHeader) + (run.relax_steps ? std::string(kRelaxedHeader) : "") + "\n");
    if (run.relax_steps) relaxations_.emplace(*run.relax_steps);
    if (run.relaxed != nullptr) writer_ = data::make_structure_writer(*run.relaxed);
  }

  void read(const std::string& input) {
    std::string prefix;
    const auto structures = data::open_structures(input, run_.inputs.size() > 1, prefix, context_.reporter);
    ++model_;
    for (Judged judged; structures->next(judged.backbone); judged = {}) {
      throw_if_stopped("checking structures");
      judged.id = prefix + judged.backbone.id;
      judged.model = structures->of_one_molecule() ? model_ : ++model_;
      residues_ += judged.backbone.residues.size();
      waiting_.push_back(std::move(judged));
      if (residues_ >= kMostWaiting) judge();
    }
  }

  std::string finish() {
    judge();
    context_.reporter.progress_done();
    if (totals_.looks_like_nanometres())
      context_.reporter.warning(
          "bonds are about a tenth as long as they should be: are these nanometres? Multiply by 10");
    if (writer_) writer_->finish();
    if (relaxations_) relaxations_->warn(context_.reporter);
    if (run_.summary != nullptr) run_.summary->write(summary());
    return totals_.told() + (relaxations_ ? relaxations_->told() : "");
  }

 private:
  static constexpr std::size_t kMostWaiting = 20'000;  // residues, of which 100 take some 10 ms to relax

  // Several at a time, and the lines in the order in which they came.
  void judge() {
    const auto count = std::ssize(waiting_);
    const auto work = [&](std::int64_t task, int) {
      auto& judged = waiting_[static_cast<std::size_t>(task)];
      if (run_.relax_steps) {
        judged.before = geometry::validate(judged.backbone);
        judged.relaxed = geometry::relax(judged.backbone, {*run_.relax_steps});
      }
      judged.validity = geometry::validate(judged.backbone);
    };
    const int threads = run_.relax_steps ? task_threads(run_.threads, count) : 1;
    run_tasks(count, threads, "checking structures", work, [&](std::int64_t done) {
      context_.reporter.progress("structures", done_ + static_cast<std::uint64_t>(done), 0);
    });
    for (const auto& judged : waiting_) {
      run_.output.write(csv_line(judged, run_.relax_steps.has_value()));
      totals_.add(judged.id, judged.validity);
      if (relaxations_) relaxations_->add(judged);
      if (writer_) writer_->add(judged.backbone, judged.model);
    }
    done_ += waiting_.size();
    waiting_.clear();
    residues_ = 0;
  }

  std::string summary() const {
    auto json = summary_head("protein", run_, context_);
    json.update(totals_.json());
    if (relaxations_) json["relaxed"] = relaxations_->json();
    return summary_text(json);
  }

  const ValidityRun& run_;
  cli::Context& context_;
  std::vector<Judged> waiting_;
  std::size_t residues_ = 0;  // of them
  std::uint64_t done_ = 0;
  std::int64_t model_ = 0;
  Totals totals_;
  std::optional<Relaxations> relaxations_;
  std::unique_ptr<data::StructureWriter> writer_;
};

}  // namespace

std::string run_protein_validity(const ValidityRun& run, cli::Context& context) {
  Judging judging(run, context);
  for (const auto& input : run.inputs) judging.read(input);
  return judging.finish();
}

}  // namespace ae::apps
