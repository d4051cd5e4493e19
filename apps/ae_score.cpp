// ae-score: how strange is each sample, and where?
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "apply/day_summary.hpp"
#include "apply/parts.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/world.hpp"
#include "model_program.hpp"
#include "output_files.hpp"
#include "scoring.hpp"
#include "validity.hpp"

namespace {

namespace fs = std::filesystem;

const ae::cli::Program kProgram{
    "ae-score",
    "Scores every row or image by how badly it is reconstructed: the larger, the stranger. Writes CSV with id, score "
    "and p-value; of images also maps, masks and regions. An image that cannot be read is named and left out, the "
    "others are scored, and the exit code is 4 at the end (see --unreadable).",
    {{"ae-score runs/wdbc configs/data/wdbc.csv -o scores.csv --alpha 0.05 --explain 3",
      "score, flag the rows that are stranger than 95 % of normal ones, name the three columns that say why"},
     {"cat configs/data/wdbc.csv | ae-score runs/imputer - --threshold 0.5 --fail-on-anomaly > other.csv",
      "score a stream by another model; exit code 3 when a row is flagged"},
     {"ae-score runs/boards boards/ -o scores.csv --alpha 0.05 --maps maps --regions defects.csv --page boards.html",
      "score images; write error maps, a table of defects and a page to look at"},
     {"ae-score configs/data/helix.pdb --validity protein -o validity.csv --summary validity.json",
      "no model: tell what is wrong with the bonds, angles and torsions of protein backbones"},
     {"ae-score configs/data/helix.pdb --validity protein --relax 100 --relaxed relaxed.pdb -o relaxed.csv",
      "move their atoms as little as makes their geometry that of measured structures, and judge that"},
     {"ae-score configs/data/quartz.cif --validity crystal --reference configs/data/quartz.cif -o crystals.csv",
      "no model: tell volumes, shortest distances and disorder of crystals, and which are those that they should be"}},
    ae::apps::launcher_variables({{"TMPDIR", "Folder for what --fdr keeps until all is scored (default /tmp)"}})};

struct Options {
  std::string model;
  std::string output = "-";
  std::string roc;
  std::string page;
  std::string summary;
  std::string format = "csv";
  bool fail_on_anomaly = false;
  bool fail_on_drift = false;
  ae::apply::ScoreOptions score;
  std::vector<std::unique_ptr<ae::apps::Scoring>> scorings = ae::apps::scorings();
  ae::apps::ValidityOption validity;
};

void declare(CLI::App& app, Options& options) {
  ae::apps::add_model(app, options.model);
  auto* input = app.add_option("input", options.score.inputs,
                               "Tables to score (CSV, TSV, COLVAR, NPY, NPZ; .gz and .zst; - for standard input), or "
                               "images: folders, MVTec "
                               "roots, patterns, .txt lists, files, IDX, NPY; counts of cells and arrays of "
                               "observations for models of those")
                    ->required()
                    ->type_name("PATH");
  app.add_option(
         "-o,--output", options.output,
         "Where the scores go (default: standard output); of several processes that a cluster's launcher started, "
         "a folder for part-00000.csv and so on, and _SUCCESS when all are there")
      ->type_name("FILE");
  auto* threshold = ae::cli::add_number(
      app, "--threshold", options.score.flag.threshold, "Flag samples (rows or images) with this score or more",
      -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity());
  auto* alpha =
      ae::cli::add_number(app, "--alpha", options.score.flag.alpha,
                          "Flag samples with a p-value of at most this; below 1/(n + 1) for n calibration samples, by "
                          "the extreme-value tail (generalised Pareto) of their scores, in a column tail_p_value",
                          0, 1);
  auto* fdr = ae::cli::add_number(app, "--fdr", options.score.flag.fdr,
                                  "Flag as many samples as keep the expected share of false alarms among them at this "
                                  "(Benjamini-Hochberg; needs the whole input)",
                                  0, 1);
  auto* roc = app.add_option("--roc", options.roc,
                             "Flag by the threshold that ae-roc --summary wrote of this model's scores (of another "
                             "model's only with --force)")
                  ->type_name("SUMMARY.json");
  for (auto* option : {threshold, alpha, fdr, roc}) {
    for (auto* other : {threshold, alpha, fdr, roc}) {
      if (option != other) option->excludes(other);
    }
  }
  app.add_flag("--flagged-only", options.score.flag.flagged_only, "Write only lines of flagged samples");
  ae::cli::add_integer(app, "--top", options.score.flag.top, "Write only the N strangest samples, strangest first", 0,
                       std::int64_t{1} << 32);
  ae::cli::add_choice(app, "--format", options.format, "Write a CSV table, or a JSON object a line", {"csv", "jsonl"})
      ->capture_default_str();
  app.add_option("--page,--gallery", options.page,
                 "Write a page to look at, which works offline: the strangest rows and why, or the scored images")
      ->type_name("FILE.html");
  app.add_option("--summary", options.summary,
                 "Write what was scored, flagged and could not be read, by which rule and model and when, and drift in "
                 "all and by column, as JSON")
      ->type_name("FILE");
  app.add_flag("--fail-on-anomaly", options.fail_on_anomaly, "Exit with code 3 when a sample is flagged");
  app.add_flag("--fail-on-drift", options.fail_on_drift,
               "Exit with code 3 when the samples do not score as those the p-values are calibrated with (p < 0.001)");
  // The most general one first in --help.
  for (auto scoring = options.scorings.rbegin(); scoring != options.scorings.rend(); ++scoring)
    (*scoring)->declare(app);
  options.validity.declare(app, input);
}

int run_validity(const Options& options, ae::cli::Context& context) {
  auto inputs = options.score.inputs;
  inputs.insert(inputs.begin(), options.model);
  options.validity.run(std::move(inputs), options.output, options.summary, context);
  return 0;
}

// What is made of all samples cannot be made of parts.
void check_processes(const Options& options) {
  if (options.score.world.size == 1) return;
  for (const auto& [option, given] :
       {std::pair("--page", !options.page.empty()), std::pair("--summary", !options.summary.empty()),
        std::pair("--top", options.score.flag.top.has_value())}) {
    if (given) {
      throw ae::UsageError(std::string(option) +
                           " is made of all samples, and several processes score parts of them; leave it out, or start "
                           "one process");
    }
  }
}

int run(Options& options, ae::cli::Context& context) {
  if (options.validity.given()) return run_validity(options, context);
  const auto start = std::chrono::system_clock::now();
  auto& asked = options.score;
  const bool has_rule = asked.flag.any() || !options.roc.empty();
  for (const auto& [option, given] : {std::pair("--fail-on-anomaly", options.fail_on_anomaly),
                                      std::pair("--flagged-only", asked.flag.flagged_only)}) {
    if (given && !has_rule) {
      throw ae::UsageError(std::string(option) +
                           " needs a rule for flagging; add --threshold, --alpha, --fdr or --roc");
    }
  }
  asked.flag.format = options.format == "jsonl" ? ae::apply::LineFormat::jsonl : ae::apply::LineFormat::csv;
  asked.flag.watch_drift = options.fail_on_drift;
  asked.threads = context.options.threads;
  asked.world = ae::world_of_environment();
  asked.page = options.page;
  asked.command = ae::cli::shell_command("ae-score", context.arguments);
  // Of several processes, the others write into the same folders.
  asked.overwrite = context.options.force || asked.world.size > 1;
  asked.summarised = !options.summary.empty();
  check_processes(options);
  for (const auto& scoring : options.scorings) scoring->check(asked);
  std::optional<ae::apply::Parts> parts;
  if (asked.world.size > 1) parts.emplace(options.output, asked, context.options.force);
  ae::apps::require_text_name(options.output, "--output");
  auto inputs = asked.inputs;
  inputs.insert(inputs.end(), {ae::apps::model_file(options.model), options.roc});
  asked.outputs = {{"--output", options.output}, {"--page", options.page}, {"--summary", options.summary}};
  for (const auto& scoring : options.scorings) scoring->add_files(inputs, asked.outputs);
  std::erase(inputs, "");
  ae::apps::require_apart(inputs, asked.outputs);
  auto output = ae::Output::open(parts ? parts->own() : fs::path(options.output), context.options.force);
  std::optional<ae::Output> summary;
  if (asked.summarised) summary.emplace(ae::Output::open(options.summary, context.options.force));

  const auto checkpoint = ae::apps::open_model(options.model, context, asked.world.local_size);
  if (!options.roc.empty()) {
    asked.flag.threshold =
        ae::apply::threshold_of_summary(options.roc, checkpoint.digest(), context.options.force, context.reporter);
  }
  const auto answers = [&](const auto& scoring) { return scoring->answers(checkpoint); };
  const auto& chosen = *std::find_if(options.scorings.begin(), options.scorings.end(), answers);
  for (const auto& other : options.scorings) {
    if (other != chosen) other->refuse(checkpoint.kind().domain().noun());
  }
  const auto totals = chosen->run(asked, checkpoint, output, context);
  if (parts) parts->finish();
  if (summary) {
    const ae::apply::RunTimes times{start, std::chrono::system_clock::now()};
    summary->write(ae::apply::day_summary(checkpoint, asked, options.roc, totals, times));
    summary->commit();
  }
  chosen->complain(totals, options.fail_on_anomaly);
  const bool alarmed = (options.fail_on_anomaly && totals.flagged > 0) || (options.fail_on_drift && totals.drifted);
  return alarmed ? static_cast<int>(ae::ExitCode::anomalies_found) : 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
