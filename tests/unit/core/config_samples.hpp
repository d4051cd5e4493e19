// A configuration with every kind of field, some of them renamed, for the tests and the fuzz target.
#pragma once

#include <array>
#include <memory>

#include "config/document.hpp"
#include "config/fields.hpp"

namespace ae::config::samples {

struct Model : Section {};

struct Dense final : Model {
  std::vector<std::int64_t> hidden = {64, 16};
  std::int64_t latent = 4;
  double dropout = 0;
  void fields(Fields& f) override {
    f.integers("hidden", hidden, {1, 65536}, "Sizes of the hidden layers.");
    f.integer("latent", latent, {1, 65536}, "Size of the bottleneck.");
    f.number("dropout", dropout, {.minimum = 0, .maximum = 1, .exclude_maximum = true}, "Rate of dropped units.");
    f.renamed("layers", "hidden");
    f.renamed("units", "hidden");
  }
  void check(std::vector<Problem>& problems) const override {
    for (std::size_t i = 0; i < hidden.size(); ++i)
      if (hidden[i] < latent)
        problems.push_back({"/hidden/" + std::to_string(i), "found " + std::to_string(hidden[i]) +
                                                                ", expected at least the latent size " +
                                                                std::to_string(latent) + "; use a smaller latent"});
  }
};

struct Linear final : Model {
  std::int64_t latent = 4;
  bool bias = true;
  void fields(Fields& f) override {
    f.integer("latent", latent, {1, 65536}, "Size of the bottleneck.");
    f.boolean("bias", bias, "Whether to learn an offset.");
  }
};

struct Term : Section {
  double weight = 1;
  void fields(Fields& f) override { f.number("weight", weight, {.minimum = 0}, "Factor of this term."); }
};

struct Mse final : Term {};

struct Huber final : Term {
  double delta = 1;
  void fields(Fields& f) override {
    Term::fields(f);
    f.number("delta", delta, {.minimum = 0, .exclude_minimum = true}, "Where squares turn into lines.");
    f.renamed("threshold", "delta");
  }
};

template <typename Base, typename Derived>
std::unique_ptr<Base> make() {
  return std::make_unique<Derived>();
}

inline constexpr std::array<Entry<Model>, 2> models = {{
    {"dense", "A multilayer perceptron.", make<Model, Dense>},
    {"linear", "The linear autoencoder.", make<Model, Linear>},
}};
inline constexpr std::array<Entry<Term>, 2> terms = {{
    {"mse", "Squared error.", make<Term, Mse>},
    {"huber", "Squared near zero, absolute far away.", make<Term, Huber>},
}};

struct Loss final : Section {
  VariantList<Term> list{terms};
  bool is_set = false;
  void fields(Fields& f) override { f.variants("terms", list, is_set, "Weighted terms; null chooses by column."); }
};

inline constexpr std::array<Choice, 2> optimisers = {{{"adam", "adaptive steps"}, {"sgd", "plain steps"}}};
inline constexpr std::array<Choice, 2> roles = {{{"numeric", "a number"}, {"ignore", "left out"}}};

struct Training final : Section {
  std::int64_t epochs = 100;
  std::int64_t seed = 0;
  double learning_rate = 1e-3;
  std::optional<double> clip;
  std::string optimiser = "adam";
  bool shuffle = true;
  void fields(Fields& f) override {
    f.integer("epochs", epochs, {1, 1'000'000}, "Passes over the training rows at most.");
    f.integer("seed", seed, {}, "Start of all randomness.");
    f.number("learning_rate", learning_rate, {.minimum = 0, .maximum = 1, .exclude_minimum = true},
             "Step size of the optimiser.");
    f.optional_number("clip", clip, {.minimum = 0, .exclude_minimum = true}, "Largest gradient norm.");
    f.choice("optimiser", optimiser, optimisers, "How weights move.");
    f.boolean("shuffle", shuffle, "Whether rows are shuffled.");
    f.renamed("rate", "learning_rate");
  }
};

struct Data final : Section {
  Path path;
  std::string label;
  std::vector<std::string> normal;
  std::vector<std::string> missing = {"", "NA"};
  std::vector<std::pair<std::string, std::string>> columns = {{"id", "ignore"}};
  void fields(Fields& f) override {
    f.path("path", path, "The table.");
    f.text("label", label, "Name of the label column.");
    f.scalars("normal", normal, "Label values that mean normal.");
    f.texts("missing", missing, "Texts of cells that are not observed.");
    f.choice_map("columns", columns, roles, "Roles by wildcard pattern.");
  }
};

struct Everything final : Section {
  Data data;
  Variant<Model> model{models, "dense"};
  Loss loss;
  Training training;
  void fields(Fields& f) override {
    f.section("data", data, "The training table.");
    f.variant("model", model, "The network.");
    f.section("loss", loss, "What is minimised.");
    f.section("training", training, "How it is minimised.");
    f.renamed("fit", "training");
  }
};

// A variant that must be given.
struct Demanding final : Section {
  Variant<Model> model{models};
  std::int64_t rounds = 3;
  void fields(Fields& f) override {
    f.variant("model", model, "The network.");
    f.integer("rounds", rounds, {1, 9}, "Rounds.");
  }
};

// The same under another name.
struct Renamed final : Section {
  Variant<Model> model{models};
  void fields(Fields& f) override {
    f.variant("model", model, "The network.");
    f.renamed("network", "model");
  }
};

}  // namespace ae::config::samples
