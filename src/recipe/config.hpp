// The whole configuration of a training run: what a JSON config file may hold.
#pragma once

#include <optional>
#include <string>

#include "config/fields.hpp"
#include "loss/composition.hpp"
#include "model/network.hpp"
#include "recipe/corruption.hpp"
#include "recipe/kind.hpp"
#include "recipe/objective.hpp"
#include "recipe/optimizer.hpp"
#include "recipe/schedule.hpp"
#include "score/head.hpp"

namespace ae::recipe {

struct EarlyStopping : config::Section {
  std::int64_t patience = 20;
  double min_improvement = 0;
  void fields(config::Fields& f) override;
};

struct CheckpointOptions : config::Section {
  std::int64_t epochs = 0;
  double seconds = 60;
  void fields(config::Fields& f) override;
};

// The config section "/training".
struct TrainingOptions : config::Section {
  std::int64_t epochs = 200;
  std::int64_t batch_size = 32;
  double learning_rate = 1e-3;
  std::int64_t seed = 0;
  std::string engine = "auto";
  config::Variant<OptimizerOptions> optimizer{optimizers(), "adam"};
  config::Variant<Schedule> schedule{schedules(), "constant"};
  std::optional<double> clip_gradient;
  CorruptionList corruption{corruptions()};
  bool corruption_set = false;  // false: mask cells when the training rows have missing ones, else none
  double emphasis = 1;
  double trim = 0;
  double validation_fraction = 0.2;
  EarlyStopping early_stopping;
  CheckpointOptions checkpoint;
  void fields(config::Fields& f) override;
  // Fills in what "null" leaves to the program, so that what is stored is what was used.
  void resolve(bool rows_have_missing_cells);
  double mask_rate() const;  // of the first corruption that hides cells, the probability that it does; 0: none does
  bool masks_cells() const { return mask_rate() > 0; }
  void check(const model::Domain& domain) const;  // UsageError when a corruption is not made for such data
  using config::Section::check;
};

struct Config : config::Section {
  config::Variant<KindOptions> data{kinds(), "table"};
  config::Variant<ObjectiveOptions> objective{objectives(), "reconstruction"};
  config::Variant<model::Family> model{model::families(), "dense"};
  loss::LossOptions loss;
  TrainingOptions training;
  config::Variant<score::Head> score{score::heads(), "loss"};
  void fields(config::Fields& f) override;
};

}  // namespace ae::recipe
