#include <array>

#include "train/makers.hpp"

namespace ae::recipe {

// The registry is all that this file defines: a program that is linked with another one in its place has other
// objectives.
std::span<const config::Entry<ObjectiveOptions>> objectives() {
  static const std::array kObjectives{train::kReconstruction, train::kPrincipalComponents,
                                      train::kAdversarialReconstruction, train::kClassification};
  return kObjectives;
}

}  // namespace ae::recipe
