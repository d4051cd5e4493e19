// An audit for machines and for people.
#pragma once

#include <string>
#include <vector>

#include "evaluate/figure_list.hpp"
#include "replay/audit.hpp"

namespace ae::replay {

// What a run was told and what it found.
struct AuditRun {
  Audit result;
  AuditOptions options;
  std::string original, stored, q;  // files
  std::int64_t actions = 0, width = 0;
  std::string made_by;
  std::vector<std::string> command, warnings;
};

// transition,measured,predicted,gradient,hessian,covariance,kink,remainder,terminated,action,action_stored
std::string audit_csv_header();
std::string audit_csv_line(const AuditedTransition& transition);
std::string audit_json(const AuditRun& run);
std::string audit_subject(const AuditRun& run);  // what was audited, in a line
evaluate::Figures audit_figures(const AuditRun& run);
std::string audit_text(const AuditRun& run);
// The parts of the mean bias as bars, beside what was measured, predicted, and by the usual formula.
std::string audit_svg(const AuditRun& run);
// All of it as one self-contained HTML file. `command`: the line that made it.
std::string audit_page(const AuditRun& run, const std::string& command);

}  // namespace ae::replay
