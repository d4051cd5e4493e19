#include "attack/campaign/campaign_files.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

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
  if (row.threat == "purifier") return purifier_text(options) + " classifier";
  if (row.threat == "transfer") return "surrogate";
  return row.threat == "classifier" ? "classifier" : "";
}

std::string defence_forward(const CampaignRow& row, const CampaignOptions& options) {
  return row.defence == "purifier" ? purifier_text(options) + " classifier" : "classifier";
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
          {"mean_distance", row.mean_distance},
          {"largest_distance", row.largest_distance},
          {"steps", row.steps},
          {"restarts", row.starts},
          {"losses", row.losses},
          {"backward", row.backward},
          {"attack_forward", attack_forward(row, options)},
          {"defence_forward", defence_forward(row, options)}};
}

}  // namespace

std::string campaign_csv(const Campaign& campaign, const CampaignOptions& options) {
  std::string text =
      "threat,attack,norm,eps,n,accuracy,low,high,defence,mean_distance,largest_distance,steps,restarts,losses,"
      "backward,attack_forward,defence_forward,seed\n";
  for (const auto& row : campaign.rows) {
    const auto interval = evaluate::wilson_interval(row.right, row.images, kConfidence);
    text += row.threat + ',' + row.attack + ',' + std::string(norm_name(options.norm)) + ',';
    append_number(text, row.eps);
    text += ',' + std::to_string(row.images);
    for (const double number : {row.accuracy(), interval.low, interval.high}) {
      text += ',';
      append_number(text, number);
    }
    text += ',' + row.defence;
    for (const double number : {row.mean_distance, row.largest_distance}) {
      text += ',';
      append_number(text, number);
    }
    text += ',' + std::to_string(row.steps) + ',' + std::to_string(row.starts) + ',' + row.losses + ',' + row.backward +
            ',';
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
  const Ordered json = {{"made_by", story.made_by},
                        {"command", story.command},
                        {"classifier", story.victim},
                        {"surrogate", story.surrogate.empty() ? Ordered(nullptr) : Ordered(story.surrogate)},
                        {"input", story.input},
                        {"model", story.model_digest.empty() ? Ordered(nullptr) : Ordered(story.model_digest)},
                        {"purifiers", options.purifiers},
                        {"images", campaign.images},
                        {"classes", campaign.classes},
                        {"unreadable", campaign.unreadable},
                        {"without_label", campaign.without_label},
                        {"norm", norm_name(options.norm)},
                        {"relative_step", options.attack.step()},
                        {"seed", options.seed},
                        {"worst", worst},
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
  char line[128];
  std::snprintf(line, sizeof line, "%-10s %-11s %-7s", "defence", "threat", "attack");
  text += line;
  for (const double e : eps) {
    std::snprintf(line, sizeof line, " %8s", ("eps " + number_text(e)).c_str());
    text += line;
  }
  std::vector<const CampaignRow*> begun;
  for (const auto& first : campaign.rows) {
    const auto same = [&](const CampaignRow& row) {
      return row.threat == first.threat && row.attack == first.attack && row.defence == first.defence;
    };
    if (first.attack == "clean" || std::ranges::any_of(begun, [&](const auto* row) { return same(*row); })) continue;
    begun.push_back(&first);
    std::snprintf(line, sizeof line, "\n%-10s %-11s %-7s", first.defence.c_str(), first.threat.c_str(),
                  first.attack.c_str());
    text += line;
    for (const double e : eps) {
      const auto row = std::ranges::find_if(campaign.rows, [&](const auto& r) { return same(r) && r.eps == e; });
      std::snprintf(line, sizeof line, " %8s", row == campaign.rows.end() ? "" : rate_text(row->accuracy(), 3).c_str());
      text += line;
    }
  }
  text += '\n';
  for (const auto& row : campaign.rows)
    if (row.attack == "clean")
      text += "without any attack, defence " + row.defence + ": " + rate_text(row.accuracy(), 3) + "\n";
  for (const auto& flag : campaign.flags) text += "flag " + flag.name + ": " + flag.detail + "\n";
  return text;
}

}  // namespace ae::attack
