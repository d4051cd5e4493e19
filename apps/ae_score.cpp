// ae-score: how strange is each sample, and where?
#include <algorithm>
#include <limits>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/files.hpp"
#include "infer/pictures.hpp"
#include "infer/score_images.hpp"
#include "infer/score_table.hpp"
#include "model_program.hpp"
#include "report/gallery.hpp"

namespace {

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
      "score images; write error maps, a table of defects and a page to look at"}}};

struct Options {
  std::string model;
  std::string output = "-";
  std::string summary;
  std::string exclude_rows;
  std::string only_rows;
  bool fail_on_anomaly = false;
  bool fail_on_drift = false;
  ae::infer::ScoreOptions score;
  ae::infer::ScoreImagesOptions images;
  std::string maps, masks, reconstructions, regions, gallery;
  std::string unreadable = "report";
  std::vector<CLI::Option*> for_images;  // given to a model of tables they are a mistake
  std::vector<CLI::Option*> for_tables;
};

constexpr const char* kImages = "Images";

void declare_images(CLI::App& app, Options& options) {
  auto& images = options.images;
  const auto add = [&](CLI::Option* option) {
    option->group(kImages);
    options.for_images.push_back(option);
    return option;
  };
  add(app.add_option("--maps", options.maps,
                     "Write error maps: DIR/ID.npy (float32, height x width), ID.png (16-bit gray) and ID_overlay.png, "
                     "with one scale for all images; ID is the id without its extension"))
      ->type_name("DIR");
  add(app.add_option("--masks", options.masks, "Write the regions as black and white pictures, DIR/ID_mask.png"))
      ->type_name("DIR");
  add(app.add_option("--reconstructions", options.reconstructions, "Write what was expected, DIR/ID.png"))
      ->type_name("DIR");
  add(app.add_option("--regions", options.regions,
                     "Write a table of defect regions, in original pixels: id, region, x, y, width, height, area, peak "
                     "and mean of the map, centroid"))
      ->type_name("FILE");
  add(app.add_option("--gallery", options.gallery, "Write a page that shows the scored images"))
      ->type_name("FILE.html");
  auto* alpha = add(ae::cli::add_number(
      app, "--pixel-alpha", images.pixel_alpha,
      "Regions are where the map is above what this share of held-out good pixels exceeds (default 0.01)", 0, 1));
  add(ae::cli::add_number(app, "--pixel-threshold", images.pixel_threshold, "Regions are where the map is above this",
                          -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()))
      ->excludes(alpha);
  add(ae::cli::add_number(app, "--region-alpha", images.region_alpha,
                          "A region counts only when its peak is above what this share of held-out good images reach "
                          "anywhere; 1 lets every region count (default 0.05, and 1 with --pixel-threshold)",
                          0, 1));
  add(ae::cli::add_integer(app, "--minimum-area", images.minimum_area,
                           "A region counts only when it has so many pixels (default 1)", 1, 1 << 30));
  add(ae::cli::add_integer(app, "--opening", images.opening,
                           "Cut off what is narrower than this many pixels from regions before they are counted "
                           "(morphological opening with a square; default 1: nothing)",
                           1, 1 << 10));
  add(app.add_option("--unreadable", options.unreadable,
                     "What becomes of images that cannot be read, which are always named: report leaves them out and "
                     "ends with code 4, ignore leaves them out, stop ends at the first one without output"))
      ->check(CLI::IsMember({"report", "ignore", "stop"}));
}

void declare(CLI::App& app, Options& options) {
  ae::apps::add_model(app, options.model);
  app.add_option("input", options.score.stream.inputs,
                 "Tables to score (CSV, TSV, NPY, NPZ; .gz and .zst; - for standard input), or images: folders, MVTec "
                 "roots, patterns, .txt lists, files, IDX, NPY")
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
  declare_images(app, options);
}

