// What can a simple model read from latent codes?
#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "cli/app.hpp"
#include "cli/version.hpp"
#include "fit/apply.hpp"
#include "fit/cross_validation.hpp"
#include "fit/encoded_columns.hpp"
#include "fit/fitting.hpp"
#include "fit/summary.hpp"
#include "fit/table.hpp"
#include "output_files.hpp"
#include "recording_reporter.hpp"
#include "report/probe.hpp"

namespace {

using namespace ae;

const cli::Program kProgram{
    "ae-probe",
    "What can a simple model read from latent codes, or from any table of numbers? Cox, logistic and ridge regression: "
    "fitted, applied to new rows, evaluated on held-out rows.",
    {{"ae-probe evaluate configs/data/probe.csv --features 'z*' --time time --event event --controls age --page "
      "probe.html",
      "held-out C-index with its interval, and whether the codes add to age; as table and page"},
     {"ae-probe fit configs/data/probe.csv --features 'z*' --label-column relapse -o probe.json",
      "a logistic model as a file, which ae-probe apply reads"}},
    {{"PATH", "where --nested looks for ae-train, ae-embed and ae-score if they are not beside ae-probe"},
     {"TMPDIR", "where the tables, models and codes of --nested are kept while it runs; /tmp if not set"}}};

struct Options {
  const CLI::App* given = nullptr;  // the command line, which tells an option from its default
  std::string action;
  std::vector<std::string> files;
  fit::OutcomeColumns outcome;
  std::string label_table;
  std::string label_id;
  std::optional<std::string> id;
  fit::ColumnChoice columns;
  std::string scores;
  std::string score_column = "score";
  std::vector<std::string> missing;
  std::string missing_cells = "stop";
  std::string ties = "efron";
  std::optional<double> penalty;
  bool one_standard_error = false;
  std::int64_t folds = 5, inner_folds = 5, repeats = 5, risk_groups = 3, seed = 0;
  double confidence = 0.95;
  std::optional<double> horizon;
  std::string nested;
  std::vector<std::string> settings;
  bool loss = false;
  std::string against;
  std::vector<std::string> against_settings;
  std::optional<double> margin;
  std::string output, summary, coefficients, plot, page;

