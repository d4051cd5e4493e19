#include "model/family_options.hpp"

#include <array>

#include "model/activation.hpp"

namespace ae::model {
namespace {

using Choices = std::array<config::Choice, 3>;

constexpr config::Choice kNoNorm{"none", "no normalisation"};
constexpr config::Choice kBatchNorm{"batch", "batch normalisation before each activation"};
constexpr Choices kNormsOfCells{{kNoNorm, kBatchNorm, {"layer", "layer normalisation before each activation"}}};
constexpr Choices kNormsOfPixels{{kNoNorm, kBatchNorm, {"group", "group normalisation before each activation"}}};

constexpr Choices kObservedCells{{
    {"auto", "yes when training rows have missing cells or the corruption masks cells"},
    {"yes", "one more 0/1 input per column tells the network which cells it sees"},
    {"no", "missing cells enter as 0, the training mean, and nothing tells them apart"},
}};
constexpr Choices kObservedPixels{{
    {"auto", "yes when the corruption masks pixels"},
    {"yes", "one more 0/1 channel tells the network which pixels it sees"},
    {"no", "hidden pixels are not told apart"},
}};

}  // namespace

void HiddenOptions::fields(config::Fields& f, Elements elements) {
  f.choice("activation", activation, activations(), "Non-linearity after each hidden layer.");
  f.choice("norm", norm, elements == Elements::cells ? kNormsOfCells : kNormsOfPixels,
           "Normalisation in each hidden layer.");
}

void ObservedOption::field(config::Fields& f, Elements elements) {
  if (elements == Elements::cells) {
    f.choice("observed_input", choice, kObservedCells, "Whether the network is told which cells it sees.");
  } else {
    f.choice("observed_input", choice, kObservedPixels, "Whether the network is told which pixels it sees.");
  }
}

bool ObservedOption::shown(const Interface& interface) const {
  return choice == "yes" || (choice == "auto" && interface.observed_matters);
}

}  // namespace ae::model
