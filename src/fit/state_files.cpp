#include "fit/state_files.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/scratch_folder.hpp"
#include "base/text.hpp"
#include "evaluate/rate_text.hpp"
#include "fit/estimate_text.hpp"
#include "fit/windows.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Ordered = nlohmann::ordered_json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Bounds of the bins of one variable.
std::pair<double, double> bounds(const std::vector<double>& edges, Index bin) {
  const auto at = static_cast<std::size_t>(bin);
  return {at == 0 ? -kInfinity : edges[at - 1], at == edges.size() ? kInfinity : edges[at]};
}

// Rows of umbrella windows weigh nothing that can be told before their free energies are known.
void refuse_windows(const std::vector<data::ColvarSamples>& files, const StateShareOptions& options) {
  Grid grid;
  for (std::size_t v = 0; v < files.front().ranges.size(); ++v) {
    const auto& period = files.front().periods[v];
    const auto [low, high] = period.value_or(files.front().ranges[v]);
    grid.axes.push_back({low, high, 1, period.has_value()});
  }
  if (are_windows(files, grid, {options.kt, options.blocks}))
    throw InputError(
        files.front().name + " and " + counted(files.size() - 1, "other files") +
        " are umbrella windows, each with a harmonic bias of its own; --state expects parts or replicas of "
        "one run; join the windows without --state");
}

}  // namespace

StateRun run_states(const StateJob& job, Reporter& reporter) {
  StateRun run;
  run.job = job;
  ScratchFile scratch(scratch_folder());
  std::vector<data::ColvarSamples> biased, states;
  for (const auto& file : job.files) biased.push_back(data::read_colvar(file, job.columns, scratch, reporter));
  std::vector<std::string> names;
  for (const auto& [name, file] : job.states) {
    names.push_back(name);
    states.push_back(data::read_colvar(file, {job.columns.variables, {}, 0, {}}, scratch, reporter));
  }
  refuse_windows(biased, job.options);
  for (const auto& samples : biased) run.rows.push_back(samples.rows);
  for (const auto& samples : states) run.state_rows.push_back(samples.rows);
  for (const auto* all : {&biased, &states})
    for (const auto& samples : *all) tell_left_out(samples.name, samples.rows, reporter);
  run.result = estimate_state_shares(biased, states, names, job.columns.variables, job.options, reporter);
  return run;
}

std::string states_csv(const StateRun& run) {
  std::string out = "state,share,F,se,lo,hi,assigned\n";
  for (const auto& state : run.result.states) {
    append_csv_field(out, state.name);
    for (const double value :
         {state.share, state.energy.value, state.energy.standard_error, state.lower, state.upper, state.assigned}) {
      out += ',';
      append_number(out, value);
    }
    out += '\n';
  }
  return out;
}

std::string state_bins_csv(const StateRun& run) {
  const auto& r = run.result;
  std::string out = "bin,lo,hi";
  if (r.edges.size() > 1) out += ",lo_2,hi_2";
  for (const auto& state : r.states) {
    out += ',';
    append_csv_field(out, state.name);
  }
  out += ",observed,fitted\n";
  const auto last = static_cast<Index>(r.edges.back().size()) + 1;
  for (Index b = 0; b < r.observed.size(); ++b) {
    out += std::to_string(b);
    const auto add = [&](double value) {
      out += ',';
      append_number(out, value);
    };
    const auto add_bounds = [&](std::size_t variable, Index bin) {
      const auto [low, high] = bounds(r.edges[variable], bin);
      add(low), add(high);
    };
    if (r.edges.size() > 1) add_bounds(0, b / last);
    add_bounds(r.edges.size() - 1, b % last);
    for (Index s = 0; s < r.observed_in.cols(); ++s) add(r.observed_in(b, s));
    add(r.observed[b]), add(r.fitted[b]);
    out += '\n';
  }
  return out;
}

