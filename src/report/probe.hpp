// Pictures and a page of what simple models read from columns.
#pragma once

#include <string>

#include "fit/summary.hpp"

namespace ae::report {

// The Kaplan-Meier curves of the risk groups with their intervals, censored rows as ticks and the numbers at risk, as
// one SVG file (XML 1.0, UTF-8), for light and dark surroundings: the same evaluation gives the same bytes. "" without
// risk groups.
std::string survival_svg(const fit::ProbeEvaluation& evaluation);

struct ProbePage {
  const fit::ProbeEvaluation& evaluation;
  std::string command;  // the command line that made it
  std::string made_by;
};

// One self-contained HTML file: the figures with their intervals, what columns add to controls, the curves, and the
// conventions. Text may hold any bytes.
std::string probe_page(const ProbePage& page);

}  // namespace ae::report