// Scored images as a page.
class Gallery final : public ae::infer::ImagePage {
 public:
  Gallery(const std::string& path, const std::string& model, const std::string& command, bool overwrite)
      : model_(model), command_(command), output_(ae::Output::open(path, overwrite)) {}
  void begin(const Setting& setting) override {
    ae::report::GalleryOptions page;
    page.threshold = setting.threshold;
    page.threshold_rule = setting.threshold_rule;
    page.heat_scale = ae::report::HeatScale{setting.heat_low, setting.heat_high, ae::infer::heat_colours()};
    page.command = command_;
    page.facts = {{"Model", model_}, {"Pixel error", setting.kind}};
    writer_ = std::make_unique<ae::report::GalleryWriter>(output_, "Scored images", std::move(page));
  }
  bool wants_pictures(double score) const override { return writer_->wants_pictures(score); }
  void add(const ae::infer::ScoredImage& image) override {
    ae::report::GalleryItem item;
    item.id = image.id;
    item.label = image.label;
    item.score = image.score;
    item.p_value = image.p_value;
    item.width = image.size.width;
    item.height = image.size.height;
    for (const auto& region : image.regions) {
      item.regions.push_back({static_cast<double>(region.x), static_cast<double>(region.y),
                              static_cast<double>(region.width), static_cast<double>(region.height),
                              static_cast<double>(region.area), region.peak});
    }
    item.input = image.input;
    item.reconstruction = image.reconstruction;
    item.heat = image.heat;
    item.mask = image.mask;
    writer_->add(item);
  }
  void commit() {
    writer_->finish();
    output_.commit();
  }

 private:
  std::string model_;
  std::string command_;
  ae::Output output_;
  std::unique_ptr<ae::report::GalleryWriter> writer_;
};

void refuse(const std::vector<CLI::Option*>& options, const std::string& why) {
  for (const auto* option : options) {
    if (option->count() > 0) throw ae::UsageError(option->get_name() + " " + why + "; leave it out");
  }
}

std::string joined(const std::vector<std::string>& arguments) {
  std::string line;
  for (const auto& argument : arguments) line += (line.empty() ? "" : " ") + argument;
  return line;
}

int run_images(Options& options, const ae::train::Checkpoint& checkpoint, ae::Output& output,
               ae::cli::Context& context) {
  refuse(options.for_tables, "is for models of tables, and this is one of images");
  auto images = options.images;
  images.inputs = options.score.stream.inputs;
  images.threshold = options.score.threshold;
  images.alpha = options.score.alpha;
  images.fdr = options.score.fdr;
  images.maps = options.maps;
  images.masks = options.masks;
  images.reconstructions = options.reconstructions;
  images.regions = options.regions;
  images.overwrite = context.options.force;
  images.unreadable = options.unreadable == "stop"     ? ae::infer::Unreadable::stop
                      : options.unreadable == "ignore" ? ae::infer::Unreadable::ignore
                                                       : ae::infer::Unreadable::report;
  std::unique_ptr<Gallery> gallery;
  if (!options.gallery.empty()) {
    gallery =
        std::make_unique<Gallery>(options.gallery, checkpoint.name(), joined(context.arguments), context.options.force);
    images.page = gallery.get();
  }
  const auto totals = ae::infer::score_images(checkpoint, images, output, context.reporter);
  if (gallery) gallery->commit();
  output.commit();
  const bool flags = images.threshold || images.alpha || images.fdr;
  context.reporter.info(std::to_string(totals.images) + " images scored" +
                        (flags ? ", " + std::to_string(totals.flagged) + " flagged" : "") +
                        (options.regions.empty() ? "" : ", " + std::to_string(totals.regions) + " regions"));
  if (totals.unreadable > 0 && images.unreadable == ae::infer::Unreadable::report) {
    throw ae::InputError(std::to_string(totals.unreadable) + " of " +
                         std::to_string(totals.images + totals.unreadable) +
                         " images could not be read and are left out; --unreadable ignore accepts that");
  }
  return options.fail_on_anomaly && totals.flagged > 0 ? static_cast<int>(ae::ExitCode::anomalies_found) : 0;
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
  const auto checkpoint = ae::apps::open_model(options.model, context);
  if (checkpoint.images()) return run_images(options, checkpoint, output, context);
  refuse(options.for_images, "is for models of images, and this is one of tables");
  const auto totals = ae::infer::score_table(checkpoint, options.score, output, context.reporter);
  output.commit();
  context.reporter.info(std::to_string(totals.rows) + " rows scored" +
                        (flags ? ", " + std::to_string(totals.flagged) + " flagged" : ""));
  const bool alarmed = (options.fail_on_anomaly && totals.flagged > 0) || (options.fail_on_drift && totals.drifted);
  return alarmed ? static_cast<int>(ae::ExitCode::anomalies_found) : 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
