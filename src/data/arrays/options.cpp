#include "data/arrays/options.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace ae::data {
namespace {

constexpr std::array<config::Choice, 3> kLayouts{{
    {"auto", "told by the shapes of rewards and ends, and by ends that all lie in the last column"},
    {"episodes", "[episodes, steps]"},
    {"steps", "[steps, environments], as rollouts of vector environments are"},
}};

constexpr std::array<config::Choice, kTransitionRoles> kArrayRoles{{
    {"observations", "what is learned"},
    {"next-observations", "not learned"},
    {"actions", "not learned"},
    {"rewards", "not learned; its shape tells episodes from steps"},
    {"terminations", "as rewards"},
    {"truncations", "as rewards"},
    {"episodes", "as rewards"},
}};

constexpr std::array<config::Choice, 2> kScalings{{
    {"standard", "mean 0 and standard deviation 1 of each element"},
    {"none", "as it is"},
}};

}  // namespace

void ArrayOptions::fields(config::Fields& f) {
  f.path("path", path, "The file of arrays to read: NPZ, NPY or HDF5, or a folder of Minari.");
  f.choice_map("arrays", arrays, kArrayRoles, "Roles by the name of an array; others are known by their usual names.");
  f.choice("layout", layout, kLayouts, "What the first two dimensions of rewards and ends are, where there are two.");
  f.path("rows", rows, "A file with one 0-based number of an observation a line; only these are used.");
  f.choice("scaling", scaling, kScalings,
           "How elements are brought to a common scale, fitted on training observations.");
}

TransitionOptions ArrayOptions::transitions() const {
  TransitionOptions how;
  how.only_observations = true;
  if (layout == "episodes") how.layout = TransitionLayout::episodes;
  if (layout == "steps") how.layout = TransitionLayout::steps;
  for (const auto& [array, named] : arrays) {
    const auto is_named = [&, role = std::string_view(named)](const auto& names) { return role == names.name; };
    how.arrays.emplace_back(std::ranges::find_if(transition_names(), is_named)->role, array);
  }
  return how;
}

}  // namespace ae::data
