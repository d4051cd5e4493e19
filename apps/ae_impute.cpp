// ae-impute: what is missing?
#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "apply/impute.hpp"
#include "apply/impute_counts.hpp"
#include "base/counted.hpp"
#include "base/files.hpp"
#include "data/counts/readers.hpp"
#include "model_program.hpp"
#include "output_files.hpp"
#include "reading.hpp"

namespace {

const ae::cli::Program kProgram{
    "ae-impute",
    "Fills missing cells of a table with what the model expects there; observed cells keep their exact bytes.",
    {{"ae-impute runs/imputer configs/data/wdbc.csv --evaluate masked --rate 0.2",
      "hide 20 % of the observed cells and tell how well they are guessed"},
     {"sed 's/^[^,]*,/,/' configs/data/wdbc.csv | sed 1s/^/mean_radius/ | ae-impute runs/imputer - -o filled.csv",
      "fill the first column of every row, which was emptied"}}};

struct Options {
  std::string model;
  std::string input;
  std::string output = "-";
  std::string evaluate;
  std::string marks;
  std::string spread;
  bool only_missing = false;
  bool all_genes = false;
  bool names = false;
  std::string witness;
  std::string witness_obsm;
  std::vector<std::string> witness_pairs;
  std::string witness_output;
  std::string mode;
  std::string scale;
  ae::apps::ReadingOptions reading;
  std::int64_t seed = 0;
  bool rate_given = false;
  ae::apply::ImputeOptions impute;
  ae::apply::MaskedEvaluation evaluation;
};

void declare(CLI::App& app, Options& options) {
  ae::apps::add_model(app, options.model);
  app.add_option(
         "input", options.input,
         "Table with missing cells (CSV, TSV, COLVAR, NPY, NPZ; .gz and .zst; - for standard input), or counts (10x, "
         ".h5ad, Matrix Market, table)")
      ->required()
      ->type_name("FILE");
  app.add_option("-o,--output", options.output,
                 "Where the filled table (or the evaluation) goes (default: standard output)")
      ->type_name("FILE");
  app.add_flag("--only-missing", options.only_missing,
               "Tables: fill only missing cells, the default. Counts: write only what was filled, as row,column,value");
  app.add_flag("--all-cells,--denoise", options.impute.all_cells,
               "Also replace observed cells by their reconstruction");
  app.add_flag("--all-genes", options.all_genes,
               "Of counts: also fill zeros of genes of which a cell's own counts tell more than cells alike do");
  ae::cli::add_choice(app, "--mode", options.mode,
                      "Of counts, what stands where there was none: the expected count (the default), what there is "
                      "given that there is anything, or that where it is more likely than nothing",
                      {"expected", "conditional", "gated"});
  ae::cli::add_choice(app, "--scale", options.scale,
                      "Of counts, the unit of what is written: counts (the default), counts of a cell of median total, "
                      "or log(1 + that)",
                      {"counts", "norm", "log1p"});
  app.add_option(
         "--witness", options.witness,
         "Counts: something else measured in the same cells (a table or .h5ad), to tell which genes filling spoils")
      ->type_name("FILE");
  app.add_option("--witness-obsm", options.witness_obsm,
                 "Take this of the obsm of a --witness in .h5ad instead of its X, for example protein_expression")
      ->type_name("TEXT");
  app.add_option(
         "--witness-pairs", options.witness_pairs,
         "Which gene goes with which column of the witness, as GENE=COLUMN, or a file of such lines, as @FILE; repeat "
         "for several or separate them by commas. Without, those of one name go together")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("TEXT");
  app.add_option("--witness-output", options.witness_output,
                 "Where the table of genes goes that the witness tells of (.csv or .json)")
      ->type_name("FILE");
  app.add_flag("--names", options.names, "Counts with --only-missing: names of cells and genes instead of numbers");
  ae::cli::add_integer(app, "--samples", options.impute.samples,
                       "Tables: average this many reconstructions, each with other cells hidden as in training. "
                       "Counts: so many draws of what another reading of the cell may count, whose mean is filled in. "
                       "Then --mark, or of counts --only-missing, has a column sd, and --evaluate tells how often the "
                       "truth lies in the central 90 %",
                       1, 10000)
      ->capture_default_str();
  app.add_option("--spread", options.spread,
                 "Counts with --samples: where the standard deviations of the draws go, a matrix as the output is")
      ->type_name("FILE");
  app.add_flag("--integers", options.impute.integers,
               "Round what is filled into columns whose cells were all whole numbers in training");
  app.add_option(
         "--mark", options.marks,
         "Write a table of the cells that were filled: id (or row number), column, value, and of categories its "
         "probability, with --samples of numbers their standard deviation")
      ->type_name("FILE");
  options.reading.declare(app, [](CLI::Option*) {});
  ae::cli::add_choice(app, "--evaluate", options.evaluate,
                      "Instead of filling, hide observed cells at random (masked), or of counts each molecule "
                      "(thinning), and report how "
                      "well they are found, against guesses without a network",
                      {"masked", "thinning"});
  ae::cli::add_number(app, "--rate", options.evaluation.rate, "Share of cells, or molecules, that --evaluate hides",
                      0.001, 0.999)
      ->capture_default_str()
      ->each([&options](const std::string&) { options.rate_given = true; });
  ae::cli::add_integer(app, "--seed", options.seed, "Which cells --evaluate hides, and what --samples of counts draws",
                       0, std::numeric_limits<std::int64_t>::max())
      ->capture_default_str();
}

// The first of what was given and goes with nothing else that was.
using Given = std::pair<bool, const char*>;
void refuse(std::initializer_list<Given> options, const std::string& why) {
  for (const auto& [given, what] : options)
    if (given) throw ae::UsageError(std::string(what) + " " + why);
}

void check(const Options& options) {
  if (options.evaluate.empty()) {
    refuse({{options.rate_given, "--rate"}}, "is of --evaluate, which was not given; leave it out");
  } else {
    refuse({{options.impute.all_cells, "--denoise"},
            {options.only_missing, "--only-missing"},
            {options.all_genes, "--all-genes"},
            {!options.scale.empty(), "--scale"},
            {!options.marks.empty(), "--mark"},
            {!options.spread.empty(), "--spread"},
            {!options.witness.empty(), "--witness"}},
           "says what is written or judged of what was filled, and --evaluate fills nothing; leave one of them out");
  }
  if (options.witness.empty()) {
    refuse({{!options.witness_obsm.empty(), "--witness-obsm"},
            {!options.witness_pairs.empty(), "--witness-pairs"},
            {!options.witness_output.empty(), "--witness-output"}},
           "is about a --witness; name it");
  }
}

// The files that are read, those of folders of counts among them.
std::vector<std::string> read_by(const Options& options) {
  std::vector<std::string> all{options.input, options.witness, ae::apps::model_file(options.model)};
  for (const auto& text : options.witness_pairs)
    if (text.starts_with("@")) all.push_back(text.substr(1));
  for (const auto& counts : {options.input, options.witness})
    for (const auto& file : ae::data::files_of_counts(counts))
      if (file != counts) all.push_back(file.string());
  return all;
}

int run_counts(const Options& options, const ae::recipe::Checkpoint& checkpoint, ae::apps::OutputFiles& files,
               ae::Output& output, ae::cli::Context& context) {
  refuse({{options.impute.integers, "--integers"},
          {!options.marks.empty(), "--mark (for counts, --only-missing)"},
          {options.reading.about_rows(), "--bad-rows and --missing"}},
         "is for tables, and the model was trained on counts");
  ae::apply::CountImputeOptions counts;
  counts.stream = options.impute.stream;
  using enum ae::apply::Fill;
  counts.fill = options.mode == "conditional" ? conditional : options.mode == "gated" ? gated : expected;
  using Unit = ae::apply::CountUnit;
  counts.unit = options.scale == "norm" ? Unit::norm : options.scale == "log1p" ? Unit::log1p : Unit::counts;
  counts.denoise = options.impute.all_cells;
  counts.all_genes = options.all_genes;
  if (options.all_genes && (counts.fill != expected || counts.denoise))
    throw ae::UsageError(
        "--all-genes is of --mode expected without --denoise; the others fill all genes anyway: leave it out");
  if (options.names && !options.only_missing)
    throw ae::UsageError("--names are those of --only-missing, whose triplets else have numbers; give both or none");
  counts.only_missing = options.only_missing;
  counts.names = options.names;
  counts.samples = options.impute.samples;
  counts.seed = options.evaluation.seed;
  if (!options.evaluate.empty()) {
    ae::apply::CountEvaluation evaluation{ae::apply::CountEvaluation::By::masked, options.evaluation.rate,
                                          options.evaluation.seed};
    if (options.evaluate == "thinning") evaluation.by = ae::apply::CountEvaluation::By::thinning;
    ae::apply::evaluate_counts(checkpoint, counts, evaluation, output, context.reporter);
    files.commit();
    return 0;
  }
  if (!options.spread.empty() && (counts.samples == 1 || counts.only_missing))
    throw ae::UsageError("--spread is a matrix of what --samples draws; give --samples 2 or more, no --only-missing");
  counts.spread = files.open(options.spread, "--spread", ae::apps::OutputFiles::Contents::as_named);
  if (!options.witness.empty()) {
    counts.witness = ae::fit::WitnessReading{options.witness};
    counts.witness->obsm = options.witness_obsm;
    for (const auto& text : options.witness_pairs) {
      auto pairs = text.starts_with("@") ? ae::fit::read_witness_pairs(text.substr(1)) : ae::fit::witness_pairs({text});
      std::ranges::move(pairs, std::back_inserter(counts.witness->pairs));
    }
    counts.witness_output = files.open(options.witness_output, "--witness-output");
  }
  const auto totals = ae::apply::impute_counts(checkpoint, counts, output, context.reporter);
  context.reporter.info(ae::counted(totals.filled, "counts") + " filled" +
                        (counts.denoise ? " and " + ae::counted(totals.replaced, "others") + " replaced" : "") +
                        " in " + ae::counted(totals.rows, "cells"));
  files.commit();
  return 0;
}

int run(Options& options, ae::cli::Context& context) {
  options.impute.stream.inputs = {options.input};
  options.impute.stream.threads = context.options.threads;
  options.impute.stream.reading = options.reading.reading();
  options.impute.stream.allow_empty = options.reading.allow_empty();
  check(options);
  if (options.only_missing && options.impute.all_cells)
    throw ae::UsageError("--only-missing and --denoise (--all-cells) exclude each other; leave one of them out");
  if (!options.evaluate.empty()) ae::apps::require_text_name(options.output, "--output");
  options.evaluation.seed = static_cast<std::uint64_t>(options.seed);
  ae::apps::OutputFiles files(read_by(options), context.options.force);
  auto& output = *files.open(options.output, "--output", ae::apps::OutputFiles::Contents::as_named);
  auto* marks = files.open(options.marks, "--mark");
  const auto checkpoint = ae::apps::open_model(options.model, context);
  if (options.only_missing && checkpoint.kind().copies_are_text())
    ae::apps::require_text_name(options.output, "--output");
  if (ae::apply::reads_counts(checkpoint)) return run_counts(options, checkpoint, files, output, context);
  if (!options.mode.empty() || !options.scale.empty() || options.names || options.all_genes ||
      !options.witness.empty() || !options.spread.empty() || options.evaluate == "thinning") {
    throw ae::UsageError(
        checkpoint.name() +
        ": was not trained on counts, for which --mode, --scale, --names, --all-genes, --witness, --spread and "
        "--evaluate thinning are; leave them out");
  }
  if (checkpoint.kind().copies_are_text()) ae::apps::require_text_name(options.output, "--output");
  ae::apply::ImputeTotals totals;
  if (!options.evaluate.empty()) {
    totals = ae::apply::evaluate_masked(checkpoint, options.impute, options.evaluation, output, context.reporter);
  } else {
    totals = ae::apply::impute(checkpoint, options.impute, output, marks, context.reporter);
    context.reporter.info(
        ae::counted(totals.filled, "missing cells") + " filled" +
        (options.impute.all_cells ? " and " + ae::counted(totals.replaced, "observed cells") + " replaced" : "") +
        " in " + ae::counted(totals.rows, "rows") + ae::apps::bad_rows_text(totals.bad));
  }
  files.commit();
  options.reading.complain(totals.bad.count, totals.rows + totals.bad.count);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
