// ae-score: how strange is each sample, and where?
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <optional>
#include <set>

#include "apply/score_table.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/world.hpp"
#include "model_program.hpp"
#include "score_images.hpp"

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
     {"ae-score runs/boards boards/ -o scores.csv --alpha 0.01 --maps maps --regions defects.csv --gallery boards.html",
      "score images; write error maps, a table of defects and a page to look at"}},
    ae::apps::launcher_variables({{"TMPDIR", "Folder for what --fdr keeps until all is scored (default /tmp)"}})};

struct Options {
  std::string model;
  std::string output = "-";
  std::string summary;
  std::string exclude_rows;
  std::string only_rows;
  bool fail_on_anomaly = false;
  bool fail_on_drift = false;
  ae::apply::ScoreOptions score;
  ae::apps::ImageScoring images;
  std::vector<CLI::Option*> for_tables;  // given to a model of images they are a mistake
};

void declare(CLI::App& app, Options& options) {
  ae::apps::add_model(app, options.model);
  app.add_option("input", options.score.stream.inputs,
                 "Tables to score (CSV, TSV, NPY, NPZ; .gz and .zst; - for standard input), or images: folders, MVTec "
                 "roots, patterns, .txt lists, files, IDX, NPY")
      ->required()
      ->type_name("PATH");
  app.add_option(
         "-o,--output", options.output,
         "Where the scores go (default: standard output); of several processes that a cluster's launcher started, "
         "a folder for part-00000.csv and so on, and _SUCCESS when all are there")
      ->type_name("FILE");
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
  auto* explain = ae::cli::add_integer(app, "--explain", options.score.explain,
                                       "Name the columns with the K largest shares of the score", 0, 1 << 20);
  auto* rows =
      app.add_option("--rows", options.only_rows, "Score only these rows: a file with one 0-based row number a line")
          ->type_name("FILE");
  auto* exclude = app.add_option("--exclude-rows", options.exclude_rows,
                                 "Leave out these rows: a file with one 0-based row number a line")
                      ->type_name("FILE");
  options.for_tables = {explain, rows, exclude};
  app.add_flag("--fail-on-anomaly", options.fail_on_anomaly, "Exit with code 3 when a row is flagged");
  app.add_flag("--fail-on-drift", options.fail_on_drift,
               "Exit with code 3 when the rows do not score as those the p-values are calibrated with (p < 0.001)");
  options.images.declare(app);
}

int run_images(const Options& options, const ae::recipe::Checkpoint& checkpoint, ae::Output& output,
               ae::cli::Context& context) {
  ae::apps::refuse_options(options.for_tables, "is for models of tables, and this is one of images");
  const auto totals = options.images.run(options.score, checkpoint, output, context);
  return options.fail_on_anomaly && totals.flagged > 0 ? static_cast<int>(ae::ExitCode::anomalies_found) : 0;
}

// A folder that several processes write parts of one output to. They share nothing but the folder: whoever finds that
// all parts are there says so by the file _SUCCESS.
class Parts {
 public:
  Parts(const Options& options, const ae::World& world, bool overwrite) : folder_(options.output), world_(world) {
    const std::string started = world.started();
    if (options.output == "-") throw ae::UsageError(started + "; name a folder for their parts with -o DIR");
    if (options.score.fdr) {
      throw ae::UsageError("--fdr needs all rows, and " + started + "; use --alpha, or start one process");
    }
    const auto& inputs = options.score.stream.inputs;
    if (std::find(inputs.begin(), inputs.end(), "-") != inputs.end()) {
      throw ae::UsageError("standard input (-) cannot be shared, and " + started + "; name a file");
    }
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) throw ae::RunError(folder_.string() + ": cannot create the folder: " + error.message());
    for (const auto& name : names()) {
      if (name == kSuccess && !overwrite) {
        throw ae::UsageError((folder_ / name).string() +
                             ": exists; use --force to replace it or choose another folder");
      }
      if (name.starts_with("part-") && name > part(world.size - 1)) {
        throw ae::UsageError((folder_ / name).string() + ": belongs to a run of more processes; choose another folder");
      }
    }
    fs::remove(folder_ / kSuccess, error);
    if (overwrite) fs::remove(own(), error);
  }
  fs::path own() const { return folder_ / part(world_.rank); }
  void finish() const {
    const auto present = names();
    for (int rank = 0; rank < world_.size; ++rank) {
      if (!present.contains(part(rank))) return;
    }
    ae::write_file(folder_ / kSuccess, "");
  }

 private:
  static constexpr const char* kSuccess = "_SUCCESS";
  static std::string part(int rank) {
    char name[24];
    std::snprintf(name, sizeof name, "part-%05d.csv", rank);
    return name;
  }
  // By reading the folder, which asks a network's file server anew; asking for a file may not.
  std::set<std::string> names() const {
    std::set<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
      names.insert(at->path().filename().string());
    }
    if (error) throw ae::RunError(folder_.string() + ": cannot read the folder: " + error.message());
    return names;
  }

  fs::path folder_;
  ae::World world_;
};

int run(Options& options, ae::cli::Context& context) {
  const bool flags = options.score.threshold || options.score.alpha || options.score.fdr || !options.summary.empty();
  if (options.fail_on_anomaly && !flags) {
    throw ae::UsageError("--fail-on-anomaly needs a rule for flagging; add --threshold, --alpha, --fdr or --roc");
  }
  if (options.score.stream.inputs.size() > 1 && !(options.only_rows.empty() && options.exclude_rows.empty())) {
    throw ae::UsageError("--rows and --exclude-rows name rows of one table; give one input");
  }
  options.score.watch_drift = options.fail_on_drift;
  options.score.stream.threads = context.options.threads;
  options.score.exclude_rows = options.exclude_rows;
  options.score.only_rows = options.only_rows;
  options.score.world = ae::world_of_environment();
  std::optional<Parts> parts;
  if (options.score.world.size > 1) {
    options.images.refuse_parts();
    parts.emplace(options, options.score.world, context.options.force);
  }
  auto output = ae::Output::open(parts ? parts->own() : fs::path(options.output), context.options.force);
  if (!options.summary.empty()) options.score.threshold = ae::apply::threshold_of_summary(options.summary);
  const auto checkpoint = ae::apps::open_model(options.model, context, options.score.world.local_size);
  if (checkpoint.images()) {
    const int code = run_images(options, checkpoint, output, context);
    if (parts) parts->finish();
    return code;
  }
  options.images.refuse();
  const auto totals = ae::apply::score_table(checkpoint, options.score, output, context.reporter);
  output.commit();
  if (parts) parts->finish();
  context.reporter.info(std::to_string(totals.rows) + " rows scored" +
                        (flags ? ", " + std::to_string(totals.flagged) + " flagged" : ""));
  const bool alarmed = (options.fail_on_anomaly && totals.flagged > 0) || (options.fail_on_drift && totals.drifted);
  return alarmed ? static_cast<int>(ae::ExitCode::anomalies_found) : 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
