#include <algorithm>
#include <map>

#include "attack/campaign/campaign_files.hpp"
#include "base/counted.hpp"
#include "base/text.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/rate_text.hpp"
#include "report/panels.hpp"
#include "report/share_curves.hpp"

namespace ae::attack {
namespace {

constexpr double kPageConfidence = 0.95;

std::string in_words(const std::string& threat) {
  static const std::map<std::string, std::string> words{
      {"none", "noise, a control"},
      {"classifier", "who knows the classifier alone"},
      {"transfer", "who has another classifier"},
      {"purifier", "who knows the purifier, too"},
      {"purifier-fixed", "who knows the purifier and its draw"},
      {"purifier+detector", "who knows the purifier and the detectors"},
      {"all", "the worst of all, at most of that size"}};
  return words.at(threat);
}

std::string defence_in_words(const std::string& defence) {
  static const std::map<std::string, std::string> words{
      {"none", "The classifier alone"},
      {"purifier", "Behind the purifier"},
      {"purifier-fixed", "Behind the purifier, by one draw that is always the same"},
      {"purifier+detector", "Behind the purifier, or flagged by a detector"}};
  return words.at(defence);
}

report::SharePoint point_of(const CampaignRow& row) {
  const auto interval = evaluate::wilson_interval(row.right, row.images, kPageConfidence);
  return {row.eps, row.accuracy(), interval.low, interval.high};
}

// A curve for each threat: of its attacks the one that leaves least.
report::SharePicture picture_of(const Campaign& campaign, const CampaignOptions& options, const std::string& defence) {
  report::SharePicture picture;
  picture.title = defence_in_words(defence);
  picture.axis = "size of the change, " + std::string(norm_name(options.norm));
  picture.upright = defence == "purifier+detector" ? "right or flagged" : "classified rightly";
  const CampaignRow* clean = nullptr;
  std::map<std::string, std::map<double, const CampaignRow*>> lowest;
  std::vector<std::string> threats;
  for (const auto& row : campaign.rows) {
    if (row.defence != defence) continue;
    if (row.attack == "clean") {
      clean = &row;
      continue;
    }
    if (std::ranges::find(threats, row.threat) == threats.end()) threats.push_back(row.threat);
    auto& least = lowest[row.threat][row.eps];
    if (least == nullptr || row.right < least->right) least = &row;
  }
  for (const auto& threat : threats) {
    report::ShareCurve curve{in_words(threat), {}};
    if (clean != nullptr && !lowest[threat].contains(0)) curve.points.push_back(point_of(*clean));
    for (const auto& [eps, row] : lowest[threat]) curve.points.push_back(point_of(*row));
    picture.description += (picture.description.empty() ? "" : " ") + curve.name + ":";
    for (const auto& point : curve.points)
      picture.description += " " + evaluate::rate_text(point.share, 3) + " at " + number_text(point.at);
    picture.description += ".";
    picture.curves.push_back(std::move(curve));
  }
  return picture;
}

std::string headline(const Campaign& campaign) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : campaign.rows) {
    if (row.attack != "clean" && row.attack != "worst") continue;
    const auto interval = evaluate::wilson_interval(row.right, row.images, kPageConfidence);
    rows.push_back({defence_in_words(row.defence), row.attack == "clean" ? "nothing" : "all attacks",
                    row.attack == "clean" ? "" : number_text(row.eps), evaluate::percent_text(row.accuracy()),
                    evaluate::percent_text(interval.low) + " to " + evaluate::percent_text(interval.high)});
  }
  std::ranges::stable_sort(rows, {}, [](const auto& row) { return row.front(); });
  return report::table_panel("What is left", {"defence", "against", "size", "right", "95 % interval"}, rows);
}

