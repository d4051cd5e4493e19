#include "attack/campaign/campaign_files.hpp"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/rate_text.hpp"

namespace ae::attack {
namespace {

using Ordered = nlohmann::ordered_json;
using evaluate::rate_text;

constexpr double kConfidence = 0.95;

std::string purifier_text(const CampaignOptions& options) { return ae::join(options.purifiers, " "); }

std::string attack_forward(const CampaignRow& row, const CampaignOptions& options) {
  if (row.threat == "purifier" || row.threat == "purifier-fixed") return purifier_text(options) + " classifier";
  if (row.threat == "purifier+detector")
    return purifier_text(options) + " classifier, " + ae::join(options.detectors, " ");
  if (row.threat == "transfer") return "surrogate";
  return row.threat == "classifier" ? "classifier" : "";
}

std::string defence_forward(const CampaignRow& row, const CampaignOptions& options) {
  if (row.defence == "purifier+detector")
    return purifier_text(options) + " classifier, " + ae::join(options.detectors, " ");
  return row.defence == "none" ? "classifier" : purifier_text(options) + " classifier";
}

std::optional<double> flagged_share(const CampaignRow& row) {
  if (!row.flagged || row.images == 0) return {};
  return static_cast<double>(*row.flagged) / static_cast<double>(row.images);
}

Ordered row_json(const CampaignRow& row, const CampaignOptions& options) {
  const auto interval = evaluate::wilson_interval(row.right, row.images, kConfidence);
  return {{"threat", row.threat},
          {"attack", row.attack},
          {"norm", norm_name(options.norm)},
          {"eps", row.eps},
          {"n", row.images},
          {"accuracy", row.accuracy()},
          {"accuracy_interval", {interval.low, interval.high}},
          {"defence", row.defence},
          {"flagged", flagged_share(row) ? Ordered(*flagged_share(row)) : Ordered(nullptr)},
          {"mean_distance", row.mean_distance},
          {"largest_distance", row.largest_distance},
          {"steps", row.steps},
          {"restarts", row.starts},
          {"losses", row.losses},
          {"lambdas", row.lambdas},
          {"votes", row.votes},
          {"eot", row.draws},
          {"backward", row.backward},
          {"attack_forward", attack_forward(row, options)},
          {"defence_forward", defence_forward(row, options)}};
}

// A line for each defence, threat and attack that is `wanted`, with what is told of it at each eps.
std::string rows_text(const Campaign& campaign, const std::vector<double>& eps,
                      const std::function<bool(const CampaignRow&)>& wanted,
                      const std::function<std::optional<double>(const CampaignRow&)>& told) {
  std::size_t widths[] = {7, 6, 6};  // of the headings
  for (const auto& row : campaign.rows) {
    if (!wanted(row)) continue;
    widths[0] = std::max(widths[0], row.defence.size());
    widths[1] = std::max(widths[1], row.threat.size());
    widths[2] = std::max(widths[2], row.attack.size());
  }
  const auto padded = [](std::string text, std::size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
  };
  const auto names = [&](const std::string& defence, const std::string& threat, const std::string& attack) {
    return padded(defence, widths[0]) + " " + padded(threat, widths[1]) + " " + padded(attack, widths[2]);
  };
  const auto cell = [](const std::string& content) {
    constexpr std::size_t kWidth = 9;
    return std::string(kWidth - std::min(kWidth - 1, content.size()), ' ') + content;
  };
  auto text = names("defence", "threat", "attack");
  for (const double e : eps) text += cell("eps " + number_text(e));
  std::vector<const CampaignRow*> begun;
  for (const auto& first : campaign.rows) {
    const auto same = [&](const CampaignRow& row) {
      return row.threat == first.threat && row.attack == first.attack && row.defence == first.defence;
    };
    if (!wanted(first) || std::ranges::any_of(begun, [&](const auto* row) { return same(*row); })) continue;
    begun.push_back(&first);
    text += '\n' + names(first.defence, first.threat, first.attack);
    for (const double e : eps) {
      const auto row = std::ranges::find_if(campaign.rows, [&](const auto& r) { return same(r) && r.eps == e; });
      const auto number = row == campaign.rows.end() ? std::nullopt : told(*row);
      text += cell(number ? rate_text(*number, 3) : "");
    }
  }
  return text + '\n';
}

// Of the worst rows: what voting is worth beside one draw that is known.
struct Gap {
  double eps, voted, fixed;
};
std::vector<Gap> gaps(const Campaign& campaign) {
  std::vector<Gap> found;
  for (const auto& voted : campaign.rows)
    for (const auto& fixed : campaign.rows)
      if (voted.attack == "worst" && fixed.attack == "worst" && voted.eps == fixed.eps && voted.defence == "purifier" &&
          fixed.defence == "purifier-fixed")
        found.push_back({voted.eps, voted.accuracy(), fixed.accuracy()});
  return found;
}

double certified_accuracy(const CertifiedRow& row, const Campaign& campaign) {
  return static_cast<double>(row.right) / static_cast<double>(std::max<std::int64_t>(1, campaign.images));
}

}  // namespace

std::string campaign_csv(const Campaign& campaign, const CampaignOptions& options) {
  std::string text =
      "threat,attack,norm,eps,n,accuracy,low,high,defence,flagged,mean_distance,largest_distance,steps,restarts,"
      "losses,lambdas,votes,eot,backward,attack_forward,defence_forward,seed\n";
  for (const auto& row : campaign.rows) {
    const auto interval = evaluate::wilson_interval(row.right, row.images, kConfidence);
    text += row.threat + ',' + row.attack + ',' + std::string(norm_name(options.norm)) + ',';
    append_number(text, row.eps);
    text += ',' + std::to_string(row.images);
    for (const double number : {row.accuracy(), interval.low, interval.high}) {
      text += ',';
      append_number(text, number);
    }
    text += ',' + row.defence + ',';
    if (const auto share = flagged_share(row)) append_number(text, *share);
    for (const double number : {row.mean_distance, row.largest_distance}) {
      text += ',';
      append_number(text, number);
    }
    text += ',' + std::to_string(row.steps) + ',' + std::to_string(row.starts) + ',' + row.losses + ',' + row.lambdas +
            ',' + std::to_string(row.votes) + ',' + std::to_string(row.draws) + ',' + row.backward + ',';
    append_csv_field(text, attack_forward(row, options));
    text += ',';
    append_csv_field(text, defence_forward(row, options));
    text += ',' + std::to_string(options.seed) + '\n';
  }
  return text;
}

std::string campaign_json(const Campaign& campaign, const CampaignOptions& options, const CampaignStory& story) {
  Ordered rows = Ordered::array(), worst = Ordered::object(), flags = Ordered::array(), details = Ordered::object();
  for (const auto& row : campaign.rows) {
    rows.push_back(row_json(row, options));
    if (row.attack == "worst") worst[row.defence].push_back({{"eps", row.eps}, {"accuracy", row.accuracy()}});
  }
  for (const auto& flag : campaign.flags) {
    flags.push_back(flag.name);
    details[flag.name] = details.contains(flag.name)
                             ? Ordered(details[flag.name].get<std::string>() + "; " + flag.detail)
                             : Ordered(flag.detail);
  }
  Ordered detectors = Ordered::array();
  for (const auto& detector : campaign.detectors)
    detectors.push_back({{"name", detector.name}, {"threshold", detector.threshold}});
  const auto clean = evaluate::wilson_interval(campaign.clean_flagged, campaign.clean, kConfidence);
  const Ordered clean_images =
      campaign.clean == 0
          ? Ordered(nullptr)
          : Ordered{{"input", options.clean},
                    {"images", campaign.clean},
                    {"false_positives", options.false_positives},
                    {"flagged", static_cast<double>(campaign.clean_flagged) / static_cast<double>(campaign.clean)},
                    {"flagged_interval", {clean.low, clean.high}}};
  Ordered drawn = Ordered::array();
  for (const auto& [eps, voted, fixed] : gaps(campaign))
    drawn.push_back({{"eps", eps}, {"voted", voted}, {"fixed", fixed}, {"gap", voted - fixed}});
  Ordered certified = nullptr;
  if (!campaign.certified.empty()) {
    Ordered radii = Ordered::array();
    for (const auto& row : campaign.certified) {
      const auto interval = evaluate::wilson_interval(row.right, campaign.images, kConfidence);
      radii.push_back({{"radius", row.radius},
                       {"accuracy", certified_accuracy(row, campaign)},
                       {"accuracy_interval", {interval.low, interval.high}}});
    }
    certified = {{"norm", "l2"},
                 {"sigma", options.certify.sigma},
                 {"first_votes", options.certify.first_votes},
                 {"votes", options.certify.votes},
                 {"confidence", options.certify.confidence},
                 {"images", campaign.images},
                 {"undecided", campaign.undecided},
                 {"rows", radii}};
  }
  const Ordered json = {{"made_by", story.made_by},
                        {"command", story.command},
                        {"classifier", story.victim},
                        {"surrogate", story.surrogate.empty() ? Ordered(nullptr) : Ordered(story.surrogate)},
                        {"input", story.input},
                        {"model", story.model_digest.empty() ? Ordered(nullptr) : Ordered(story.model_digest)},
                        {"purifiers", options.purifiers},
                        {"among", story.among_digests},
                        {"detectors", detectors},
                        {"clean", clean_images},
                        {"images", campaign.images},
                        {"classes", campaign.classes},
                        {"unreadable", campaign.unreadable},
                        {"without_label", campaign.without_label},
                        {"norm", norm_name(options.norm)},
                        {"relative_step", options.attack.step()},
                        {"seed", options.seed},
                        {"worst", worst},
                        {"random_draws", drawn},
                        {"certified", certified},
                        {"flags", flags},
                        {"flag_details", details},
                        {"rows", rows}};
  return json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

std::string campaign_text(const Campaign& campaign, const CampaignOptions& options) {
  std::string text = counted(campaign.images, "images") + ", " + std::string(norm_name(options.norm)) +
                     "; the share that is classified rightly\n";
  std::vector<double> eps;
  for (const auto& row : campaign.rows)
    if (row.attack != "clean" && std::ranges::find(eps, row.eps) == eps.end()) eps.push_back(row.eps);
  const auto told = [](const CampaignRow& row) { return std::optional(row.accuracy()); };
  text += rows_text(
      campaign, eps, [](const CampaignRow& row) { return row.attack != "clean"; }, told);
  for (const auto& row : campaign.rows)
    if (row.attack == "clean")
      text += "without any attack, defence " + row.defence + ": " + rate_text(row.accuracy(), 3) + "\n";
  if (!campaign.detectors.empty()) {
    text += "the share that is flagged by " + ae::join(options.detectors) + ", of clean images " +
            rate_text(static_cast<double>(campaign.clean_flagged) / static_cast<double>(campaign.clean), 3) +
            ", noise being a control\n";
    const auto attacks = [](const CampaignRow& row) {
      return row.flagged && row.attack != "clean" && row.defence == "purifier+detector";
    };
    text += rows_text(campaign, eps, attacks, flagged_share);
  }
  for (const auto& [eps, voted, fixed] : gaps(campaign))
    text += "at eps " + number_text(eps) + " the worst of all leaves " + rate_text(voted, 3) + " by votes, and " +
            rate_text(fixed, 3) + " where the draw is known: " + rate_text(voted - fixed, 2) + " is the draw's\n";
  if (!campaign.certified.empty()) {
    text += "certified with noise of " + number_text(options.certify.sigma) + ", whatever the attack, by l2:";
    for (const auto& row : campaign.certified)
      text += " " + rate_text(certified_accuracy(row, campaign), 3) + " within " + number_text(row.radius) +
              (&row == &campaign.certified.back() ? "" : ",");
    text += "; " + counted(campaign.undecided, "images") + " undecided\n";
  }
  for (const auto& flag : campaign.flags) text += "flag " + flag.name + ": " + flag.detail + "\n";
  return text;
}

}  // namespace ae::attack
