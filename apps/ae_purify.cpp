// ae-purify: what is the nearest natural sample?
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "apply/impute.hpp"
#include "apply/manifold_audit.hpp"
#include "apply/manifold_files.hpp"
#include "apply/named_choice.hpp"
#include "apply/purifiers.hpp"
#include "apply/purify_images.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "classifier_options.hpp"
#include "cli/version.hpp"
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
      "a control: what a blur does, judged by the same model"},
     {"ae-purify runs/boards boards/ -o purified.npy --classifier classifier.pt --detector jsd,l1 --clean good_boards/",
      "what a classifier makes of the images before and after, and which look as if somebody had changed them"},
     {"ae-purify runs/boards boards/ --audit-manifold audit --clean good_boards/ --first 50",
      "how much of small changes is left behind the purifier, along what good boards differ in and off it"}},
    {},
    {{"DIR/manifold.csv", "of --audit-manifold, a line for each image: gains, and where its neighbours are"},
     {"DIR/manifold.json", "means with intervals, medians and settings"},
     {"DIR/manifold.html", "the same as a page, with a picture"}}};

struct Options {
  std::string model;
  std::string summary, outputs = "logits";
  std::vector<std::string> mean, deviation, among;
  std::optional<std::int64_t> seed;
  ae::apply::JudgeOptions judge;
  std::string input;
  std::string output = "-";
  std::string table;
  std::string unreadable = "report";
  ae::apply::PurifyOptions purify;
  ae::apply::ImagePurifyOptions images;
  std::string audit;  // a folder
  ae::apply::ManifoldOptions manifold;
  ae::apps::ReadingOptions reading;
};

void declare_judge(CLI::App& app, Options& options) {
  auto& judge = options.judge;
  const char* group = ae::apps::kClassifierGroup;
  auto* classifier =
      app.add_option(
             "--classifier", judge.classifier,
             "TorchScript network from images [n, channels, height, width] to [n, classes], or the folder of an "
             "ae-train with the objective classification; its answers before and after go into the table. Such a file "
             "is a program, which runs with your rights")
          ->type_name("PATH")
          ->group(group);
  for (auto* option : ae::apps::add_classifier_options(
           app, {judge.labels, judge.classes, options.mean, options.deviation, options.outputs}))
    option->needs(classifier);
  app.add_option("--summary", options.summary,
                 "JSON: how many images are classified rightly, flagged, and both, with intervals")
      ->type_name("FILE")
      ->group(group)
      ->needs(classifier);
  auto* detector = ae::apps::add_detector_options(app, {judge.detectors, judge.clean, judge.false_positives}).front();
  detector->needs(classifier);
  ae::cli::add_number(app, "--noise", judge.noise,
                      "The control: each pixel of the clean images changed by so much, up or down", 0, 1)
      ->capture_default_str()
      ->group(group)
      ->needs(detector);
  ae::apps::add_votes_option(app, options.images.votes)->needs(classifier);
}

void declare_audit(CLI::App& app, Options& options) {
  auto& manifold = options.manifold;
  auto* audit =
      app.add_option(
             "--audit-manifold", options.audit,
             "Folder, which is made, for an audit instead of purified images: how much of small changes is left "
             "behind the purifier, along the manifold of the images of --clean, which may be those of "
             "training, and off it")
          ->type_name("DIR");
  std::vector<CLI::Option*> further{
      app.add_option("--attacked", manifold.attacked,
                     "What an attack made of the images, in the same order, such as an array of ae-attack: its parts "
                     "along the manifold and off it are audited, too. All images must be readable then")
          ->type_name("PATH"),
      ae::cli::add_integer(app, "--first", manifold.first, "Audit so many images only, from the first on", 1, 1000000)
          ->capture_default_str(),
      ae::cli::add_integer(app, "--neighbours", manifold.neighbours,
                           "Nearest clean images, whose principal components are the tangent space at an image", 2,
                           100000)
          ->capture_default_str(),
      ae::cli::add_integer(app, "--components", manifold.components, "So many of these components", 1, 100000)
          ->capture_default_str(),
      ae::cli::add_integer(app, "--directions", manifold.directions,
                           "Steps from each image within the tangent space, and as many orthogonal to it", 1, 10000)
          ->capture_default_str(),
      ae::cli::add_number(app, "--step-length", manifold.length,
                          "Their length, the root of the sum of squares; pixels are from 0 to 1", 1e-3, 1e6)
          ->capture_default_str()};
  constexpr const char* kGroup = "Audit";
  audit->group(kGroup)->needs(app.get_option("--clean"));
  for (const auto* other : {"--output", "--table", "--classifier"}) audit->excludes(app.get_option(other));
  for (auto* option : further) option->group(kGroup)->needs(audit);
}

