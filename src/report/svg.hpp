// What the pictures share. Internal to the room.
#pragma once

#include <cmath>
#include <string>

#include "base/text.hpp"

namespace ae::report {

// A coordinate, to a hundredth of a pixel.
inline std::string pixel(double value) { return rounded_text(std::round(value * 100) / 100, 6); }

}  // namespace ae::report
