#include "fit/free_energy_files.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/rate_text.hpp"
#include "fit/estimate_text.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Ordered = nlohmann::ordered_json;

void append_place(std::string& out, const Grid& grid, Index bin, char delimiter) {
  const auto [i, j] = grid.place(bin);
  append_number(out, grid.axes[0].centre(i));
  if (grid.axes.size() == 1) return;
  out += delimiter;
  append_number(out, grid.axes[1].centre(j));
}

void append_fields(std::string& out, std::initializer_list<double> values, char delimiter) {
  for (const double value : values) {
    out += delimiter;
    append_number(out, value);
  }
}

std::string_view reweighting_name(Reweighting reweighting) {
  switch (reweighting) {
    case Reweighting::harmonic:
      return "harmonic bias";
    case Reweighting::exposure:
      return "bias by bins";
    case Reweighting::weights:
      break;
  }
  return "weights of rows";
}

data::ColvarRows all_rows(const FreeEnergyRun& run) {
  data::ColvarRows all;
  for (const auto& rows : run.rows) all += rows;
  return all;
}

std::int64_t rows_outside(const FreeEnergy& result) {
  std::int64_t outside = 0;
  for (const auto& window : result.windows) outside += window.outside;
  return outside;
}

// Of windows that have as many rows.
std::int32_t blocks_used(const FreeEnergy& result) {
  std::int32_t most = 0;
  for (const auto& window : result.windows) most = std::max(most, window.blocks());
  return most;
}

void put(Ordered& json, const std::string& name, const std::optional<WithError>& estimate) {
  json[name] = estimate ? Ordered(estimate->value) : Ordered(nullptr);
  json[name + "_se"] = estimate ? Ordered(estimate->standard_error) : Ordered(nullptr);
}

Ordered axis_json(const Axis& axis) {
  return {{"minimum", axis.low}, {"maximum", axis.high}, {"bins", axis.bins}, {"periodic", axis.periodic}};
}

Ordered grid_json(const Grid& grid) {
  Ordered axes = Ordered::array();
  for (const auto& axis : grid.axes) axes.push_back(axis_json(axis));
  return axes;
}

// `min_NAME` and the like, as PLUMED writes grids.
void append_constant(std::string& out, const std::string& name, const std::string& value) {
  out += "#! SET " + name + " " + value + "\n";
}

}  // namespace

std::string free_energy_csv(const FreeEnergyRun& run) {
  const auto& r = run.result;
  const double z = evaluate::two_sided_normal_quantile(run.options.confidence);
  std::string out = r.grid.axes.size() > 1 ? "x,y," : "x,";
  out += "F_observed,F,se,lo,hi,n_eff\n";
  for (Index b = 0; b < r.grid.bins(); ++b) {
    append_place(out, r.grid, b, ',');
    const double f = r.energies[b], se = r.standard_errors[b];
    append_fields(out, {r.observed[b], f, se, f - z * se, f + z * se, r.effective[b]}, ',');
    out += '\n';
  }
  return out;
}

std::string blur_csv(const FreeEnergyRun& run) {
  const auto& r = run.result;
  const auto& seen = r.observed_grid;
  std::string out;
  if (r.inner.axes.size() == 1) {
    out = "x,observed,probability\n";
    for (Index j = 0; j < r.blur.outerSize(); ++j) {
      for (Blur::InnerIterator entry(r.blur, j); entry; ++entry) {
        append_place(out, r.inner, j, ',');
        append_fields(out, {seen.axes[0].centre(entry.row()), entry.value()}, ',');
        out += '\n';
      }
    }
    return out;
  }
  out = "x,y,mean_x,mean_y,sd_x,sd_y,correlation\n";
  for (Index j = 0; j < r.blur.outerSize(); ++j) {
    double total = 0, mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    const auto [jx, jy] = r.inner.place(j);
    const double x = r.inner.axes[0].centre(jx), y = r.inner.axes[1].centre(jy);
    for (Blur::InnerIterator entry(r.blur, j); entry; ++entry) {
      const auto [i, k] = seen.place(entry.row());
      const double p = entry.value(), dx = seen.axes[0].difference(seen.axes[0].centre(i), x),
                   dy = seen.axes[1].difference(seen.axes[1].centre(k), y);
      total += p, mx += p * dx, my += p * dy, xx += p * dx * dx, yy += p * dy * dy, xy += p * dx * dy;
    }
    mx /= total, my /= total;
    const double vx = xx / total - mx * mx, vy = yy / total - my * my, cxy = xy / total - mx * my;
    append_place(out, r.inner, j, ',');
    append_fields(out, {x + mx, y + my, std::sqrt(vx), std::sqrt(vy), cxy / std::sqrt(vx * vy)}, ',');
    out += '\n';
  }
  return out;
}

