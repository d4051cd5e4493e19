// The objectives of the toy programs: those of the others, and one line more.
#include <array>

#include "toy.hpp"
#include "train/makers.hpp"

namespace ae::recipe {

std::span<const config::Entry<ObjectiveOptions>> objectives() {
  static const std::array kObjectives{train::kReconstruction, train::kPrincipalComponents, train::kClassification,
                                      train::kAdversarialReconstruction, toy::kSignObjective};
  return kObjectives;
}

}  // namespace ae::recipe
