// ae-score --validity: what is wrong with structures, judged by what is known of them, without a model.
//
// Adding a kind: a ValidityKind in a file of this folder, and one line in validity_kinds().
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.hpp"
#include "cli/app.hpp"

namespace ae::apps {

struct ValidityRun {
  std::vector<std::string> inputs;
  std::string reference;                    // a file of what the structures should be; "" when there is none
  Output& output;                           // a CSV table, a line a structure; it is not committed
  Output* summary;                          // JSON; null when it is not wanted
  std::optional<std::int64_t> relax_steps;  // at most; none: structures are judged as they are
  Output* relaxed;                          // structures; null when they are not wanted
  int threads;                              // 0: as many as there are processors
};

struct ValidityKind {
  std::string_view name;
  std::string_view help;
  bool takes_reference;  // --reference
  bool relaxes;          // --relax
  // Returns what was found, in a line.
  std::string (*run)(const ValidityRun& run, cli::Context& context);
};

const std::vector<ValidityKind>& validity_kinds();

// The option --validity, and what it is to do: with it all positionals are inputs, and what needs a model is refused.
class ValidityOption {
 public:
  // `input`: the positional that is not needed with it. After all other options, which it looks at.
  void declare(CLI::App& app, CLI::Option* input);
  bool given() const { return !kind_.empty(); }
  // Writes `output` and `summary` ("" = none), and commits them. UsageError for an option that needs a model.
  void run(std::vector<std::string> inputs, const std::string& output, const std::string& summary,
           cli::Context& context) const;

 private:
  void check_options() const;

  const CLI::App* app_ = nullptr;
  std::string kind_, reference_;
  std::optional<std::int64_t> relax_steps_;
  std::string relaxed_;
};

}  // namespace ae::apps