std::string free_energy_json(const FreeEnergyRun& run) {
  const auto& r = run.result;
  const auto rows = all_rows(run);
  Ordered json = {{"made_by", run.made_by},
                  {"command", run.command},
                  {"files", run.files},
                  {"cv", run.variables},
                  {"bias", run.biases},
                  {"kt", run.options.kt},
                  {"energy_unit", run.energy_unit.empty() ? "that of kT" : run.energy_unit},
                  {"blur", run.blur_text},
                  {"method", run.options.method == DeconvolutionMethod::penalised ? "penalised" : "richardson-lucy"}};
  put(json, "delta_F", r.delta_f);
  json["delta_F_of"] = "the right side, or state, less the left one";
  json["split"] = r.split ? Ordered(*r.split) : Ordered(nullptr);
  json["delta_F_se_rows"] = r.delta_f && r.windows.size() == 1 ? Ordered(r.delta_f_row_error) : Ordered(nullptr);
  json["delta_F_halves"] = r.delta_f && r.windows.size() == 1 ? Ordered(r.delta_f_halves) : Ordered(nullptr);
  put(json, "barrier", r.barrier);
  json["n_eff"] = r.effective_rows;
  json["chi2"] = r.chi_squared;
  json["chi2_bins"] = r.chi_squared_bins;
  const bool has_penalty = run.options.method == DeconvolutionMethod::penalised;
  json["penalty"] = has_penalty ? Ordered(r.penalty) : Ordered(nullptr);
  json["penalty_chosen"] = has_penalty ? Ordered(!run.options.penalty.has_value()) : Ordered(nullptr);
  json["penalties"] = r.penalties;
  json["held_out_log_likelihood"] = r.held_out;
  json["converged"] = r.converged;
  json["not_converged_because"] = r.reasons;
  json["transitions"] = r.transitions;
  json["states"] = Ordered::array();
  for (const auto& state : r.states)
    json["states"].push_back({{"at", state.at},
                              {"F", state.energy.value},
                              {"se", state.energy.standard_error},
                              {"way_out", state.persistence},
                              {"rows", state.rows},
                              {"share_of_blocks", state.share_of_blocks}});
  if (r.comparison)
    json["richardson_lucy"] = {{"iterations", r.comparison->iterations},
                               {"barrier", r.comparison->barrier},
                               {"delta_F", r.comparison->delta_f}};
  json["rows"] = rows_json(rows);
  json["rows"]["outside"] = rows_outside(r);
  json["rows"]["beyond_blur"] = r.beyond;
  json["grid"] = grid_json(r.grid);
  json["inner_grid"] = grid_json(r.inner);
  json["observed_grid"] = grid_json(r.observed_grid);
  json["windows"] = Ordered::array();
  for (const auto& window : r.windows)
    json["windows"].push_back({{"files", window.files},
                               {"reweighting", reweighting_name(window.reweighting)},
                               {"rows", window.rows},
                               {"outside", window.outside},
                               {"blocks", window.blocks()},
                               {"n_eff", window.effective_rows}});
  json["blocks"] = blocks_used(r);
  json["bootstrap"] = run.options.bootstrap;
  json["failed_resamples"] = r.failed_resamples;
  json["confidence"] = run.options.confidence;
  json["seed"] = run.options.seed;
  json["warnings"] = run.warnings;
  return json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

evaluate::Figures free_energy_figures(const FreeEnergyRun& run) {
  const auto& r = run.result;
  const std::string unit = run.energy_unit.empty() ? "" : " " + run.energy_unit;
  evaluate::Figures figures;
  if (r.delta_f)
    figures.emplace_back("delta F",
                         with_error(*r.delta_f) + unit +
                             (r.split ? " (right less left of " + evaluate::rate_text(*r.split, 3) + ")" : ""));
  if (r.barrier) figures.emplace_back("barrier", with_error(*r.barrier) + unit);
  for (const auto& state : r.states) {
    std::string at;
    for (const double x : state.at) at += (at.empty() ? "" : ", ") + evaluate::rate_text(x, 3);
    figures.emplace_back("state", at + ": F " + with_error(state.energy));
  }
  figures.emplace_back("chi^2 a bin", evaluate::rate_text(r.chi_squared, 2));
  if (run.options.method == DeconvolutionMethod::penalised)
    figures.emplace_back("penalty",
                         number_text(r.penalty) + (run.options.penalty ? "" : ", chosen by held-out blocks"));
  figures.emplace_back("converged", r.converged ? "yes" : "no: " + join(r.reasons, "; "));
  return figures;
}

std::string free_energy_subject(const FreeEnergyRun& run) {
  const auto& r = run.result;
  std::string out =
      join(run.variables) + ": " + counted(all_rows(run).used, "rows") + " of " + counted(run.files.size(), "files");
  if (r.windows.size() > 1) out += ", " + counted(r.windows.size(), "windows");
  return out + "; those of " + evaluate::rate_text(r.effective_rows, 0) + " without weights; " + run.blur_text;
}

std::string free_energy_text(const FreeEnergyRun& run) {
  return free_energy_subject(run) + "\n" + evaluate::figure_lines(free_energy_figures(run), kFigureNames);
}

std::string free_energy_plumed(const FreeEnergyRun& run) {
  const auto& r = run.result;
  const auto rows = all_rows(run);
  std::string out = "#! FIELDS";
  for (const auto& name : run.variables) out += " " + name;
  out += " file.free uncertainty\n";
  append_constant(out, "sample_size", std::to_string(rows.used));
  append_constant(out, "effective_sample_size", number_text(r.effective_rows));
  if (r.delta_f) append_constant(out, "DeltaF", number_text(r.delta_f->value));
  append_constant(out, "blocks_num", std::to_string(blocks_used(r)));
  for (std::size_t v = 0; v < run.variables.size(); ++v) {
    const auto& axis = r.grid.axes[v];
    append_constant(out, "min_" + run.variables[v], number_text(axis.low));
    append_constant(out, "max_" + run.variables[v], number_text(axis.high));
    append_constant(out, "nbins_" + run.variables[v], std::to_string(axis.bins));
    append_constant(out, "periodic_" + run.variables[v], axis.periodic ? "true" : "false");
  }
  for (Index b = 0; b < r.grid.bins(); ++b) {
    if (r.grid.axes.size() > 1 && b > 0 && r.grid.place(b).second == 0) out += '\n';
    out += ' ';
    append_place(out, r.grid, b, ' ');
    append_fields(out, {r.energies[b], r.standard_errors[b]}, ' ');
    out += '\n';
  }
  return out;
}

}  // namespace ae::fit