  std::vector<std::string> inputs() const;
  fit::PenaltyOptions penalty_options() const;
  fit::TableReading reading() const;
};

void declare_outcome(CLI::App& app, Options& o) {
  const auto column = [&](const char* name, std::string& target, const char* help) {
    app.add_option(name, target, help)->type_name("COLUMN")->group("What to predict");
  };
  column("--time", o.outcome.time, "Cox regression: column with the time of the event, or of censoring");
  column("--event", o.outcome.event,
         "Column that says whether the event was seen (1, true, yes) or not (0, false, no)");
  column("--label-column", o.outcome.label, "Logistic regression: column with the classes");
  app.add_option("--positive", o.outcome.positive,
                 "Of two classes the one whose probability is predicted; the greater number or later text if not given")
      ->type_name("LABEL")
      ->group("What to predict");
  column("--target", o.outcome.target, "Ridge regression: column with the numbers to predict");
  app.add_option("--labels", o.label_table,
                 "Table with these columns, and those of --controls it has, when they do not stand beside the others: "
                 "matched by the ids in --id")
      ->type_name("FILE")
      ->group("What to predict");
  column("--id", o.label_id,
         "Column of --labels with the ids; the same as --id-column, which is that of the table, if not given");
}

void declare_columns(CLI::App& app, Options& o) {
  const auto list = [&](const char* name, std::vector<std::string>& target, const char* help, const char* type) {
    app.add_option(name, target, help)->allow_extra_args(false)->type_name(type)->group("Columns");
  };
  app.add_option("--id-column", o.id, "Column with the ids; if not given \"id\", or row numbers if there is none")
      ->type_name("COLUMN")
      ->group("Columns");
  list("--features", o.columns.features,
       "Columns to predict from, * and ? stand for any text and character; repeat for several. All that are nothing "
       "else "
       "if not given",
       "TEXT");
  list("--ignore", o.columns.ignored, "Columns to leave out, likewise; repeat for several", "TEXT");
  list("--controls", o.columns.controls,
       "Column to be compared with, such as age: figures of controls, of the other columns and of both, and a test of "
       "whether the others add to controls (one-sided, of held-out predictions beside the controls). Not penalised; "
       "repeat for several",
       "COLUMN");
  app.add_option(
         "--scores", o.scores,
         "Table as ae-score writes it: the reconstruction loss is one more column to predict from; of apply for a "
         "model that was fitted with it")
      ->type_name("FILE")
      ->group("Columns");
  app.add_option("--score-column", o.score_column, "Column of --scores with the loss")
      ->capture_default_str()
      ->type_name("COLUMN")
      ->group("Columns");
  list("--missing", o.missing, "Also read cells with this text as missing; repeat for several", "TEXT");
  cli::add_choice(app, "--missing-cells", o.missing_cells,
                  "What becomes of missing cells: stop ends at the first one, mean takes the mean of the training rows",
                  {"stop", "mean"})
      ->capture_default_str()
      ->group("Columns");
}

void declare_model(CLI::App& app, Options& o) {
  cli::add_choice(app, "--ties", o.ties, "How events at one time are treated in Cox regression", {"efron", "breslow"})
      ->capture_default_str()
      ->group("Model");
  cli::add_number(
      app, "--penalty", o.penalty,
      "Ridge penalty on standardised columns, per row (lambda of glmnet); chosen by inner folds if not given", 0, 1e12)
      ->group("Model");
  app.add_flag("--one-standard-error", o.one_standard_error,
               "Choose the largest penalty whose error is within one standard error of the least")
      ->group("Model");
  cli::add_integer(app, "--inner-folds", o.inner_folds, "Folds of the training rows that choose the penalty", 2, 100)
      ->capture_default_str()
      ->group("Model");
  cli::add_integer(app, "--folds", o.folds, "Folds of evaluate", 2, 1000)->capture_default_str()->group("Model");
  cli::add_integer(app, "--repeats", o.repeats, "How often evaluate divides the rows anew", 1, 1000)
      ->capture_default_str()
      ->group("Model");
  cli::add_integer(app, "--risk-groups", o.risk_groups, "Groups of equally many training rows by predicted risk", 2, 5)
      ->capture_default_str()
      ->group("Model");
  cli::add_integer(app, "--seed", o.seed, "Seed of the folds", 0, std::numeric_limits<std::int64_t>::max())
      ->capture_default_str()
      ->group("Model");
  cli::add_number(app, "--confidence", o.confidence, "Confidence of all intervals", 0.01, 0.9999)
      ->capture_default_str();
  cli::add_number(app, "--horizon", o.horizon, "Of apply: also the probability that there is no event up to this time",
                  0, std::numeric_limits<double>::max())
      ->group("Model");
}

void declare_nested(CLI::App& app, Options& o) {
  app.add_option("--nested", o.nested,
                 "Of evaluate: the table is the encoder's, and ae-train trains one by this config anew in every fold, "
                 "without the held-out rows, whose codes ae-embed then gives")
      ->type_name("CONFIG.json")
      ->group("Encoder");
  app.add_option("--set", o.settings, "Passed on to the ae-train of --nested; repeat for several")
      ->allow_extra_args(false)
      ->type_name("POINTER=VALUE")
      ->group("Encoder");
  app.add_flag("--loss", o.loss, "The reconstruction loss of each row, by ae-score, is one more column of --nested")
      ->group("Encoder");
}

void declare_against(CLI::App& app, Options& o) {
  app.add_option("--against", o.against,
                 "Of evaluate: other codes of the same rows, compared on the same folds. A table, matched by id, with "
                 "columns chosen likewise; with --nested the config of another encoder")
      ->type_name("FILE")
      ->group("Comparison");
  app.add_option("--against-set", o.against_settings, "Passed on to the ae-train of --against; repeat for several")
      ->allow_extra_args(false)
      ->type_name("POINTER=VALUE")
      ->group("Comparison");
  cli::add_number(app, "--margin", o.margin,
                  "How much worse than --against still counts as not worse, in units of the figure; 0.02 if not given",
                  0, 1)
      ->group("Comparison");
}

void declare(CLI::App& app, Options& o) {
  o.given = &app;
  cli::add_choice(
      app, "action", o.action,
      "Fit a model of all rows, apply one to new rows, or evaluate by folds how well new rows are predicted",
      {"fit", "apply", "evaluate"})
      ->required();
  app.add_option("files", o.files,
                 "Table to predict from (CSV, TSV, NPY, NPZ; .gz and .zst; - is standard input); of apply the model "
                 "before it")
      ->required()
      ->type_name("FILE");
  declare_outcome(app, o);
  declare_columns(app, o);
  declare_model(app, o);
  declare_nested(app, o);
  declare_against(app, o);
  app.add_option(
         "-o,--output", o.output,
         "Write the model of fit (JSON), the predictions of apply, the held-out predictions of evaluate (CSV); - "
         "is standard output")
      ->type_name("FILE");
  app.add_option("--summary", o.summary, "Write all figures as JSON")->type_name("FILE");
  app.add_option("--coefficients", o.coefficients,
                 "Write the coefficients as CSV: of fit with standard errors if there is no penalty, of evaluate their "
                 "mean and spread over folds")
      ->type_name("FILE");
  app.add_option("--plot", o.plot, "Draw the Kaplan-Meier curves of the risk groups as SVG")->type_name("FILE");
  app.add_option("--page", o.page, "Write a page with all figures: one HTML file that needs nothing else")
      ->type_name("FILE");
}

std::vector<std::string> Options::inputs() const {
  auto all = files;
  for (const auto& file : {label_table, scores, nested, against})
    if (!file.empty()) all.push_back(file);
  return all;
}

fit::PenaltyOptions Options::penalty_options() const {
  return {penalty, static_cast<std::int32_t>(inner_folds), one_standard_error};
}

fit::TableReading Options::reading() const {
  fit::TableReading how;
  how.table = files.front();
  how.id = id;
  how.outcome = outcome;
  how.outcome_table = label_table;
  how.outcome_id = label_id;
  how.columns = columns;
  how.scores = scores;
  how.score = score_column;
  how.missing = missing;
  how.missing_cells = missing_cells == "mean" ? fit::MissingCells::mean : fit::MissingCells::stop;
  return how;
}

// The options that not every action reads, and those that do.
const std::vector<std::pair<std::string_view, std::vector<std::string_view>>> kReaders{
    {"fit or evaluate",
     {"--time", "--event", "--label-column", "--positive", "--target", "--labels", "--id", "--features", "--ignore",
      "--controls", "--ties", "--penalty", "--one-standard-error", "--inner-folds", "--risk-groups", "--seed",
      "--confidence", "--summary", "--coefficients"}},
    {"evaluate",
     {"--folds", "--repeats", "--nested", "--set", "--loss", "--against", "--against-set", "--margin", "--plot",
      "--page"}},
    {"apply", {"--horizon"}}};

void refuse_unread(const Options& o) {
  for (const auto& [actions, options] : kReaders) {
    if (actions.find(o.action) != std::string_view::npos) continue;
    for (const auto option : options)
      if (o.given->count(std::string(option)) > 0)
        throw UsageError(std::string(option) + " is not for " + o.action + " but for " + std::string(actions) +
                         "; leave it out");
  }
}

// Options that go in pairs, or that belong to another action.
void check(const Options& o) {
  const auto given = [&](const char* option) { return o.given->count(option) > 0; };
  const std::size_t expected = o.action == "apply" ? 2 : 1;
  if (o.files.size() != expected)
    throw UsageError(o.action + ": found " + std::to_string(o.files.size()) + " files; expected " +
                     (expected == 2 ? "a model and a table" : "one table"));
  refuse_unread(o);
  if (!o.label_id.empty() && o.label_table.empty()) throw UsageError("--id needs --labels as well");
  if (given("--score-column") && o.scores.empty()) throw UsageError("--score-column needs --scores as well");
  for (const char* option : {"--one-standard-error", "--inner-folds"})
    if (o.penalty && given(option))
      throw UsageError(std::string(option) + " chooses a penalty, and --penalty gives one; leave out either");
  if (o.nested.empty() && (o.loss || !o.settings.empty()))
    throw UsageError(std::string(o.loss ? "--loss" : "--set") + " needs --nested as well");
  if (!o.nested.empty() && !o.scores.empty()) throw UsageError("--scores is not for --nested, which has --loss");
  if (o.against.empty() && (o.margin || !o.against_settings.empty()))
    throw UsageError(std::string(o.margin ? "--margin" : "--against-set") + " needs --against as well");
  if (o.nested.empty() && !o.against_settings.empty()) throw UsageError("--against-set needs --nested as well");
  if (o.action == "apply") return;
  o.outcome.check();
  for (const char* option : {"--plot", "--ties", "--risk-groups"})
    if (given(option) && o.outcome.family() != fit::Family::cox)
      throw UsageError(std::string(option) + " is for --time and --event; leave it out");
}

// All files a run writes; null where there is none.
struct Outputs {
  Outputs(const Options& o, bool overwrite)
      : files(o.inputs(), overwrite),
        main(files.open(o.output, "-o")),
        summary(files.open(o.summary, "--summary")),
        coefficients(files.open(o.coefficients, "--coefficients")),
        plot(files.open(o.plot, "--plot")),
        page(files.open(o.page, "--page")),
        text(files.for_people()) {}

