// ae-purify: what is the nearest natural sample?
#include "apply/impute.hpp"
#include "base/counted.hpp"
#include "base/files.hpp"
#include "model_program.hpp"
#include "output_files.hpp"
#include "reading.hpp"

namespace {

const ae::cli::Program kProgram{
    "ae-purify",
    "Replaces every row by its projection on what the model learned to be normal, and tells the loss before and after.",
    {{"ae-purify runs/wdbc configs/data/wdbc.csv -o purified.csv", "project every row once"},
     {"ae-purify runs/wdbc configs/data/wdbc.csv --steps 3 | head", "project three times, look at the first rows"}}};

struct Options {
  std::string model;
  std::string input;
  std::string output = "-";
  ae::apply::PurifyOptions purify;
  ae::apps::ReadingOptions reading;
};

void declare(CLI::App& app, Options& options) {
  ae::apps::add_model(app, options.model);
  app.add_option("input", options.input,
                 "Table to purify (CSV, TSV, COLVAR, NPY, NPZ; .gz and .zst; - for standard input)")
      ->required()
      ->type_name("FILE");
  app.add_option("-o,--output", options.output, "Where the purified table goes (default: standard output)")
      ->type_name("FILE");
  ae::cli::add_integer(app, "--steps", options.purify.steps, "Projections applied one after another", 1, 10000)
      ->capture_default_str();
  options.reading.declare(app, [](CLI::Option*) {});
}

int run(Options& options, ae::cli::Context& context) {
  options.purify.stream.inputs = {options.input};
  options.purify.stream.threads = context.options.threads;
  options.purify.stream.reading = options.reading.reading();
  options.purify.stream.allow_empty = options.reading.allow_empty();
  ae::apps::require_text_name(options.output, "--output");
  auto output = ae::Output::open(options.output, context.options.force);
  const auto checkpoint = ae::apps::open_model(options.model, context);
  const auto totals = ae::apply::purify(checkpoint, options.purify, output, context.reporter);
  output.commit();
  context.reporter.info(ae::counted(totals.rows, "rows") + " purified" + ae::apps::bad_rows_text(totals.bad));
  options.reading.complain(totals.bad.count, totals.rows + totals.bad.count);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
