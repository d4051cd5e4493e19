// Rates and areas for people to read.
#pragma once

#include <string>

namespace ae::evaluate {

// `value` with `digits` after the point, or more where it would look like 0 or 1 and is neither: "0.9167", "1e-06",
// "0.9999990". "-" for NaN.
std::string rate_text(double value, int digits = 4);
// The same with a sign.
std::string difference_text(double value, int digits = 4);
// In per cent: "92.9%", "0.00010%", "99.99990%".
std::string percent_text(double share, int digits = 1);

}  // namespace ae::evaluate
