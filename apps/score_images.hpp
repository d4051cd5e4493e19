// What ae-score does with a model of images.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "apply/score_images.hpp"
#include "apply/score_table.hpp"
#include "cli/app.hpp"

namespace ae::apps {

class ImageScoring {
 public:
  void declare(CLI::App& app);

  // UsageError when one of these options was given: a model of tables has no use for them.
  void refuse() const;

  // UsageError when an option was given that several processes cannot serve.
  void refuse_parts() const;

  // `asked` brings inputs and the rule for flagging. Commits `output`. InputError at the end when images were left out
  // that the user wants to hear of.
  apply::ScoreImagesTotals run(const apply::ScoreOptions& asked, const recipe::Checkpoint& checkpoint, Output& output,
                               cli::Context& context) const;

 private:
  apply::ScoreImagesOptions scoring_;
  std::string maps_, masks_, reconstructions_, regions_, gallery_, truth_;
  std::string unreadable_ = "report";
  std::vector<CLI::Option*> declared_;
};

// UsageError "--option WHY; leave it out" when one of them was given.
void refuse_options(const std::vector<CLI::Option*>& options, const std::string& why);

}  // namespace ae::apps
