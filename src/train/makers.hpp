// What the registry objectives() is made of.
#pragma once

#include "recipe/objective.hpp"

namespace ae::train {

extern const config::Entry<recipe::ObjectiveOptions> kReconstruction;
extern const config::Entry<recipe::ObjectiveOptions> kPrincipalComponents;
extern const config::Entry<recipe::ObjectiveOptions> kAdversarialReconstruction;
extern const config::Entry<recipe::ObjectiveOptions> kClassification;

}  // namespace ae::train
