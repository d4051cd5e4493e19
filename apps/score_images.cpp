// What ae-score does with images.
#include "apply/score_images.hpp"

#include <limits>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "recipe/image_kind.hpp"
#include "scoring.hpp"

namespace ae::apps {
namespace {

class ImageScoring final : public Scoring {
 public:
  std::string_view noun() const override { return "images"; }

  void declare(CLI::App& app) override {
    const auto add = [&](CLI::Option* option) {
      option->group("Images");
      return own(option);
    };
    add(app.add_option(
            "--maps", maps_,
            "Write error maps: DIR/ID.npy (float32, height x width), ID.png (16-bit gray) and ID_overlay.png, "
            "with one scale for all images; ID is the id without its extension"))
        ->type_name("DIR");
    add(app.add_option("--masks", masks_, "Write the regions as black and white pictures, DIR/ID_mask.png"))
        ->type_name("DIR");
    add(app.add_option("--reconstructions", reconstructions_, "Write what was expected, DIR/ID.png"))->type_name("DIR");
    add(app.add_option(
            "--regions", regions_,
            "Write a table of defect regions, in original pixels: id, region, x, y, width, height, area, peak "
            "and mean of the map, centroid"))
        ->type_name("FILE");
    add(app.add_option(
            "--truth", truth_,
            "Show in the page what should have been found: masks as for ae-roc, a data set's root, or a folder "
            "of DIR/TYPE/NAME_mask.png or DIR/NAME.png; images without one show none"))
        ->type_name("DIR");
    auto* alpha =
        add(cli::add_number(app, "--pixel-alpha", details_.pixel_alpha,
                            "Regions are where the map is above what this share of held-out good pixels exceeds "
                            "(default 0.01)",
                            0, 1));
    add(cli::add_number(app, "--pixel-threshold", details_.pixel_threshold, "Regions are where the map is above this",
                        -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()))
        ->excludes(alpha);
    add(cli::add_number(app, "--region-alpha", details_.region_alpha,
                        "A region counts only when its peak is above what this share of held-out good images reach "
                        "anywhere; 1 lets every region count (default 0.05, and 1 with --pixel-threshold). With a rule "
                        "for flags, flagged images have one region at least, and others none",
                        0, 1));
    add(cli::add_integer(app, "--minimum-area", details_.minimum_area,
                         "A region counts only when it has so many pixels (default 1)", 1, 1 << 30));
    add(cli::add_integer(app, "--opening", details_.opening,
                         "Cut off what is narrower than this many pixels from regions before they are counted "
                         "(morphological opening with a square; default 1: nothing)",
                         1, 1 << 10));
    add(cli::add_choice(
            app, "--unreadable", unreadable_,
            "What becomes of images that cannot be read, which are always named: report leaves them out and "
            "ends with code 4, ignore leaves them out, stop ends at the first one without output. With "
            "--fail-on-anomaly, report ends with code 4 also when files that may be images, further pages or frames "
            "are not looked at",
            {"report", "ignore", "stop"}))
        ->capture_default_str();
  }

  bool answers(const recipe::Checkpoint& checkpoint) const override {
    return checkpoint.kind().as<recipe::ImageKind>() != nullptr;
  }

  void check(const apply::ScoreOptions& asked) const override {
    if (!truth_.empty() && asked.page.empty()) throw UsageError("--truth needs --page (or --gallery) as well");
    if (asked.world.size > 1 && !regions_.empty()) {
      throw UsageError(
          "--regions is one file of all images, and several processes score parts of them; leave it out, or start one "
          "process");
    }
  }

  void add_files(std::vector<std::string>&, std::vector<std::pair<std::string, std::string>>& outputs) const override {
    outputs.emplace_back("--regions", regions_);
  }

  apply::FlagTotals run(const apply::ScoreOptions& asked, const recipe::Checkpoint& checkpoint, Output& output,
                        cli::Context& context) override {
    auto details = details_;
    details.maps = maps_;
    details.masks = masks_;
    details.reconstructions = reconstructions_;
    details.regions = regions_;
    details.truth = truth_;
    details.unreadable = apply::unreadable_named(unreadable_);
    const auto totals = apply::score_images(checkpoint, asked, details, output, context.reporter);
    output.commit();
    context.reporter.info(apply::totals_text(totals.flags, "images", asked.flag) +
                          (regions_.empty() ? "" : ", " + counted(totals.regions, "regions")));
    return totals.flags;
  }

  void complain(const apply::FlagTotals& totals, bool alarms) const override {
    if (unreadable_ != "report") return;
    if (totals.bad > 0) {
      throw InputError(std::to_string(totals.bad) + " of " + std::to_string(totals.scored + totals.bad) +
                       " images could not be read and are left out; --unreadable ignore accepts that");
    }
    if (totals.unseen > 0 && alarms) {
      throw InputError(
          counted(totals.unseen, "file was", "files were") +
          " not looked at, or only in part, and what they hold raises no alarm; --unreadable ignore accepts that");
    }
  }

 private:
  apply::ImageOptions details_;
  std::string maps_, masks_, reconstructions_, regions_, truth_;
  std::string unreadable_ = "report";
};

}  // namespace

std::unique_ptr<Scoring> make_image_scoring() { return std::make_unique<ImageScoring>(); }

}  // namespace ae::apps
