// How good is the score, and where to cut?
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "cli/app.hpp"
#include "cli/version.hpp"
#include "evaluate/details.hpp"
#include "evaluate/score_files.hpp"
#include "evaluate/summary.hpp"
#include "output_files.hpp"
#include "recording_reporter.hpp"
#include "report/roc.hpp"

namespace {

using namespace ae;

struct RocOptions {
  std::vector<std::string> scores;
  std::string label_table;  // "" = the labels stand beside the scores
  std::string label_id;
  evaluate::ScoreColumns columns;
  evaluate::LabelMeaning labels;
  std::string choose = "youden";
  std::optional<double> partial_fpr;
  double confidence = 0.95;
  std::int64_t bootstrap = 2000;
  std::int64_t seed = 0;
  std::string maps;
  std::string truth;
  std::string boxes;
  std::string regions;
  std::string box_hit = "centre,iou=0.5";
  bool allow_missing = false;
  std::string manifest;
  std::string group_by;
  std::string curve;
  std::string summary;
  std::string plot;
  std::string report;

  std::vector<std::string> inputs() const;
  // Options that go in pairs.
  void check() const;
};

void declare(CLI::App& app, RocOptions& options) {
  app.add_option("scores", options.scores,
                 "Table of scores and labels (CSV or TSV, also .gz and .zst; - is standard input). Several: scores of "
                 "the same rows, matched by id, to compare")
      ->required()
      ->type_name("FILE");
  app.add_option("--score-column", options.columns.score, "Column with the scores; higher = more anomalous")
      ->capture_default_str()
      ->type_name("COLUMN");
  app.add_option(
         "--labels", options.label_table,
         "Table with the labels, when they do not stand beside the scores: column --label-column there, matched "
         "by the ids in --id")
      ->type_name("FILE");
  app.add_option("--id", options.label_id,
                 "Column of --labels with the ids; the same as --id-column, which is that of the scores, if not given")
      ->type_name("COLUMN");
  app.add_option("--label-column", options.columns.label,
                 "Column with the labels; rows without a label (empty, NA, NaN, null ...) are left out")
      ->capture_default_str()
      ->type_name("COLUMN");
  app.add_option("--id-column", options.columns.id, "Column that matches the rows of several files")
      ->capture_default_str()
      ->type_name("COLUMN");
  app.add_option("--normal", options.labels.normal,
                 "Label that means normal, all others then mean anomaly; repeat for several. Not needed for 0/1, "
                 "false/true, no/yes, normal/anomaly")
      ->allow_extra_args(false)
      ->type_name("LABEL");
  app.add_option("--anomaly", options.labels.anomaly,
                 "Label that means anomaly, all others then mean normal; repeat for several")
      ->allow_extra_args(false)
      ->type_name("LABEL");
  app.add_option("--choose", options.choose,
                 "How the threshold is chosen: youden (largest TPR - FPR), f1 (largest F1), fpr=X (largest TPR with "
                 "FPR at most X), tpr=X (highest threshold with TPR at least X), cost=FP:FN (least cost of false "
                 "alarms and misses)")
      ->capture_default_str()
      ->type_name("RULE");
  cli::add_number(app, "--partial-fpr", options.partial_fpr, "Also the area under the ROC up to this FPR", 1e-6, 1);
  cli::add_number(app, "--confidence", options.confidence, "Confidence of all intervals", 0.01, 0.9999)
      ->capture_default_str();
  cli::add_integer(app, "--bootstrap", options.bootstrap, "Resamples for the AUPRC interval; 0 = no interval", 0,
                   1'000'000)
      ->capture_default_str();
  cli::add_integer(app, "--seed", options.seed, "Seed of the resamples", 0, std::numeric_limits<std::int64_t>::max())
      ->capture_default_str();
  app.add_option(
         "--maps", options.maps,
         "Folder of error maps, MAPS/<id without extension>.npy as ae-score --maps writes them: adds pixel AUROC, "
         "pixel AP and AUPRO; needs --truth")
      ->group("Images")
      ->type_name("DIR");
  app.add_option("--truth", options.truth,
                 "Folder of masks (PNG or NPY, not 0 = defect) of the same sizes: TRUTH/TYPE/NAME_mask.png for the id "
                 "test/TYPE/NAME.png (MVTec), or TRUTH/<id>.png; normal images need none. Without any, only image "
                 "figures")
      ->group("Images")
      ->type_name("DIR");
  app.add_option(
         "--boxes", options.boxes,
         "Boxes around the defects: a folder with NAME.csv an image, or one table with ids; columns x1, y1, x2, "
         "y2 or x, y, width, height, and type if known: adds the share of boxes hit and the false regions an "
         "image; needs --regions")
      ->group("Images")
      ->type_name("PATH");
  app.add_option("--regions", options.regions, "Table of found regions, as ae-score --regions writes it")
      ->group("Images")
      ->type_name("FILE");
  app.add_option("--box-hit", options.box_hit,
                 "When a region hits a box: one or more of centre (its centroid is inside), iou=X (intersection over "
                 "union at least X), overlap (any)")
      ->capture_default_str()
      ->group("Images")
      ->type_name("RULE");
  app.add_flag("--allow-missing", options.allow_missing,
               "Leave defective images without mask or boxes, and images without map, out of those figures")
      ->group("Images");
  app.add_option("--group-by", options.group_by,
                 "Column of the scores, or of --manifest, with groups of rows: every figure also for each group")
      ->group("Groups")
      ->type_name("COLUMN");
  app.add_option("--manifest", options.manifest,
                 "Table with the --group-by column, matched by id (column --id-column, id, file, path or image)")
      ->group("Groups")
      ->type_name("FILE");
  app.add_option("-o,--output", options.curve,
                 "Write the whole ROC curve (of the first file) as CSV; - = standard output, instead of the table")
      ->type_name("FILE");
  app.add_option("--summary", options.summary, "Write all figures as JSON; ae-score --roc reads the threshold from it")
      ->type_name("FILE");
  app.add_option("--plot", options.plot, "Draw the ROC and precision-recall curves as SVG")->type_name("FILE");
  app.add_option("--report", options.report, "Write a page to explore thresholds on: one HTML file, works offline")
      ->type_name("FILE");
}

std::vector<std::string> RocOptions::inputs() const {
  auto all = scores;
  for (const auto& table : {label_table, manifest, boxes, regions})
    if (!table.empty()) all.push_back(table);
  return all;
}

void RocOptions::check() const {
  const auto need = [](const std::string& given, const char* option, const std::string& other,
                       const char* other_option) {
    if (!given.empty() && other.empty()) throw UsageError(std::string(option) + " needs " + other_option + " as well");
  };
  need(maps, "--maps", truth, "--truth");
  need(truth, "--truth", maps, "--maps");
  need(boxes, "--boxes", regions, "--regions");
  need(regions, "--regions", boxes, "--boxes");
  need(manifest, "--manifest", group_by, "--group-by");
  need(label_id, "--id", label_table, "--labels");
  if (scores.size() > 1 && !(maps + boxes + group_by).empty())
    throw UsageError("--maps, --boxes and --group-by are for one table of scores; compare several without them");
}

// All files a run writes; null where there is none.
struct Outputs {
  Outputs(const RocOptions& options, bool overwrite)
      : files(options.inputs(), overwrite),
        curve(files.open(options.curve, "-o")),
        summary(files.open(options.summary, "--summary")),
        plot(files.open(options.plot, "--plot")),
        page(files.open(options.report, "--report")),
        table(files.for_people()) {}