std::string every_row(const Campaign& campaign) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : campaign.rows) {
    const auto flagged =
        row.flagged && row.images > 0
            ? evaluate::percent_text(static_cast<double>(*row.flagged) / static_cast<double>(row.images))
            : "";
    rows.push_back({row.threat, row.attack, row.defence, number_text(row.eps), evaluate::percent_text(row.accuracy()),
                    flagged, row.steps > 0 ? std::to_string(row.steps) : "",
                    row.starts > 0 ? std::to_string(row.starts) : "", row.losses, row.backward});
  }
  return report::table_panel(
      "Every attack",
      {"threat", "attack", "defence", "size", "right", "flagged", "steps", "starts", "losses", "backward"}, rows);
}

std::string flags_panel(const Campaign& campaign) {
  evaluate::Figures flags;
  for (const auto& flag : campaign.flags) flags.emplace_back(flag.name, flag.detail);
  if (flags.empty()) flags.emplace_back("none", "no check found a reason to doubt these figures");
  return report::facts_panel("What should make a reader doubt", flags);
}

std::string certified_panel(const Campaign& campaign, const CampaignOptions& options) {
  if (campaign.certified.empty()) return {};
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : campaign.certified) {
    const auto interval = evaluate::wilson_interval(row.right, campaign.images, kPageConfidence);
    rows.push_back({number_text(row.radius),
                    evaluate::percent_text(static_cast<double>(row.right) / static_cast<double>(campaign.images)),
                    evaluate::percent_text(interval.low) + " to " + evaluate::percent_text(interval.high)});
  }
  return report::table_panel("Certified by noise of " + number_text(options.certify.sigma) + ", whatever the attack",
                             {"radius, l2", "right", "95 % interval"}, rows);
}

std::string examples_panel(const Campaign& campaign) {
  if (campaign.examples.empty()) return {};
  const bool pure = !campaign.examples.front().purified.empty();
  std::vector<std::string> columns{"image", "class", "taken for", "attacked taken for", "clean", "attacked"};
  if (pure) columns.emplace_back("attacked and purified");
  columns.emplace_back("difference");
  std::vector<report::PictureRow> rows;
  for (const auto& e : campaign.examples) {
    rows.push_back({{e.id, e.label, e.before, e.after}, {e.clean, e.attacked}});
    if (pure) rows.back().pictures.push_back(e.purified);
    rows.back().pictures.push_back(e.difference);
  }
  return report::pictures_panel("Some images",
                                campaign.shown +
                                    "; those that it turned come first. Of the difference gray is none, and the "
                                    "largest of the image is black or white.",
                                columns, rows);
}

}  // namespace

std::string campaign_page(const Campaign& campaign, const CampaignOptions& options, const CampaignStory& story) {
  std::string panels = headline(campaign) + flags_panel(campaign);
  std::vector<std::string> defences;
  for (const auto& row : campaign.rows)
    if (std::ranges::find(defences, row.defence) == defences.end()) defences.push_back(row.defence);
  std::ranges::reverse(defences);  // the one that was asked about first
  for (const auto& defence : defences) {
    const auto picture = picture_of(campaign, options, defence);
    if (!picture.curves.empty())
      panels += report::picture_panel(picture.title, picture.description, report::share_curves_svg(picture));
  }
  panels += certified_panel(campaign, options) + examples_panel(campaign) + every_row(campaign);
  evaluate::Figures asked{{"Classifier", story.victim},
                          {"Images", story.input + ", " + counted(campaign.images, "images")}};
  if (!options.purifiers.empty()) asked.emplace_back("Purifier", ae::join(options.purifiers, ", "));
  if (!story.surrogate.empty()) asked.emplace_back("Surrogate", story.surrogate);
  for (const auto& detector : campaign.detectors)
    asked.emplace_back("Detector", detector.name + ", above " + evaluate::rate_text(detector.threshold, 4));
  if (campaign.clean > 0)
    asked.emplace_back("Clean images", options.clean + ", " + std::to_string(campaign.clean_flagged) + " of " +
                                           std::to_string(campaign.clean) + " flagged");
  return report::panels_page(
      "What attacks leave of " + story.victim,
      "Each curve is the share of images that is right against who knows so much, with 95 % intervals (Wilson).",
      panels + report::asked_panel(asked, {}, story.command, story.made_by));
}

}  // namespace ae::attack
