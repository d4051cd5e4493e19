// ae-purify: what is the nearest natural sample?
#include <filesystem>
#include <string>
#include <vector>

#include "apply/impute.hpp"
#include "apply/purifiers.hpp"
#include "apply/purify_images.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "model_program.hpp"
#include "output_files.hpp"
#include "reading.hpp"

namespace {

const ae::cli::Program kProgram{
    "ae-purify",
    "Replaces every row or image by its projection on what the model learned to be normal, and tells the loss before "
    "and after.",
    {{"ae-purify runs/wdbc configs/data/wdbc.csv -o purified.csv", "project every row once"},
     {"ae-purify runs/wdbc configs/data/wdbc.csv --steps 3 | head", "project three times, look at the first rows"},
     {"ae-purify runs/boards boards/ -o purified.npy --table distances.csv",
      "images as one array, and a table of their losses and of how far they were moved"},
     {"ae-purify runs/boards boards/ -o blurred/ --purifier blur:1",
      "a control: what a blur does, judged by the same model"}}};

struct Options {
  std::string model;
  std::string input;
  std::string output = "-";
  std::string table;
  std::string unreadable = "report";
  ae::apply::PurifyOptions purify;
  ae::apply::ImagePurifyOptions images;
  ae::apps::ReadingOptions reading;
};

std::string purifiers_help() {
  std::string text = "What is done to images, one after another, repeat for several: ";
  for (const auto& kind : ae::apply::purifier_kinds()) {
    if (&kind != &ae::apply::purifier_kinds().front()) text += "; ";
    text += std::string(kind.name) + (kind.value.empty() ? "" : ":" + std::string(kind.value)) + ", " +
            std::string(kind.help);
  }
  return text + " (default: reconstruction)";
}

void declare(CLI::App& app, Options& options) {
  ae::apps::add_model(app, options.model);
  app.add_option("input", options.input,
                 "Table to purify (CSV, TSV, COLVAR, NPY, NPZ; .gz and .zst; - for standard input), or images: a "
                 "folder, an MVTec root, a pattern, a .txt list, a file, IDX, NPY")
      ->required()
      ->type_name("PATH");
  app.add_option("-o,--output", options.output,
                 "Where the purified table goes (default: standard output); of images a name that ends in .npy, or a "
                 "folder of PNG files")
      ->type_name("PATH");
  ae::cli::add_integer(app, "--steps", options.purify.steps, "Projections applied one after another", 1, 10000)
      ->capture_default_str();
  app.add_option("--purifier", options.images.purifiers, purifiers_help())
      ->allow_extra_args(false)
      ->type_name("TEXT")
      ->group("Images");
  app.add_option("--table", options.table,
                 "A line for each image: loss before and after, and how far it was moved, by the root of the sum of "
                 "squares and by the largest difference of a pixel")
      ->type_name("FILE")
      ->group("Images");
  options.reading.declare(app, [](CLI::Option*) {});
  ae::cli::add_choice(app, "--unreadable", options.unreadable,
                      "What becomes of images that cannot be read, which are always named: report leaves them out and "
                      "ends with code 4, ignore leaves them out, stop ends at the first one; a folder keeps what was "
                      "written before",
                      {"report", "ignore", "stop"})
      ->capture_default_str()
      ->group("Images");
}

// UsageError for what looks like a file of another kind.
std::string folder_named(const std::string& output) {
  std::error_code ignored;
  if (std::filesystem::path(output).has_extension() && !std::filesystem::is_directory(output, ignored))
    throw ae::UsageError("--output " + ae::quoted(output, 200) +
                         ": of images expected a name that ends in .npy, or a folder for PNG files, whose name has no "
                         "ending");
  return output;
}

int run_images(Options& options, const ae::recipe::Checkpoint& checkpoint, ae::cli::Context& context) {
  using ae::apply::Unreadable;
  if (options.reading.reading().any() || options.reading.allow_empty())
    throw ae::UsageError(checkpoint.name() +
                         ": was trained on images; --missing, --bad-rows and --allow-empty are for tables");
  if (options.output == "-")
    throw ae::UsageError("images cannot go to standard output; give -o NAME.npy, or -o FOLDER for PNG files");
  auto& images = options.images;
  if (options.purify.steps > 1 && !images.purifiers.empty())
    throw ae::UsageError("--steps is of the reconstruction alone; with --purifier give reconstruction:" +
                         std::to_string(options.purify.steps));
  if (images.purifiers.empty()) images.purifiers = {"reconstruction:" + std::to_string(options.purify.steps)};
  images.inputs = {options.input};
  images.unreadable = ae::apply::unreadable_named(options.unreadable);
  images.overwrite = context.options.force;
  ae::apps::OutputFiles files({options.input, ae::apps::model_file(options.model)}, context.options.force);
  if (std::filesystem::path(options.output).extension() == ".npy")
    images.array = files.open(options.output, "--output", ae::apps::OutputFiles::Contents::as_named);
  else
    images.folder = folder_named(options.output);
  images.table = files.open(options.table, "--table");
  const auto totals = ae::apply::purify_images(checkpoint, images, context.reporter);
  files.commit();
  context.reporter.info(ae::counted(totals.images, "images") + " purified");
  if (totals.unreadable > 0 && images.unreadable == Unreadable::report)
    throw ae::InputError(ae::counted(totals.unreadable, "image was", "images were") +
                         " left out; --unreadable ignore accepts that");
  return 0;
}

int run(Options& options, ae::cli::Context& context) {
  const auto checkpoint = ae::apps::open_model(options.model, context);
  if (checkpoint.kind().domain().gridded()) return run_images(options, checkpoint, context);
  if (!options.images.purifiers.empty() || !options.table.empty() || options.unreadable != "report")
    throw ae::UsageError(checkpoint.name() + ": was trained on " + std::string(checkpoint.kind().domain().noun()) +
                         "; --purifier, --table and --unreadable are for images");
  options.purify.stream.inputs = {options.input};
  options.purify.stream.threads = context.options.threads;
  options.purify.stream.reading = options.reading.reading();
  options.purify.stream.allow_empty = options.reading.allow_empty();
  ae::apps::require_text_name(options.output, "--output");
  ae::apps::require_apart({options.input, ae::apps::model_file(options.model)}, {{"--output", options.output}});
  auto output = ae::Output::open(options.output, context.options.force);
  const auto totals = ae::apply::purify(checkpoint, options.purify, output, context.reporter);
  output.commit();
  context.reporter.info(ae::counted(totals.rows, "rows") + " purified" + ae::apps::bad_rows_text(totals.bad));
  options.reading.complain(totals.bad.count, totals.rows + totals.bad.count);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