  apps::OutputFiles files;
  Output *curve, *summary, *plot, *page, *table;
};

evaluate::EvaluationOptions evaluation_options(const RocOptions& options, int threads) {
  evaluate::EvaluationOptions result;
  result.rule = evaluate::ThresholdRule::parse(options.choose);
  result.partial_max_fpr = options.partial_fpr;
  result.bootstrap.resamples = options.bootstrap;
  result.bootstrap.seed = static_cast<std::uint64_t>(options.seed);
  result.bootstrap.confidence = options.confidence;
  result.bootstrap.threads = threads;
  return result;
}

evaluate::DetailOptions detail_options(const RocOptions& options) {
  // Each resample of whole images has its own histogram.
  constexpr std::int64_t most_resamples = 200;
  evaluate::DetailOptions result;
  result.maps = options.maps;
  result.truth = options.truth;
  result.boxes = options.boxes;
  result.regions = options.regions;
  result.manifest = options.manifest;
  result.group_column = options.group_by;
  result.id_column = options.columns.id;
  result.box_rule = evaluate::BoxRule::parse(options.box_hit);
  result.allow_missing = options.allow_missing;
  result.confidence = options.confidence;
  result.resamples = std::min(options.bootstrap, most_resamples);
  result.seed = static_cast<std::uint64_t>(options.seed);
  return result;
}

// Pipes can be read only once: no hash.
std::string hash_of(const std::string& input) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(input, ignored) ? sha256_of_file(input) : std::string();
}

