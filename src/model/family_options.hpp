// Settings that the families of tables and of images have alike, each declared once.
#pragma once

#include <string>

#include "config/fields.hpp"
#include "model/network.hpp"

namespace ae::model {

enum class Elements { cells, pixels };  // what a family reads, as users call it

// What follows the weights of a hidden layer.
struct HiddenOptions {
  std::string activation = "relu";
  std::string norm = "none";  // of cells none, batch, layer; of pixels none, batch, group

  void fields(config::Fields& f, Elements elements);
};

// Whether a network is told which elements it sees, by more inputs.
struct ObservedOption {
  std::string choice = "auto";

  void field(config::Fields& f, Elements elements);
  bool shown(const Interface& interface) const;
};

}  // namespace ae::model
