// The ways in which ae-score answers the samples of a model, each with options of its own.
//
// Adding one: a class in a file of this folder, and one line in scorings().
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apply/score_samples.hpp"
#include "cli/app.hpp"

namespace ae::apps {

class Scoring {
 public:
  virtual ~Scoring() = default;
  virtual std::string_view noun() const = 0;  // the data it is for, in messages: "images"
  virtual void declare(CLI::App& app) = 0;
  virtual bool answers(const recipe::Checkpoint& checkpoint) const = 0;
  // UsageError when an option was given that does not go with the others.
  virtual void check(const apply::ScoreOptions& asked) const = 0;
  // The files that own options name: those that are read, and, by their options, those that are written. "" = none.
  virtual void add_files(std::vector<std::string>& inputs,
                         std::vector<std::pair<std::string, std::string>>& outputs) const = 0;
  // Commits `output`, and tells what was done.
  virtual apply::FlagTotals run(const apply::ScoreOptions& asked, const recipe::Checkpoint& checkpoint, Output& output,
                                cli::Context& context) = 0;
  // When all is written: InputError when something could not be read that the user wants to hear of, or, `alarms`,
  // was not looked at and might have been flagged.
  virtual void complain(const apply::FlagTotals& totals, bool alarms) const = 0;

  // UsageError when one of the own options was given to a model that another way answers.
  void refuse(std::string_view other_noun) const;

 protected:
  CLI::Option* own(CLI::Option* option) {
    declared_.push_back(option);
    return option;
  }

 private:
  std::vector<const CLI::Option*> declared_;
};

std::unique_ptr<Scoring> make_image_scoring();
std::unique_ptr<Scoring> make_sample_scoring();

std::vector<std::unique_ptr<Scoring>> scorings();  // the first that answers a model does

}  // namespace ae::apps
