#include "score_images.hpp"

#include <limits>
#include <memory>
#include <utility>

#include "apply/pictures.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "report/gallery.hpp"

namespace ae::apps {
namespace {

// Scored images as a page.
class Gallery final : public apply::ImagePage {
 public:
  Gallery(const std::string& path, const std::string& model, std::string command, bool overwrite)
      : model_(model), command_(std::move(command)), output_(Output::open(path, overwrite)) {}
  void begin(const Setting& setting) override {
    report::GalleryOptions page;
    page.threshold = setting.threshold;
    page.threshold_rule = setting.threshold_rule;
    page.heat_scale = report::HeatScale{setting.heat_low, setting.heat_high, apply::heat_colours()};
    page.command = command_;
    page.facts = {{"Model", model_}, {"Pixel error", setting.kind}};
    writer_ = std::make_unique<report::GalleryWriter>(output_, "Scored images", std::move(page));
  }
  bool wants_pictures(double score) const override { return writer_->wants_pictures(score); }
  void add(const apply::ScoredImage& image) override {
    report::GalleryItem item;
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
    item.truth = image.truth;
    writer_->add(item);
  }
  void commit() {
    writer_->finish();
    output_.commit();
  }

 private:
  std::string model_;
  std::string command_;
  Output output_;
  std::unique_ptr<report::GalleryWriter> writer_;
};

}  // namespace

void ImageScoring::declare(CLI::App& app) {
  const auto add = [&](CLI::Option* option) {
    option->group("Images");
    declared_.push_back(option);
    return option;
  };
  add(app.add_option("--maps", maps_,
                     "Write error maps: DIR/ID.npy (float32, height x width), ID.png (16-bit gray) and ID_overlay.png, "
                     "with one scale for all images; ID is the id without its extension"))
      ->type_name("DIR");
  add(app.add_option("--masks", masks_, "Write the regions as black and white pictures, DIR/ID_mask.png"))
      ->type_name("DIR");
  add(app.add_option("--reconstructions", reconstructions_, "Write what was expected, DIR/ID.png"))->type_name("DIR");
  add(app.add_option("--regions", regions_,
                     "Write a table of defect regions, in original pixels: id, region, x, y, width, height, area, peak "
                     "and mean of the map, centroid"))
      ->type_name("FILE");
  auto* gallery = add(app.add_option("--gallery", gallery_, "Write a page that shows the scored images"));
  gallery->type_name("FILE.html");
  add(app.add_option("--truth", truth_,
                     "Show in the gallery what should have been found: masks as for ae-roc, DIR/TYPE/NAME_mask.png or "
                     "DIR/NAME.png; images without one show none"))
      ->type_name("DIR")
      ->needs(gallery);
  auto* alpha =
      add(cli::add_number(app, "--pixel-alpha", scoring_.pixel_alpha,
                          "Regions are where the map is above what this share of held-out good pixels exceeds "
                          "(default 0.01)",
                          0, 1));
  add(cli::add_number(app, "--pixel-threshold", scoring_.pixel_threshold, "Regions are where the map is above this",
                      -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()))
      ->excludes(alpha);
  add(cli::add_number(app, "--region-alpha", scoring_.region_alpha,
                      "A region counts only when its peak is above what this share of held-out good images reach "
                      "anywhere; 1 lets every region count (default 0.05, and 1 with --pixel-threshold)",
                      0, 1));
  add(cli::add_integer(app, "--minimum-area", scoring_.minimum_area,
                       "A region counts only when it has so many pixels (default 1)", 1, 1 << 30));
  add(cli::add_integer(app, "--opening", scoring_.opening,
                       "Cut off what is narrower than this many pixels from regions before they are counted "
                       "(morphological opening with a square; default 1: nothing)",
                       1, 1 << 10));
  add(cli::add_choice(app, "--unreadable", unreadable_,
                      "What becomes of images that cannot be read, which are always named: report leaves them out and "
                      "ends with code 4, ignore leaves them out, stop ends at the first one without output",
                      {"report", "ignore", "stop"}))
      ->capture_default_str();
}

void ImageScoring::refuse() const { refuse_options(declared_, "is for models of images, and this is one of tables"); }

void ImageScoring::refuse_parts() const {
  for (const auto& [option, value] : {std::pair("--regions", &regions_), std::pair("--gallery", &gallery_)}) {
    if (!value->empty()) {
      throw UsageError(std::string(option) +
                       " is one file of all images, and several processes score parts of them; "
                       "leave it out, or start one process");
    }
  }
}

apply::ScoreImagesTotals ImageScoring::run(const apply::ScoreOptions& asked, const recipe::Checkpoint& checkpoint,
                                           Output& output, cli::Context& context) const {
  auto scoring = scoring_;
  scoring.inputs = asked.stream.inputs;
  scoring.threshold = asked.threshold;
  scoring.alpha = asked.alpha;
  scoring.fdr = asked.fdr;
  scoring.maps = maps_;
  scoring.masks = masks_;
  scoring.reconstructions = reconstructions_;
  scoring.regions = regions_;
  scoring.truth = truth_;
  scoring.world = asked.world;
  // Of several processes, the others write into the same folders.
  scoring.overwrite = context.options.force || asked.world.size > 1;
  scoring.unreadable = unreadable_ == "stop"     ? apply::Unreadable::stop
                       : unreadable_ == "ignore" ? apply::Unreadable::ignore
                                                 : apply::Unreadable::report;
  std::unique_ptr<Gallery> gallery;
  if (!gallery_.empty()) {
    gallery = std::make_unique<Gallery>(gallery_, checkpoint.name(), cli::shell_command("ae-score", context.arguments),
                                        context.options.force);
    scoring.page = gallery.get();
  }
  const auto totals = apply::score_images(checkpoint, scoring, output, context.reporter);
  if (gallery) gallery->commit();
  output.commit();
  const bool flags = scoring.threshold || scoring.alpha || scoring.fdr;
  context.reporter.info(std::to_string(totals.images) + " images scored" +
                        (flags ? ", " + std::to_string(totals.flagged) + " flagged" : "") +
                        (regions_.empty() ? "" : ", " + std::to_string(totals.regions) + " regions"));
  if (totals.unreadable > 0 && scoring.unreadable == apply::Unreadable::report) {
    throw InputError(std::to_string(totals.unreadable) + " of " + std::to_string(totals.images + totals.unreadable) +
                     " images could not be read and are left out; --unreadable ignore accepts that");
  }
  return totals;
}

void refuse_options(const std::vector<CLI::Option*>& options, const std::string& why) {
  for (const auto* option : options) {
    if (option->count() > 0) throw UsageError(option->get_name() + " " + why + "; leave it out");
  }
}

}  // namespace ae::apps
