// The options of programs that ask a classifier of images.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apply/detectors.hpp"
#include "apply/named_choice.hpp"
#include "apply/purifiers.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "cli/app.hpp"
#include "cli/options.hpp"
#include "recipe/checkpoint.hpp"
#include "victim/classifier.hpp"

namespace ae::apps {

struct ClassifierTexts {
  std::string& labels;
  std::vector<std::string>& classes;
  std::vector<std::string>&mean, &deviation;
  std::string& outputs;
};

constexpr const char* kClassifierGroup = "Classifier";  // of the help

inline std::vector<CLI::Option*> add_classifier_options(CLI::App& app, const ClassifierTexts& texts) {
  std::vector<CLI::Option*> added;
  const auto grouped = [&](CLI::Option* option) { return added.emplace_back(option->group(kClassifierGroup)); };
  grouped(
      app.add_option("--labels", texts.labels,
                     "The class of each image: IDX, or a table with the column label, and id or rows in the images' "
                     "order (default: those of the folders, or of the IDX file beside the images)"))
      ->type_name("FILE");
  grouped(app.add_option("--classes", texts.classes,
                         "Names of the classes in the classifier's order, by commas or repeated (default: those that "
                         "its file holds, else 0,1,...)"))
      ->delimiter(',')
      ->type_name("TEXT");
  grouped(
      app.add_option("--mean", texts.mean,
                     "What the classifier's user takes from each pixel: a number, or one for each channel, by commas "
                     "or repeated"))
      ->delimiter(',')
      ->type_name("TEXT");
  grouped(app.add_option("--std", texts.deviation, "What pixels are then divided by, by commas or repeated likewise"))
      ->delimiter(',')
      ->type_name("TEXT");
  grouped(cli::add_choice(app, "--outputs", texts.outputs, "What the classifier gives", {"logits", "probabilities"}))
      ->capture_default_str();
  return added;
}

struct DetectorTexts {
  std::vector<std::string>& detectors;
  std::string& clean;
  double& false_positives;
};

// The first of them is --detector.
inline std::vector<CLI::Option*> add_detector_options(CLI::App& app, const DetectorTexts& texts) {
  auto* detector = app.add_option("--detector", texts.detectors,
                                  "Flags images that seem to have been changed, by commas or repeated: " +
                                      apply::kinds_help(apply::detector_kinds()))
                       ->delimiter(',')
                       ->type_name("TEXT");
  auto* clean =
      app.add_option("--clean", texts.clean,
                     "Images that nobody has changed, all of them readable: for the thresholds of --detector, "
                     "which take some that the model was not trained on, for the components of --purifier pca, "
                     "and for ae-purify --audit-manifold")
          ->type_name("PATH");
  auto* share = cli::add_number(app, "--false-positives", texts.false_positives,
                                "Share of the clean images that detectors together may flag", 1e-6, 0.5)
                    ->capture_default_str()
                    ->needs(detector);
  for (auto* option : {detector, clean, share}) option->group(kClassifierGroup);
  return {detector, clean, share};
}

inline CLI::Option* add_among_option(CLI::App& app, std::vector<std::string>& among) {
  return app
      .add_option("--among", among,
                  "A further model, of --purifier nearest, repeat for several: the folder that ae-train wrote, or its "
                  "model.safetensors")
      ->allow_extra_args(false)
      ->type_name("PATH");
}

// UsageError unless --among is given where models are compared, and nowhere else.
inline void check_among(const std::vector<std::string>& among, const std::vector<std::string>& purifiers) {
  const bool compared = apply::PurifierChain::compares(purifiers);
  if (among.empty() && compared)
    throw UsageError("--purifier nearest: chooses among several models; name the others by --among PATH");
  if (!among.empty() && !compared) throw UsageError("--among: is for --purifier nearest alone; name that, too");
}

inline std::vector<recipe::Checkpoint> open_among(const std::vector<std::string>& among) {
  std::vector<recipe::Checkpoint> models;
  for (const auto& path : among) models.push_back(recipe::Checkpoint::open(path));
  return models;
}

inline CLI::Option* add_votes_option(CLI::App& app, std::optional<std::int64_t>& votes) {
  return cli::add_integer(app, "--votes", votes,
                          "How often the classifier is asked, each time with other noise, where something is drawn at "
                          "random; the class that is answered most often counts (default: " +
                              std::to_string(apply::kUsualVotes) + ", of ae-attack --certify 1000)",
                          1, 1000000)
      ->group(kClassifierGroup);
}

// UsageError unless --clean is given where it is needed, and nowhere else.
inline void check_clean(const std::string& clean, const std::vector<std::string>& detectors,
                        const std::vector<std::string>& purifiers) {
  if (clean.empty() && !detectors.empty())
    throw UsageError("--detector: needs images that nobody has changed, by --clean PATH");
  if (!clean.empty() && detectors.empty() && !apply::PurifierChain::fitted(purifiers))
    throw UsageError(
        "--clean: is for thresholds of --detector, for --purifier pca and for ae-purify --audit-manifold; name one of "
        "them");
}

// UsageError for what is no number, or out of range.
inline std::vector<double> numbers(const std::vector<std::string>& texts, const std::string& option, double low,
                                   double high) {
  std::vector<double> found;
  for (const auto& text : texts) {
    const auto number = parse_number(text);
    if (!number || !(*number >= low && *number <= high))
      throw UsageError(option + ": found " + ae::quoted(text) + ", expected a number from " + number_text(low) +
                       " to " + number_text(high));
    found.push_back(*number);
  }
  return found;
}

inline victim::ClassifierOptions classifier_input(const std::vector<std::string>& mean,
                                                  const std::vector<std::string>& deviation,
                                                  const std::string& outputs) {
  return {numbers(mean, "--mean", -1e6, 1e6), numbers(deviation, "--std", 1e-9, 1e6), outputs == "probabilities"};
}

}  // namespace ae::apps