void read_judge(Options& o) {
  auto& judge = o.judge;
  if (judge.classifier.empty()) return;
  judge.classifier = ae::victim::classifier_file(judge.classifier);
  judge.input = ae::apps::classifier_input(o.mean, o.deviation, o.outputs);
  judge.seed = o.images.seed;
  o.images.judge = judge;
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
  app.add_option("--purifier", options.images.purifiers,
                 "What is done to images, one after another, repeat for several: " +
                     ae::apply::kinds_help(ae::apply::purifier_kinds()) + " (default: reconstruction)")
      ->allow_extra_args(false)
      ->type_name("TEXT")
      ->group("Images");
  ae::apps::add_among_option(app, options.among)->group("Images");
  app.add_option("--table", options.table,
                 "A line for each image: loss before and after, and how far it was moved, by the root of the sum of "
                 "squares and by the largest difference of a pixel")
      ->type_name("FILE")
      ->group("Images");
  ae::cli::add_integer(app, "--seed", options.seed,
                       "Of what --purifier noise, the control of --noise and --audit-manifold draw at random "
                       "(default: 0)",
                       0, 9007199254740991)
      ->group("Images");
  declare_judge(app, options);
  declare_audit(app, options);
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

void require_read(std::int64_t unreadable, ae::apply::Unreadable what) {
  if (unreadable > 0 && what == ae::apply::Unreadable::report)
    throw ae::InputError(ae::counted(unreadable, "image was", "images were") +
                         " left out; --unreadable ignore accepts that");
}

// What --purifier and --steps say, of images.
void read_purifiers(Options& options) {
  auto& purifiers = options.images.purifiers;
  if (options.purify.steps > 1 && !purifiers.empty())
    throw ae::UsageError("--steps is of the reconstruction alone; with --purifier give reconstruction:" +
                         std::to_string(options.purify.steps));
  if (purifiers.empty()) purifiers = {"reconstruction:" + std::to_string(options.purify.steps)};
}

int run_audit(Options& options, const ae::recipe::Checkpoint& checkpoint, ae::cli::Context& context) {
  auto& manifold = options.manifold;
  manifold.input = options.input;
  manifold.clean = options.judge.clean;
  manifold.purifiers = options.images.purifiers;
  manifold.seed = static_cast<std::uint64_t>(options.seed.value_or(0));
  manifold.unreadable = ae::apply::unreadable_named(options.unreadable);
  if (!manifold.attacked.empty() && manifold.unreadable == ae::apply::Unreadable::ignore)
    throw ae::UsageError(
        "--unreadable ignore: images and those of --attacked belong together by their order, of which "
        "none may be missing; take unreadable ones out of both");
  ae::apps::check_among(options.among, manifold.purifiers);
  const auto among = ae::apps::open_among(options.among);
  manifold.among = among;
  std::vector<std::string> inputs{options.input, ae::apps::model_file(options.model), manifold.clean};
  for (const auto& further : options.among) inputs.push_back(ae::apps::model_file(further));
  if (!manifold.attacked.empty()) inputs.push_back(manifold.attacked);
  ae::apps::OutputFiles files(inputs, context.options.force);
  const auto folder = files.folder(options.audit, "--audit-manifold");
  const auto open = [&](const char* name) {
    const auto path = (folder / name).string();
    manifold.outputs.emplace_back("--audit-manifold", path);
    return files.open(path, "--audit-manifold");
  };
  auto *csv = open("manifold.csv"), *json = open("manifold.json"), *page = open("manifold.html");
  const auto audit = ae::apply::audit_manifold(checkpoint, manifold, context.reporter);
  const auto summary = ae::apply::summary_of(audit, manifold.seed);
  const ae::apply::ManifoldStory story{ae::cli::version_line(kProgram.name),
                                       ae::cli::shell_command(kProgram.name, context.arguments), options.model,
                                       checkpoint.digest()};
  csv->write(ae::apply::manifold_csv(audit));
  json->write(ae::apply::manifold_json(audit, summary, manifold, story));
  page->write(ae::apply::manifold_page(audit, summary, manifold, story));
  if (!context.options.quiet) files.for_people()->write(ae::apply::manifold_text(audit, summary, manifold));
  files.commit();
  require_read(audit.unreadable, manifold.unreadable);
  return 0;
}

int run_images(Options& options, const ae::recipe::Checkpoint& checkpoint, ae::cli::Context& context) {
  if (options.reading.reading().any() || options.reading.allow_empty())
    throw ae::UsageError(checkpoint.name() +
                         ": was trained on images; --missing, --bad-rows and --allow-empty are for tables");
  read_purifiers(options);
  if (!options.audit.empty()) return run_audit(options, checkpoint, context);
  if (options.output == "-")
    throw ae::UsageError("images cannot go to standard output; give -o NAME.npy, or -o FOLDER for PNG files");
  auto& images = options.images;
  ae::apps::check_clean(options.judge.clean, options.judge.detectors, images.purifiers);
  if (ae::apply::PurifierChain::fitted(images.purifiers)) images.clean = options.judge.clean;
  ae::apps::check_among(options.among, images.purifiers);
  const auto among = ae::apps::open_among(options.among);
  images.among = among;
  images.seed = static_cast<std::uint64_t>(options.seed.value_or(0));
  read_judge(options);
  images.inputs = {options.input};
  images.unreadable = ae::apply::unreadable_named(options.unreadable);
  images.overwrite = context.options.force;
  std::vector<std::string> inputs{options.input, ae::apps::model_file(options.model)};
  for (const auto& further : {options.judge.classifier.string(), options.judge.labels, options.judge.clean})
    if (!further.empty()) inputs.push_back(further);
  for (const auto& further : options.among) inputs.push_back(ae::apps::model_file(further));
  ae::apps::OutputFiles files(inputs, context.options.force);
  if (std::filesystem::path(options.output).extension() == ".npy")
    images.array = files.open(options.output, "--output", ae::apps::OutputFiles::Contents::as_named);
  else
    images.folder = folder_named(options.output);
  images.table = files.open(options.table, "--table");
  images.outputs = {{"--table", options.table}, {"--summary", options.summary}};
  if (images.array != nullptr) images.outputs.emplace_back("--output", options.output);
  auto* summary = files.open(options.summary, "--summary");
  const auto totals = ae::apply::purify_images(checkpoint, images, context.reporter);
  if (totals.judged) {
    if (summary != nullptr) summary->write(ae::apply::judge_json(*totals.judged, *images.judge));
    auto* people = context.options.quiet ? nullptr : files.for_people();
    if (people != nullptr) people->write(ae::apply::judge_text(*totals.judged, *images.judge));
  }
  files.commit();
  context.reporter.info(ae::counted(totals.images, "images") + " purified");
  require_read(totals.unreadable, images.unreadable);
  return 0;
}

int run(Options& options, ae::cli::Context& context) {
  const auto checkpoint = ae::apps::open_model(options.model, context);
  if (checkpoint.kind().domain().gridded()) return run_images(options, checkpoint, context);
  if (!options.images.purifiers.empty() || !options.table.empty() || options.unreadable != "report" ||
      !options.judge.classifier.empty() || options.seed || !options.judge.clean.empty() || !options.among.empty() ||
      !options.audit.empty())
    throw ae::UsageError(checkpoint.name() + ": was trained on " + std::string(checkpoint.kind().domain().noun()) +
                         "; --purifier, --among, --table, --classifier, --clean, --audit-manifold, --seed and "
                         "--unreadable are for images");
  options.purify.stream.inputs = {options.input};
  options.purify.stream.threads = context.options.threads;
  options.purify.stream.reading = options.reading.reading();
  options.purify.stream.allow_empty = options.reading.allow_empty();
  if (checkpoint.kind().copies_are_text()) ae::apps::require_text_name(options.output, "--output");
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