std::string states_json(const StateRun& run) {
  const auto& r = run.result;
  const auto& options = run.job.options;
  const auto rows_of = [](const std::vector<data::ColvarRows>& files) {
    data::ColvarRows all;
    for (const auto& rows : files) all += rows;
    return all;
  };
  Ordered json = {{"made_by", run.made_by},
                  {"command", run.command},
                  {"files", run.job.files},
                  {"cv", run.job.columns.variables},
                  {"bias", run.job.columns.biases},
                  {"kt", options.kt},
                  {"energy_unit", run.energy_unit.empty() ? "that of kT" : run.energy_unit},
                  {"method", "shares of states"}};
  const auto& last = r.states.back();
  const bool two = r.states.size() == 2;
  json["delta_F"] = two ? Ordered(last.energy.value) : Ordered(nullptr);
  json["delta_F_se"] = two ? Ordered(last.energy.standard_error) : Ordered(nullptr);
  json["delta_F_interval"] = two ? Ordered::array({last.lower, last.upper}) : Ordered(nullptr);
  json["delta_F_of"] = "the second state less the first one";
  json["delta_F_assigned"] = two ? Ordered(last.assigned) : Ordered(nullptr);
  json["barrier"] = nullptr;
  json["n_eff"] = r.effective_rows;
  json["chi2"] = r.chi_squared;
  json["penalty"] = nullptr;
  json["overlap"] = r.overlap;
  json["unexplained"] = r.unexplained;
  json["assigned_within_error"] = options.bootstrap > 0 ? Ordered(r.within_error) : Ordered(nullptr);
  json["converged"] = r.converged;
  json["not_converged_because"] = r.reasons;
  json["states"] = Ordered::array();
  for (std::size_t s = 0; s < r.states.size(); ++s) {
    const auto& state = r.states[s];
    json["states"].push_back({{"name", state.name},
                              {"file", run.job.states[s].second},
                              {"share", state.share},
                              {"F", state.energy.value},
                              {"se", state.energy.standard_error},
                              {"interval", {state.lower, state.upper}},
                              {"assigned", state.assigned},
                              {"share_of_blocks", state.share_of_blocks},
                              {"rows", rows_json(run.state_rows[s])}});
  }
  json["rows"] = rows_json(rows_of(run.rows));
  json["bins"] = r.observed.size();
  json["blocks"] = options.blocks;
  json["bootstrap"] = options.bootstrap;
  json["failed_resamples"] = r.failed_resamples;
  json["confidence"] = options.confidence;
  json["seed"] = options.seed;
  json["warnings"] = run.warnings;
  return json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

evaluate::Figures states_figures(const StateRun& run) {
  const auto& r = run.result;
  const std::string unit = run.energy_unit.empty() ? "" : " " + run.energy_unit;
  evaluate::Figures figures;
  for (const auto& state : r.states) {
    std::string text = "F " + with_error(state.energy) + unit;
    if (std::isfinite(state.lower))
      text += ", " + evaluate::percent_text(run.job.options.confidence, 0) + " interval " +
              evaluate::rate_text(state.lower, 2) + " to " + evaluate::rate_text(state.upper, 2);
    text += "; by the likelier state of each bin " + evaluate::rate_text(state.assigned, 2);
    figures.emplace_back(state.name, &state == &r.states.front()
                                         ? "F 0" + unit + ", share " + evaluate::rate_text(state.share, 4)
                                         : text);
  }
  figures.emplace_back("overlap", evaluate::rate_text(r.overlap, 3));
  figures.emplace_back("chi^2 a bin", evaluate::rate_text(r.chi_squared, 2));
  if (r.within_error)
    figures.emplace_back("deconvolution", "not needed: assigning bins to states comes to the same within the error");
  figures.emplace_back("converged", r.converged ? "yes" : "no: " + join(r.reasons, "; "));
  return figures;
}

std::string states_subject(const StateRun& run) {
  std::int64_t rows = 0;
  for (const auto& file : run.rows) rows += file.used;
  return join(run.job.columns.variables) + ": " + counted(rows, "rows") + " of " +
         counted(run.job.files.size(), "files") + "; those of " + evaluate::rate_text(run.result.effective_rows, 0) +
         " without weights";
}

std::string states_text(const StateRun& run) {
  return states_subject(run) + "\n" + evaluate::figure_lines(states_figures(run), kFigureNames);
}

}  // namespace ae::fit
