// The door by which an objective comes in: what is trained, by which steps, and what becomes of it.
//
// Adding an objective: one file of the room train/ with an ObjectiveOptions and the Trainee that it builds (see
// train/trainee.hpp), its entry in train/makers.hpp, and one line in objectives().
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "config/fields.hpp"

namespace ae::train {
class Group;
class Trainee;
}  // namespace ae::train

namespace ae::recipe {

struct Config;
struct Dataset;

// The config section "/objective" of one objective.
class ObjectiveOptions : public config::Section {
 public:
  // Whether the dataset must tell the class of each sample.
  virtual bool needs_classes() const { return false; }
  // What trains. Fills in what the config leaves to the program ("null"), so that what is stored is what was used.
  // Everything given must outlive the trainee. UsageError when the config does not fit the data or the objective.
  virtual std::unique_ptr<train::Trainee> build(Config& config, const Dataset& data, train::Group& group) const = 0;
  // A file besides the data that the training depends on; empty: none.
  virtual std::filesystem::path file() const { return {}; }
};

// Defined by the room train/, which holds the objectives; models name theirs, so whatever reads one knows them all.
std::span<const config::Entry<ObjectiveOptions>> objectives();  // reconstruction, principal_components, ...

}  // namespace ae::recipe