struct Results {
  evaluate::Assessment assessment;
  std::optional<evaluate::LabeledScores> first;  // for the whole curve
};

evaluate::ScoreReading reading_of(const RocOptions& options, bool mixed_models) {
  return {options.columns, options.labels, options.label_table, options.label_id, mixed_models};
}

Results assess_one(const RocOptions& options, const evaluate::ScoreReading& reading,
                   const evaluate::EvaluationOptions& how, Reporter& reporter) {
  const auto details = detail_options(options);
  auto rows = evaluate::read_labeled_scores(options.scores.front(), reading, reporter, details.to_keep());
  Results results;
  results.first.emplace(std::move(rows.anomalies), std::move(rows.normals));
  auto evaluation = evaluate::evaluate(*results.first, how, rows.name, reporter);
  evaluation.model = rows.model;
  evaluation.unlabeled = rows.unlabeled;
  evaluation.unscored = rows.unscored;
  results.assessment.details = evaluate::details(rows, *results.first, evaluation.chosen.threshold, details, reporter);
  results.assessment.evaluations.push_back(std::move(evaluation));
  return results;
}

Results assess_several(const RocOptions& options, const evaluate::ScoreReading& reading,
                       const evaluate::EvaluationOptions& how, Reporter& reporter) {
  const std::vector<std::filesystem::path> paths(options.scores.begin(), options.scores.end());
  auto rows = evaluate::read_matched_scores(paths, reading, reporter);
  Results results;
  results.assessment.tests = evaluate::compare_auroc(rows.anomalies, rows.normals, options.confidence);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    evaluate::LabeledScores scores(std::move(rows.anomalies[i]), std::move(rows.normals[i]));
    auto& evaluation =
        results.assessment.evaluations.emplace_back(evaluate::evaluate(scores, how, rows.names[i], reporter));
    evaluation.model = rows.models[i];
    evaluation.unlabeled = rows.unlabeled;
    evaluation.unscored = rows.unscored;
    if (i == 0) results.first.emplace(std::move(scores));
  }
  return results;
}

void add_hashes(evaluate::Assessment& assessment, const std::vector<std::string>& scores) {
  for (std::size_t i = 0; i < scores.size(); ++i) assessment.evaluations[i].sha256 = hash_of(scores[i]);
}

int run(const RocOptions& options, cli::Context& context) {
  const auto how = evaluation_options(options, context.options.threads);
  options.labels.check();
  options.check();
  evaluate::BoxRule::parse(options.box_hit);
  Outputs outputs(options, context.options.force);

  apps::RecordingReporter reporter(context.reporter);
  const auto reading = reading_of(options, context.options.force);
  auto [assessment, first] = options.scores.size() == 1 ? assess_one(options, reading, how, reporter)
                                                        : assess_several(options, reading, how, reporter);
  if (outputs.summary || outputs.page) add_hashes(assessment, options.scores);
  if (outputs.curve) evaluate::write_curve_csv(*first, [&](std::string_view text) { outputs.curve->write(text); });
  if (outputs.summary)
    outputs.summary->write(
        evaluate::summary_json(assessment, {cli::version_line("ae-roc"), context.arguments, reporter.warnings}));
  if (outputs.plot) outputs.plot->write(report::roc_svg(assessment));
  if (outputs.page) {
    auto facts = evaluate::detail_facts(assessment.details);
    if (!options.label_table.empty()) facts.emplace_back("Labels", options.label_table);
    facts.emplace_back("Made by", cli::version_line("ae-roc"));
    auto notes = evaluate::remarks(assessment);
    notes.insert(notes.begin(), reporter.notes.begin(), reporter.notes.end());
    outputs.page->write(report::roc_page({assessment, cli::shell_command("ae-roc", context.arguments), std::move(facts),
                                          reporter.warnings, std::move(notes)}));
  }
  if (outputs.table) outputs.table->write(evaluate::summary_table(assessment));
  outputs.files.commit();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  RocOptions options;
  const cli::Program program = {
      "ae-roc",
      "How good is the score, and where to cut? ROC and precision-recall statistics of scores with labels.",
      {{"ae-roc scores.csv --normal benign --summary summary.json --plot roc.svg --report report.html",
        "AUROC and AUPRC with intervals, a threshold and what it does; as table, JSON, picture and page"},
       {"ae-roc scores.csv other.csv --normal benign --choose fpr=0.01",
        "are these scores of the same rows equally good? (paired DeLong tests; any number of files)"}}};
  return cli::run_app(
      program, argc, argv, [&](CLI::App& app) { declare(app, options); },
      [&](cli::Context& context) { return run(options, context); });
}
