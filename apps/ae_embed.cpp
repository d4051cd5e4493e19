// ae-embed: what is the essence?
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "apply/embed.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "cli/version.hpp"
#include "model_program.hpp"
#include "output_files.hpp"
#include "reading.hpp"

namespace {

const ae::cli::Program kProgram{
    "ae-embed",
    "Writes the latent code of every row, image or cell: id, z0, z1 and so on as CSV, the codes alone as an NPY array, "
    "or "
    "AnnData's "
    ".h5ad. Nothing is decoded.",
    {{"ae-embed runs/wdbc configs/data/wdbc.csv -o codes.csv", "the code of every row"},
     {"ae-embed runs/wdbc configs/data/wdbc.csv --loss -o codes-and-loss.csv", "with what it cannot reconstruct"},
     {"ae-embed runs/wdbc configs/data/wdbc.csv -o codes.npy", "the same for NumPy: float32, a row for each"},
     {"ae-embed runs/wdbc configs/data/wdbc.csv -o coded.csv --error-model errors.json --true worst_area",
      "how well the code tells a column, and what the model changes of all, as functions of the code"},
     {"ae-train configs/linear-pca.json --data configs/data/wdbc.csv --set /data/label=diagnosis --out runs/pca && "
      "ae-embed runs/pca configs/data/wdbc.csv --linear -o principal.csv --check pca_check.json",
      "principal components, and a check of them against a decomposition in double precision"}},
    {{"TMPDIR", "Folder for the rows that --linear keeps until all are read (default /tmp)"}}};

struct Options {
  std::string model;
  std::string output = "-";
  bool linear = false;
  std::string check;
  std::string error_model;
  std::int64_t seed = 0;
  ae::apply::EmbedOptions::Errors errors;
  std::string label;
  std::vector<std::string> keep;
  std::string unreadable = "report";
  ae::apps::ReadingOptions reading;
  ae::apply::EmbedOptions embed;
};

void declare(CLI::App& app, Options& options) {
  ae::apps::add_model(app, options.model);
  app.add_option(
         "input", options.embed.stream.inputs,
         "Tables (CSV, TSV, COLVAR, NPY, NPZ; .gz and .zst; - for standard input), or images: folders, MVTec roots, "
         "patterns, .txt lists, files, IDX, NPY; counts of cells and arrays of observations for models of those")
      ->required()
      ->type_name("PATH");
  app.add_option("-o,--output", options.output,
                 "Where the codes go, by the name's extension: .csv, .npy or .h5ad (default: standard output, as "
                 "CSV)")
      ->type_name("FILE");
  auto* linear =
      app.add_flag("--linear", options.linear,
                   "Of a linear network: codes in the canonical basis of its decoder for these rows (orthonormal axes, "
                   "ordered by variance, signs fixed), and a check against principal components");
  app.add_option("--check", options.check,
                 "Where the check of --linear goes, as JSON (default: pca_check.json beside the output)")
      ->needs(linear)
      ->type_name("FILE");
  app.add_flag("--loss", options.embed.loss,
               "Also the reconstruction loss of each row, a further column \"loss\" (of .npy the last one)")
      ->excludes(linear);
  auto* errors =
      app.add_option("--error-model", options.error_model,
                     "Also write the errors that these rows show, as functions of the code: bias and spread of the "
                     "reconstruction, and with --true the blur of that column, for ae-replay and ae-deconvolve")
          ->excludes(linear)
          ->type_name("FILE.json")
          ->group("Errors");
  app.add_option("--true", options.errors.truth,
                 "Column of the input whose true values are known, which codes and loss are an observation of")
      ->needs(errors)
      ->type_name("COLUMN")
      ->group("Errors");
  app.add_option("--weight", options.errors.weight,
                 "Column of the input that says how much more often a row would be there without bias, e^(V/kT)")
      ->needs(errors)
      ->type_name("COLUMN")
      ->group("Errors");
  ae::cli::add_integer(app, "--seed", options.seed, "Seed of the rows and errors that are drawn for --error-model", 0,
                       std::numeric_limits<std::int64_t>::max())
      ->capture_default_str()
      ->needs(errors)
      ->group("Errors");
  app.add_option("--label", options.label, "Column of the input that passes through as label, whatever the model knows")
      ->type_name("COLUMN");
  app.add_option("--keep", options.keep,
                 "Columns of the input that pass through unchanged, for example time,machine; repeat for several or "
                 "join them by commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("COLUMN");
  options.reading.declare(app, [](CLI::Option*) {});
  ae::cli::add_choice(app, "--unreadable", options.unreadable,
                      "What becomes of images that cannot be read, or have another size than those of training, which "
                      "are always named: report leaves them out and ends with code 4, ignore leaves them out, stop "
                      "ends at the first one without output",
                      {"report", "ignore", "stop"})
      ->capture_default_str()
      ->group("Images");
}

// UsageError for options of another kind of data.
void check_kind(const Options& options, const ae::recipe::Checkpoint& checkpoint) {
  const auto& stream = options.embed.stream;
  const bool images = checkpoint.kind().domain().gridded();
  const char* wrong = nullptr;
  if (images && (stream.reading.any() || stream.allow_empty)) {
    wrong = "--keep, --label, --missing, --bad-rows and --allow-empty are for tables";
  }
  if (images && !options.error_model.empty()) wrong = "--error-model is for tables and arrays";
  if (!images && options.unreadable != "report") wrong = "--unreadable is for images";
  if (wrong == nullptr) return;
  throw ae::UsageError(checkpoint.name() + ": was trained on " + std::string(checkpoint.kind().domain().noun()) + "; " +
                       wrong);
}

// Where the check goes.
std::filesystem::path check_path(const Options& options) {
  if (!options.check.empty()) return options.check;
  const auto folder =
      options.output == "-" ? std::filesystem::path() : std::filesystem::path(options.output).parent_path();
  return folder / "pca_check.json";
}

int run(Options& options, ae::cli::Context& context) {
  auto& embed = options.embed;
  embed.stream.threads = context.options.threads;
  embed.stream.reading = options.reading.reading();
  embed.stream.reading.label = options.label;
  embed.stream.reading.keep = options.keep;
  embed.stream.allow_empty = options.reading.allow_empty();
  embed.unreadable = ae::apply::unreadable_named(options.unreadable);
  const auto& format = ae::apply::code_format(options.output);
  if (embed.loss && format.extension == ".h5ad")
    throw ae::UsageError("--loss is for .csv and .npy: obsm/X_ae of .h5ad holds codes alone");
  auto inputs = embed.stream.inputs;
  inputs.push_back(ae::apps::model_file(options.model));
  ae::apps::OutputFiles files(inputs, context.options.force);
  auto& output = *files.open(options.output, "--output", ae::apps::OutputFiles::Contents::as_named);
  auto* errors = options.error_model.empty() ? nullptr : files.open(options.error_model, "--error-model");
  if (errors != nullptr && std::filesystem::path(options.error_model).extension() != ".json")
    throw ae::UsageError("--error-model: found the name " + ae::quoted(options.error_model) +
                         "; expected one that ends in .json");
  options.errors.seed = static_cast<std::uint64_t>(options.seed);
  if (errors != nullptr) embed.errors = options.errors;
  auto* check = options.linear ? files.open(check_path(options).string(), "--check") : nullptr;
  const auto file = format.make(output, embed.stream.inputs);
  const auto checkpoint = ae::apps::open_model(options.model, context);
  check_kind(options, checkpoint);
  ae::apply::EmbedTotals totals;
  if (check != nullptr) {
    std::string report;
    totals = ae::apply::embed_linear(checkpoint, embed, *file, report, context.reporter);
    check->write(report);
  } else {
    totals = ae::apply::embed(checkpoint, embed, *file, context.reporter);
  }
  if (totals.errors) {
    totals.errors->made_by = ae::cli::version_line(kProgram.name);
    errors->write(ae::fit::error_model_json(*totals.errors));
  }
  files.commit();
  context.reporter.info(ae::counted(totals.samples, "codes") + ae::apps::bad_rows_text(totals.bad));
  if (checkpoint.kind().domain().gridded()) {
    if (totals.bad.count > 0 && embed.unreadable == ae::apply::Unreadable::report) {
      throw ae::InputError(ae::counted(totals.bad.count, "image has no code and is", "images have no code and are") +
                           " left out; --unreadable ignore accepts that");
    }
  } else {
    options.reading.complain(totals.bad.count, totals.samples + totals.bad.count);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
