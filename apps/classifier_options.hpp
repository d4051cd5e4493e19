// The options of programs that ask a classifier of images.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"
#include "cli/app.hpp"
#include "cli/options.hpp"
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
