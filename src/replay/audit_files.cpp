#include "replay/audit_files.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "evaluate/rate_text.hpp"
#include "replay/json_number.hpp"
#include "report/bars.hpp"
#include "report/panels.hpp"

namespace ae::replay {
namespace {

using Ordered = nlohmann::ordered_json;
using evaluate::rate_text;

Ordered parts_json(const AuditParts& parts) {
  return {{"gradient", parts.gradient}, {"gradient_covariance", parts.gradient_covariance},
          {"hessian", parts.hessian},   {"hessian_covariance", parts.hessian_covariance},
          {"kink", parts.kink},         {"remainder", parts.remainder}};
}

Ordered correction_json(const CorrectionCheck& check) {
  if (check.pairs == 0) return nullptr;
  return {{"errors", error_model_name(check.model)},
          {"gain", check.gain.gain},
          {"held_out_pairs", check.pairs},
          {"mean_before", check.mean_before},
          {"mean_after", check.mean_after},
          {"rms_before", check.rms_before},
          {"rms_after", check.rms_after},
          {"seen_before", check.seen_before},
          {"seen_after", check.seen_after},
          {"harms", check.harms}};
}

}  // namespace

std::string audit_csv_header() {
  return "transition,measured,predicted,gradient,hessian,covariance,kink,remainder,terminated,action,action_stored\n";
}

std::string audit_csv_line(const AuditedTransition& t) {
  std::string line = std::to_string(t.number);
  for (const double value : {t.measured, t.predicted(), t.gradient, t.hessian, t.covariance, t.kink, t.remainder}) {
    line += ',';
    append_number(line, value);
  }
  line += t.terminated ? ",1" : ",0";
  for (const auto action : {t.action, t.action_stored}) {
    line += ',';
    if (action >= 0) line += std::to_string(action);
  }
  return line += '\n';
}

std::string audit_json(const AuditRun& run) {
  const auto& r = run.result;
  const double horizon = 1 - run.options.gamma;
  Ordered json = {
      {"made_by", run.made_by},
      {"command", run.command},
      {"original", run.original},
      {"stored", run.stored},
      {"q", run.q},
      {"gamma", run.options.gamma},
      {"actions", run.actions},
      {"observation_size", run.width},
      {"transitions", r.transitions},
      {"bootstrapping", r.moments.bootstrapping},
      {"terminated", r.moments.terminated},
      {"without_next_observation", r.moments.without_next},
      {"resets", r.moments.left_out},
      {"rms_error", r.moments.rms},
      {"spread", r.moments.spread},
      {"mean_bias", r.mean_bias},
      {"mean_bias_se", r.mean_bias_se},
      {"rms_bias", r.rms_bias},
      {"predicted_bias", r.predicted_bias},
      {"correlation", number_or_null(r.correlation)},
      {"action_changes", r.action_changes},
      {"parts", parts_json(r.parts)},
      {"remainder_rms", r.remainder_rms},
      {"remainder_share", r.rms_bias > 0 ? r.remainder_rms / r.rms_bias : 0},
      {"usual_formula",
       {{"value", r.usual_formula}, {"error", r.usual_formula - r.mean_bias}, {"standard_error", r.usual_formula_se}}},
      {"bound", number_or_null(r.largest_bias / horizon)},
      {"bound_of_mean", number_or_null(std::abs(r.mean_bias) / horizon)},
      {"input_error", {{"mean", number_or_null(r.input_mean)}, {"rms", number_or_null(r.input_rms)}}},
      {"td_error_rms", number_or_null(r.td_rms)},
      {"correction", correction_json(r.correction)},
      {"valid", r.valid},
      {"verdict", r.valid ? "expansion valid" : "expansion invalid"},
      {"seed", run.options.seed},
      {"warnings", run.warnings}};
  return json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

evaluate::Figures audit_figures(const AuditRun& run) {
  const auto& r = run.result;
  evaluate::Figures figures;
  const auto line = [&](const char* name, const std::string& value) { figures.emplace_back(name, value); };
  line("bias of the target",
       rate_text(r.mean_bias, 4) + " +- " + rate_text(r.mean_bias_se, 4) + ", rms " + rate_text(r.rms_bias, 4));
  line("  gradient", rate_text(r.parts.gradient, 4) + ", covariance " + rate_text(r.parts.gradient_covariance, 4));
  line("  hessian", rate_text(r.parts.hessian, 4) + ", covariance " + rate_text(r.parts.hessian_covariance, 4));
  line("  kink", rate_text(r.parts.kink, 4));
  line("  remainder", rate_text(r.parts.remainder, 4) + ", rms " + rate_text(r.remainder_rms, 4));
  line("predicted", rate_text(r.predicted_bias, 4) + ", correlation " + rate_text(r.correlation, 3));
  line("usual formula", rate_text(r.usual_formula, 4) + ", off by " + rate_text(r.usual_formula - r.mean_bias, 4));
  line("other greedy action", rate_text(100 * r.action_changes, 2) + " %");
  if (run.options.gamma < 1) line("bound on Q", rate_text(r.largest_bias / (1 - run.options.gamma), 3));
  if (r.correction.pairs > 0)
    line("correction", std::string(r.correction.harms ? "would harm" : "helps") + ": mean " +
                           rate_text(r.correction.mean_before, 4) + " to " + rate_text(r.correction.mean_after, 4) +
                           ", rms " + rate_text(r.correction.rms_before, 4) + " to " +
                           rate_text(r.correction.rms_after, 4) + " on held-out pairs");
  line("verdict", r.valid ? "expansion valid" : "expansion invalid");
  return figures;
}

std::string audit_subject(const AuditRun& run) {
  const auto& r = run.result;
  return counted(r.transitions, "transitions") + ", " + std::to_string(r.moments.terminated) +
         " terminated; rms error of next observations " + rate_text(r.moments.rms, 4);
}

std::string audit_text(const AuditRun& run) {
  constexpr std::size_t kNames = 22;  // as long as most are
  return audit_subject(run) + "\n" + evaluate::figure_lines(audit_figures(run), kNames);
}

std::string audit_svg(const AuditRun& run) {
  const auto& r = run.result;
  report::BarPicture picture;
  picture.title = "Bias of the target, by its parts";
  picture.subtitle = "expansion " + std::string(r.valid ? "valid" : "invalid") + "; rms " + rate_text(r.rms_bias, 3) +
                     ", correlation of predicted and measured " + rate_text(r.correlation, 3);
  picture.axis = "mean over " + counted(r.transitions, "transitions") + ", in the unit of Q";
  picture.bars = {{"gradient", r.parts.gradient},
                  {"covariance of gradient", r.parts.gradient_covariance},
                  {"Hessian", r.parts.hessian, r.usual_formula_se},
                  {"covariance of Hessian", r.parts.hessian_covariance},
                  {"kink", r.parts.kink},
                  {"remainder", r.parts.remainder},
                  {"measured", r.mean_bias, r.mean_bias_se, true},
                  {"predicted", r.predicted_bias, 0, true},
                  {"usual formula", r.usual_formula, r.usual_formula_se, true}};
  picture.description = "The mean bias of " + rate_text(r.mean_bias, 4) + " is the sum of";
  for (std::size_t i = 0; i < picture.bars.size() && !picture.bars[i].total; ++i)
    picture.description += (i == 0 ? " " : ", ") + picture.bars[i].name + " " + rate_text(picture.bars[i].value, 4);
  picture.description += ".";
  return report::bars_svg(picture);
}

std::string audit_page(const AuditRun& run, const std::string& command) {
  return report::panels_page(
      "What " + run.stored + " does to targets", "How the errors of a store bias the targets of Q learning, and why.",
      report::picture_panel("Parts of the mean bias", "The parts of the mean bias, as bars", audit_svg(run)) +
          report::facts_panel(audit_subject(run), audit_figures(run)) +
          report::asked_panel({{"Original", run.original}, {"Stored", run.stored}, {"Q", run.q}}, run.warnings, command,
                              run.made_by));
}

}  // namespace ae::replay
