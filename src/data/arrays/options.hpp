// The config section "/data" of arrays.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/arrays/transitions.hpp"
#include "data/options.hpp"

namespace ae::data {

struct ArrayOptions : DataOptions {
  std::vector<std::pair<std::string, std::string>> arrays;  // name -> role (see transition_names())
  std::string layout = "auto";
  config::Path rows;
  std::string scaling = "standard";
  void fields(config::Fields& f) override;
  TransitionOptions transitions() const;
};

}  // namespace ae::data
