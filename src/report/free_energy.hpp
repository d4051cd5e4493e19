// A picture of a free energy.
#pragma once

#include <string>

#include "fit/free_energy_files.hpp"

namespace ae::report {

// Of one variable the free energy as observed and without the blur, with its interval, the latter also by Richardson
// and Lucy; of two variables a map. One SVG file (XML 1.0, UTF-8), for light and dark surroundings: the same run gives
// the same bytes.
std::string free_energy_svg(const fit::FreeEnergyRun& run);

// The picture and the figures as one self-contained HTML file. `command`: the line that made it. Text may hold any
// bytes.
std::string free_energy_page(const fit::FreeEnergyRun& run, const std::string& command);

}  // namespace ae::report