  apps::OutputFiles files;
  Output *main, *summary, *coefficients, *plot, *page, *text;
};

fit::Ties ties_of(const Options& o) { return o.ties == "efron" ? fit::Ties::efron : fit::Ties::breslow; }

int run_fit(const Options& o, cli::Context& context) {
  Outputs outputs(o, context.options.force);
  const auto table = fit::read_probe_table(o.reading(), context.reporter);
  const auto fitted = fit::fit_table(
      table,
      {ties_of(o), o.penalty_options(), static_cast<std::uint64_t>(o.seed), static_cast<std::int32_t>(o.risk_groups)},
      cli::version_line(kProgram.name));
  if (outputs.main) outputs.main->write(fit::model_json(fitted.model));
  if (outputs.coefficients) outputs.coefficients->write(fit::coefficients_csv(fitted.model.model));
  if (outputs.summary) outputs.summary->write(fit::fit_summary_json(table, fitted, o.confidence));
  if (outputs.text) outputs.text->write(fit::fit_summary_text(table, fitted, o.confidence));
  outputs.files.commit();
  return 0;
}

int run_apply(const Options& o, cli::Context& context) {
  apps::OutputFiles files(o.inputs(), context.options.force);
  Output& output = *files.open(o.output.empty() ? "-" : o.output, "-o");
  const auto model = fit::read_model(o.files[0]);
  const auto missing_cells = o.missing_cells == "mean" ? fit::MissingCells::mean : fit::MissingCells::stop;
  const auto rows = fit::apply_model(
      model, {o.files[1], o.id, o.missing, missing_cells, o.scores, o.score_column, o.horizon},
      [&](std::string_view text) { output.write(text); }, context.reporter);
  files.commit();
  context.reporter.info(counted(rows, "rows"));
  return 0;
}

fit::CrossValidationOptions folds_of(const Options& o, int threads) {
  return {static_cast<std::int32_t>(o.folds),
          static_cast<std::int32_t>(o.repeats),
          static_cast<std::uint64_t>(o.seed),
          ties_of(o),
          o.penalty_options(),
          static_cast<std::int32_t>(o.risk_groups),
          threads};
}

// The columns, of which nested ones are those of an encoder of all rows; of the other codes only names count.
struct AllColumns {
  fit::Columns codes, against;
};

AllColumns cross_validate_table(const Options& o, fit::ProbeTable& table, fit::ProbeEvaluation& e, Reporter& reporter) {
  AllColumns all;
  if (!o.against.empty()) all.against = fit::read_other_codes(o.against, table, o.reading(), reporter);
  all.codes = std::move(table.columns);
  const fit::SameColumns codes(all.codes), against(all.against);
  e.result = fit::cross_validate(codes, o.against.empty() ? nullptr : &against, e.outcome, e.options, reporter);
  return all;
}

AllColumns cross_validate_encoders(const Options& o, const fit::ProbeTable& table, fit::ProbeEvaluation& e,
                                   Reporter& reporter) {
  e.nested = true;
  AllColumns all;
  const fit::EncodedColumns nested(table, {o.nested, o.settings, o.loss});
  std::optional<fit::EncodedColumns> against;
  if (!o.against.empty()) {
    against.emplace(
        table, fit::EncoderOptions{o.against, o.against_settings, o.loss, "the encoder of --against", "--against-set"});
    all.against = against->transductive();
  }
  all.codes = nested.transductive();
  e.result = fit::cross_validate(nested, against ? &*against : nullptr, e.outcome, e.options, reporter);
  const fit::SameColumns columns(all.codes);
  const auto transductive = fit::cross_validate(columns, nullptr, e.outcome, e.options, reporter).sets.front().figure;
  e.leak = fit::Leak{fit::difference(transductive, e.result.sets.front().figure, e.confidence), transductive.value};
  return all;
}

int run_evaluate(const Options& o, cli::Context& context) {
  Outputs outputs(o, context.options.force);
  apps::RecordingReporter reporter(context.reporter);
  auto how = o.reading();
  how.keep_texts = !o.nested.empty();
  auto table = fit::read_probe_table(how, reporter);
  fit::ProbeEvaluation e;
  e.table = table.name;
  e.ids = table.ids;
  e.outcome = table.outcome;
  e.without_outcome = table.without_outcome;
  e.options = folds_of(o, context.options.threads);
  e.confidence = o.confidence;
  e.against = o.against;
  if (o.margin) e.margin = *o.margin;
  const auto columns =
      o.nested.empty() ? cross_validate_table(o, table, e, reporter) : cross_validate_encoders(o, table, e, reporter);
  e.controls = std::count(columns.codes.controls.begin(), columns.codes.controls.end(), true);
  e.latent_columns = static_cast<std::int64_t>(columns.codes.names.size()) - e.controls;
  fit::conclude(e);
  e.warnings = reporter.warnings;
  const std::string made_by = cli::version_line(kProgram.name);
  if (outputs.main) outputs.main->write(fit::predictions_csv(e));
  if (outputs.coefficients) outputs.coefficients->write(fit::fold_coefficients_csv(e, columns.codes, columns.against));
  if (outputs.summary) outputs.summary->write(fit::summary_json(e, made_by, context.arguments));
  if (outputs.plot) outputs.plot->write(report::survival_svg(e));
  if (outputs.page)
    outputs.page->write(report::probe_page({e, cli::shell_command(kProgram.name, context.arguments), made_by}));
  if (outputs.text) outputs.text->write(fit::summary_text(e));
  outputs.files.commit();
  return 0;
}

int run(const Options& options, cli::Context& context) {
  check(options);
  if (options.action == "fit") return run_fit(options, context);
  return options.action == "apply" ? run_apply(options, context) : run_evaluate(options, context);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return cli::run_app(
      kProgram, argc, argv, [&](CLI::App& app) { declare(app, options); },
      [&](cli::Context& context) { return run(options, context); });
}
