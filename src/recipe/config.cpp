#include "recipe/config.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.hpp"

namespace ae::recipe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr std::array<config::Choice, 3> kEngines{{
    {"auto", "dense where it can train the model, else autograd"},
    {"autograd", "LibTorch's automatic differentiation, for every model"},
    {"dense", "fused kernels for fully connected networks, many times faster; refused for what they cannot train"},
}};

}  // namespace

void EarlyStopping::fields(config::Fields& f) {
  f.integer("patience", patience, {0, 1'000'000},
            "Epochs without a better held-out loss after which training ends; 0 trains all epochs.");
  f.number("min_improvement", min_improvement, {0, 1, false, true},
           "Relative improvement of the held-out loss that counts as better.");
}

void CheckpointOptions::fields(config::Fields& f) {
  f.integer("epochs", epochs, {0, 1'000'000}, "Save a resumable state every so many epochs; 0 never by epochs.");
  f.number("seconds", seconds, {0, kInfinity}, "Save a resumable state every so many seconds; 0 after every step.");
}

void TrainingOptions::fields(config::Fields& f) {
  f.integer("epochs", epochs, {1, 1'000'000}, "Passes over the training rows at most.");
  f.integer("batch_size", batch_size, {1, 1 << 20}, "Rows per optimisation step.");
  f.number("learning_rate", learning_rate, {0, 1e6, true}, "Base step size of the optimiser.");
  f.integer("seed", seed, {0}, "Seed of weights, row order, held-out rows, corruption and dropout.");
  f.choice("engine", engine, kEngines, "What computes the training steps.");
  f.variant("optimizer", optimizer, "Optimiser.");
  f.variant("schedule", schedule, "How the learning rate changes over the epochs.");
  f.optional_number("clip_gradient", clip_gradient, {0, kInfinity, true},
                    "Largest norm of the whole gradient; longer ones are shortened to it.");
  f.variants("corruption", corruption, corruption_set,
             "What is done to the network's input while training, in this order; null masks cells when the training "
             "rows have missing cells and does nothing otherwise.");
  f.number("emphasis", emphasis, {0, 1e6},
           "Weight of the training loss where the input was corrupted, against 1 where it was not: above 1 the network "
           "learns to restore rather than to copy; of counts only the amounts of \"hurdle\" have it.");
  f.number("trim", trim, {0, 0.9},
           "Share of the training rows, those with the highest loss, that each epoch after the first leaves out, and "
           "that the finished model does not count as normal: for training data with anomalies among them.");
  f.number("validation_fraction", validation_fraction, {0, 1, false, true},
           "Share of the training rows held out for early stopping and for calibrating p-values.");
  f.section("early_stopping", early_stopping, "When to end before the last epoch; needs held-out rows.");
  f.section("checkpoint", checkpoint, "How often the state for --resume is saved.");
}

void TrainingOptions::resolve(bool rows_have_missing_cells) {
  if (corruption_set) return;
  corruption.clear();
  if (rows_have_missing_cells) corruption.append().select("mask");
  corruption_set = true;
}

double TrainingOptions::mask_rate() const {
  const auto hides = [](const auto& item) { return item->mask_rate() > 0; };
  const auto found = std::find_if(corruption.begin(), corruption.end(), hides);
  return found == corruption.end() ? 0 : (*found)->mask_rate();
}

void TrainingOptions::check(const model::Domain& domain) const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < corruption.size(); ++i) {
    const auto complaint = corruption[i]->complaint(domain);
    if (!complaint.empty()) lines.push_back("/training/corruption/" + std::to_string(i) + ": " + complaint);
  }
  if (!lines.empty()) throw UsageError(std::move(lines));
}

void Config::fields(config::Fields& f) {
  f.variant("data", data, "The training data and how to read them.");
  f.variant("objective", objective, "What is trained for.");
  f.variant("model", model, "The autoencoder.");
  f.section("loss", loss, "What the autoencoder minimises and scores by.");
  f.section("training", training, "How it is trained.");
  f.variant("score", score, "How a row's score follows from its reconstruction.");
}

}  // namespace ae::recipe
