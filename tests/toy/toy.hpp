// A kind of data and an objective that come in by the doors alone, to see that these are wide enough.
#pragma once

#include "recipe/kind.hpp"
#include "recipe/objective.hpp"

namespace ae::toy {

extern const config::Entry<recipe::KindOptions> kWordKind;
extern const config::Entry<recipe::ObjectiveOptions> kSignObjective;

}  // namespace ae::toy
