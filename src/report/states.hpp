// A picture of how a run is divided between states.
#pragma once

#include <string>

#include "fit/state_files.hpp"

namespace ae::report {

// By bins, on a logarithmic scale: the probability observed, and what each state's share gives of it. One SVG file (XML
// 1.0, UTF-8), for light and dark surroundings: the same run gives the same bytes.
std::string states_svg(const fit::StateRun& run);

// The picture and the figures as one self-contained HTML file. `command`: the line that made it. Text may hold any
// bytes.
std::string states_page(const fit::StateRun& run, const std::string& command);

}  // namespace ae::report
