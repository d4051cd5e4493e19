// ae-score: how strange is each sample, and where?
#include <CLI/CLI.hpp>
#include <optional>

#include "base/error.hpp"
#include "base/files.hpp"
#include "cli/app.hpp"
#include "infer/score_table.hpp"
#include "model/threads.hpp"
#include "train/checkpoint.hpp"

namespace {

const ae::cli::Program kProgram{
    "ae-score",
    "Scores every row by its reconstruction loss: the larger, the stranger. Writes CSV with id, score and p-value.",
    {{"ae-score runs/wdbc new.csv -o scores.csv --alpha 0.01 --explain 3",
      "score, flag the rows that are stranger than 99 % of normal ones, name the three columns that say why"},
     {"zcat log.csv.gz | ae-score runs/wdbc - --threshold 2.5 --fail-on-anomaly > scores.csv",
      "score a stream; exit code 3 when a row is flagged"}}};

struct Options {
  std::string model;
  std::string output = "-";
  std::string summary;
  std::string exclude_rows;
  std::string only_rows;
  bool fail_on_anomaly = false;
  bool fail_on_drift = false;
  ae::infer::ScoreOptions score;
};

void declare(CLI::App& app, Options& options) {
  app.add_option("model", options.model, "Folder that ae-train wrote, or its model.safetensors")->required();
  app.add_option("input", options.score.stream.inputs,
                 "Tables to score (CSV, TSV, NPY, NPZ; .gz and .zst; - for standard input)")
      ->required();
  app.add_option("-o,--output", options.output, "Where the scores go (default: standard output)")->type_name("FILE");
  auto* threshold =
      ae::cli::add_number(app, "--threshold", options.score.threshold, "Flag rows with this score or more",
                          -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity());
  auto* alpha =
      ae::cli::add_number(app, "--alpha", options.score.alpha,
                          "Flag rows with a p-value of at most this; below 1/(n + 1) for n calibration rows, by the "
                          "extreme-value tail (generalised Pareto) of their scores, in a column tail_p_value",
                          0, 1);
  auto* fdr = ae::cli::add_number(app, "--fdr", options.score.fdr,
                                  "Flag as many rows as keep the expected share of false alarms among them at this "
                                  "(Benjamini-Hochberg; needs the whole input)",
                                  0, 1);
  auto* summary = app.add_option("--roc", options.summary, "Flag by the threshold that ae-roc --summary wrote")
                      ->type_name("SUMMARY.json");
  for (auto* option : {threshold, alpha, fdr, summary}) {
    for (auto* other : {threshold, alpha, fdr, summary}) {
      if (option != other) option->excludes(other);
    }
  }
  ae::cli::add_integer(app, "--explain", options.score.explain,
                       "Name the columns with the K largest shares of the score", 0, 1 << 20);
  app.add_option("--rows", options.only_rows, "Score only these rows: a file with one 0-based row number a line")
      ->type_name("FILE");
  app.add_option("--exclude-rows", options.exclude_rows,
                 "Leave out these rows: a file with one 0-based row number a line")
      ->type_name("FILE");
  app.add_flag("--fail-on-anomaly", options.fail_on_anomaly, "Exit with code 3 when a row is flagged");
  app.add_flag("--fail-on-drift", options.fail_on_drift,
               "Exit with code 3 when the rows do not score as those the p-values are calibrated with (p < 0.001)");
}

int run(Options& options, ae::cli::Context& context) {
  const bool flags = options.score.threshold || options.score.alpha || options.score.fdr || !options.summary.empty();
  if (options.fail_on_anomaly && !flags) {
    throw ae::UsageError("--fail-on-anomaly needs a rule for flagging; add --threshold, --alpha, --fdr or --roc");
  }
  if (options.score.stream.inputs.size() > 1 && !(options.only_rows.empty() && options.exclude_rows.empty())) {
    throw ae::UsageError("--rows and --exclude-rows name rows of one table; give one input");
  }
  options.score.watch_drift = options.fail_on_drift;
  options.score.exclude_rows = options.exclude_rows;
  options.score.only_rows = options.only_rows;
  auto output = ae::Output::open(options.output, context.options.force);
  if (!options.summary.empty()) options.score.threshold = ae::infer::threshold_of_summary(options.summary);
  const auto checkpoint = ae::train::Checkpoint::open(options.model);
  checkpoint.use_threads(context.options.threads);
  const auto totals = ae::infer::score_table(checkpoint, options.score, output, context.reporter);
  output.commit();
  context.reporter.info(std::to_string(totals.rows) + " rows scored" +
                        (flags ? ", " + std::to_string(totals.flagged) + " flagged" : ""));
  const bool alarmed = (options.fail_on_anomaly && totals.flagged > 0) || (options.fail_on_drift && totals.drifted);
  return alarmed ? static_cast<int>(ae::ExitCode::anomalies_found) : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return ae::cli::run_app(
      kProgram, argc, argv, [&](CLI::App& app) { declare(app, options); },
      [&](ae::cli::Context& context) { return run(options, context); }, ae::model::library_versions);
}
